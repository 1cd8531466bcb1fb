"""One model asked and scored: what the steps `ask` and `evaluate` do about it. AWS is opened here, as in the steps."""

from __future__ import annotations

import gc
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from assay.contracts.config import ModelSection, SuiteConfig
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Failure, Manifest, ModelOutcome
from assay.pipeline.job_times import batch_seconds
from assay.pipeline.model_judging import connected_judge
from assay.pipeline.step_results import Asked, Deployed, Prepared

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.contracts.catalog import Record
    from assay.inference.budget import Tariff
    from assay.inference.store import PartStore
    from assay.pipeline.second_asking import Ask
    from assay.pipeline.workfiles import Workfiles
    from assay.scoring.assets import Folders

logger = logging.getLogger("assay.steps")


def asking_of(
    storage: Any,
    config: SuiteConfig,
    model: ModelSection,
    deployed: Deployed | None,
    manifest: Manifest,
    prefixes: Iterable[str],
    shards: int = 1,
    *,
    paths: EvaluationPaths,
    by_batch: bool = False,
) -> Callable[[Iterable[Record], PartStore], None]:
    """What asks the model about records and keeps the responses, with one of so many parts of its limits.

    Whatever it is asked from now on has the time of one evaluation together.

    Args:
        prefixes: where responses lie that count against the budget.
        by_batch: ask by batch inference jobs, unless it is about fewer records than a job takes.

    Raises:
        NotConnectedError: the model cannot be asked at all.
    """
    from assay.aws.providers import Connection, connect
    from assay.contracts.prices import bundled_prices
    from assay.inference.budget import Budget
    from assay.inference.prompts import render_prompt
    from assay.inference.runner import ask_all
    from assay.inference.store import spent_usd
    from assay.pipeline.budget import tariff_of

    endpoint = None if deployed is None else deployed["endpoint_name"]
    seconds = batch_seconds(config.limits.evaluate_seconds) if by_batch else config.limits.evaluate_seconds
    bounds = {"concurrency": math.ceil(config.limits.concurrency / shards), "evaluate_seconds": seconds}
    limits = config.limits.model_copy(update=bounds)
    queue = paths.uri(paths.asynchronous) if _has_queue(deployed) else None
    asked = connect(model, Connection(limits.concurrency, limits.request_seconds, endpoint, queue))
    template = model.evaluation_config.prompt_template
    tariff = tariff_of(config, model, bundled_prices(), by_batch=by_batch)
    allotment = manifest.allotments.get(model.name)
    budget = None
    until = time.monotonic() + seconds
    if tariff is not None and allotment is not None:
        spent = sum(spent_usd(storage, prefix, tariff) for prefix in prefixes)
        budget = Budget(allotment / shards, tariff.hourly_usd, spent)

    def prompt_of(record: Record) -> str:
        return render_prompt(template, record)

    def ask(
        records: Iterable[Record],
        store: PartStore,
        prompt_of: Callable[[Record], str] = prompt_of,
        tariff: Tariff | None = tariff,
    ) -> None:
        ask_all(
            records,
            model=asked,
            prompt_of=prompt_of,
            store=store,
            limits=limits,
            tariff=tariff,
            budget=budget,
            until=until,
        )

    if not by_batch:
        return ask
    from assay.aws import runtime
    from assay.aws.bedrock_batch import BedrockJobs
    from assay.pipeline.batch_asking import BatchAsking

    role = runtime.batch_role_arn()
    jobs = BedrockJobs(model, paths, storage, owner=runtime.owner(), role_arn=role, seconds=seconds)
    on_demand = tariff_of(config, model, bundled_prices())
    return BatchAsking(jobs, prompt_of, ask, until, tariff, on_demand, budget).ask


