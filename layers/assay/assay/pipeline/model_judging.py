"""One model's answers judged and scored: what the step `judge` does about it. AWS is opened here, as in the steps."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from assay.contracts.config import SuiteConfig
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Manifest, ModelOutcome

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.contracts.catalog import Record
    from assay.contracts.judge_section import JudgeSection
    from assay.inference.judge import Judge, JudgementStore
    from assay.inference.model import Model


def judge_and_score(
    paths: EvaluationPaths, storage: Any, config: SuiteConfig, manifest: Manifest, before: ModelOutcome
) -> ModelOutcome:
    """Have the model's answers judged, and keep the scores.

    Args:
        before: how the model's evaluation ended.

    Returns:
        The same, with what the judge was asked and the scores of the whole catalog that came of it.

    Raises:
        NotConnectedError: the judge cannot be asked at all.
    """
    from assay.inference.kept import KeptResponses
    from assay.pipeline.judging import Judging
    from assay.pipeline.workfiles import Workfiles
    from assay.scoring.score_files import write_score_tables
    from assay.scoring.scoring import Scoring

    if config.judge is None:
        raise ValueError("the config has no judge")
    model_name, own = before.model, paths.judgements(before.model)
    judge = connected_judge(config.judge, config)
    with ExitStack() as stack:
        files = stack.enter_context(Workfiles(storage, paths.catalog))

        def answers(name: str, file: str) -> KeptResponses:
            return stack.enter_context(KeptResponses(storage, paths.responses(name), files.path(file)))

        kept = answers(model_name, "responses.jsonl")
        rival = None if config.rival in (None, model_name) else answers(config.rival, "rival.jsonl")
        judging = Judging(config, judge, storage, own, rival)
        ask = _asking(storage, config, config.judge, manifest.judge_allotments.get(model_name), own)
        judging.ask(files.records, kept, ask)
        scoring = stack.enter_context(Scoring(config.judged_algorithms, records=len(kept)))

        def tables() -> Iterator[pa.Table]:
            for pairs in kept.joined(files.records()):
                yield scoring.score(pairs, judging.of(pairs))

        write_score_tables(storage, paths.judged_scores(model_name), tables())
        names = {item.algorithm for item in config.judged_algorithms}
        others = [score for score in before.dataset_scores if score.algorithm not in names]
        return before.model_copy(
            update={"judge": judging.use(), "dataset_scores": [*others, *scoring.dataset_scores()]}
        )


def _asking(
    storage: Any, config: SuiteConfig, section: JudgeSection, allotment: float | None, own: str
) -> Callable[[Iterable[Record], Judge, JudgementStore], None]:
    """What asks the judge. Whatever it is asked from now on has the time of one evaluation together.

    Args:
        allotment: what it may cost in USD; None without a budget.
        own: where judgements lie that count against the budget.
    """
    from assay.contracts.prices import bundled_prices
    from assay.inference.budget import Budget
    from assay.inference.judge import AGAIN_BYTES, ATTEMPTS
    from assay.inference.runner import ask_all
    from assay.inference.store import spent_usd
    from assay.pipeline.budget import tariff_of

    tariff, budget = tariff_of(config, section.model, bundled_prices()), None
    if tariff is not None:
        tariff = dataclasses.replace(tariff, requests=ATTEMPTS, wrapping=tariff.wrapping + AGAIN_BYTES)
        budget = None if allotment is None else Budget(allotment, spent_usd=spent_usd(storage, own, tariff))
    limits = config.limits.model_copy(update={"concurrency": section.concurrency})
    until = time.monotonic() + limits.evaluate_seconds

    def ask(prompts: Iterable[Record], judge: Judge, store: JudgementStore) -> None:
        ask_all(
            prompts,
            model=judge,
            prompt_of=lambda record: record.model_input,
            store=store,
            limits=limits,
            tariff=tariff,
            budget=budget,
            until=until,
        )

    return ask


def connected_judge(section: JudgeSection, config: SuiteConfig) -> Model:
    """The judge as something that can be asked.

    Raises:
        NotConnectedError: it cannot.
    """
    from assay.aws.providers import Connection, connect

    connection = Connection(section.concurrency, config.limits.request_seconds, section.endpoint_name)
    return connect(section.model, connection)