def ask_and_score(
    paths: EvaluationPaths,
    storage: Any,
    config: SuiteConfig,
    model: ModelSection,
    deployed: Deployed | None,
    prepared: Prepared,
    manifest: Manifest,
    before: Sequence[Asked],
) -> ModelOutcome:
    from assay.inference.errors import NotConnectedError
    from assay.inference.store import PartStore
    from assay.pipeline.workfiles import Workfiles

    try:
        prefixes = (paths.responses(model.name), paths.second_answers(model.name))
        by_batch = model.asked_by_batch(prepared["records"] // max(1, len(before)))
        asking = asking_of(storage, config, model, deployed, manifest, prefixes, paths=paths, by_batch=by_batch)
    except NotConnectedError as error:
        logger.warning("model %s cannot be asked: %s", model.name, error)
        failure = Failure(kind="NotConnected", reason=str(error))
        return ModelOutcome(model=model.name, status="failed", records=prepared["records"], failure=failure)
    walls = [asked["wall_seconds"] for asked in before if asked["wall_seconds"] is not None]
    with Workfiles(storage, paths.catalog) as files:
        started = time.monotonic()
        store = PartStore(storage, paths.responses(model.name), failures_stand=bool(before))
        asking(left_of(files.records(), store) if before and by_batch else files.records(), store)
        wall_seconds = max(walls, default=0.0) + time.monotonic() - started

        def again(records: Iterable[Record], prefix: str) -> None:
            asking(records, PartStore(storage, prefix))

        outcome = _scored(paths, storage, config, model.name, files, deployed, wall_seconds, again)
        return outcome.model_copy(update={"by_batch": by_batch, "asynchronous": _has_queue(deployed)})


def _has_queue(deployed: Deployed | None) -> bool:
    return deployed is not None and deployed.get("asynchronous", False)


def left_of(records: Iterable[Record], store: PartStore) -> Iterator[Record]:
    """Those that have no answer; a job would be given the others, too."""
    answered = store.answered()
    return (record for record in records if record.id not in answered)


def score_given(paths: EvaluationPaths, storage: Any, config: SuiteConfig, model_name: str) -> ModelOutcome:
    from assay.inference.given import keep_given
    from assay.inference.store import PartStore
    from assay.pipeline.workfiles import Workfiles

    with Workfiles(storage, paths.catalog) as files:
        keep_given(files.records(), model_name, PartStore(storage, paths.responses(model_name)))
        return _scored(paths, storage, config, model_name, files, None, None)


def _scored(
    paths: EvaluationPaths,
    storage: Any,
    config: SuiteConfig,
    model_name: str,
    files: Workfiles,
    deployed: Deployed | None,
    wall_seconds: float | None,
    ask: Ask | None = None,
) -> ModelOutcome:
    """Score the responses in the catalog's order; memory holds a batch and 24 bytes a record.

    Args:
        ask: asks the model about records, for algorithms that need second answers; None for one that is not asked.
    """
    from assay.inference.kept import KeptResponses
    from assay.scoring.outcome import OutcomeTally
    from assay.scoring.score_files import write_score_tables
    from assay.scoring.scoring import Scoring, labels_of, needs_catalog, needs_second_answers

    # All that was imported lives as long as the job; the collector would look through it again and again, for a fifth
    # of the time that scoring takes.
    gc.freeze()
    tally = OutcomeTally()
    assets = scoring_assets()
    algorithms = config.unjudged_algorithms
    labels = labels_of(files.records()) if needs_catalog(algorithms) else ()

    def tables(kept: KeptResponses, scoring: Scoring) -> Iterator[pa.Table]:
        for pairs in kept.joined(files.records()):
            for _, response in pairs:
                tally.add(response)
            yield scoring.score(pairs, None if second is None else second.of([record for record, _ in pairs]))

    with (
        ExitStack() as stack,
        KeptResponses(storage, paths.responses(model_name), files.path("responses.jsonl")) as kept,
        Scoring(algorithms, assets=assets, labels=labels, records=len(kept)) as scoring,
    ):
        second = None
        if ask is not None and needs_second_answers(algorithms):
            from assay.pipeline.second_asking import SecondAsking

            prefix = paths.second_answers(model_name)
            second = stack.enter_context(SecondAsking(algorithms, storage, prefix, files.path("")))
            second.ask(files.records, kept, ask)
        write_score_tables(storage, paths.scores(model_name), tables(kept, scoring))
        dataset_scores = scoring.dataset_scores()
    return tally.outcome(
        model_name,
        endpoint_name=None if deployed is None else deployed["endpoint_name"],
        instance_type=None if deployed is None else deployed["instance_type"],
        model_version=None if deployed is None else deployed["model_version"],
        wall_seconds=wall_seconds,
        dataset_scores=dataset_scores,
        assets=assets.used(),
        deploy_seconds=None if deployed is None else deployed.get("seconds"),
    )


def check_scoring(config: SuiteConfig) -> None:
    """Fail before anything is deployed where an algorithm lacks its folder, its package or its judge."""
    from assay.scoring.scoring import Scoring

    with Scoring(config.algorithms, assets=scoring_assets(), labels=("",)):
        pass
    if config.judge is not None:
        connected_judge(config.judge, config)


def scoring_assets() -> Folders:
    """Finds the folders that algorithms name, fetched once."""
    from assay.aws.asset_files import fetch_folder
    from assay.scoring.assets import Folders

    return Folders(fetch_folder)
