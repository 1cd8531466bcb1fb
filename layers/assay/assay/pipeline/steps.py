"""The steps of a suite's pipeline, each the body of one SageMaker job.

Steps pass small values only. What goes wrong with one model is returned as a failure, so that the pipeline goes on and
the other models are evaluated; what is raised here fails the whole execution, and its endpoints are then released from
outside.
"""

from __future__ import annotations

import hashlib
import logging
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict

from assay.contracts.config import ModelSection, SuiteConfig, load_config
from assay.contracts.errors import RejectedError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Failure, Manifest, ModelOutcome, Training

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.aws.storage import Storage
    from assay.contracts.catalog import Record
    from assay.contracts.judge_section import JudgeSection
    from assay.inference.judge import Judge, JudgementStore
    from assay.inference.model import Model
    from assay.inference.runner import AskSummary
    from assay.inference.store import PartStore
    from assay.pipeline.judging import Judging
    from assay.pipeline.second_asking import Ask
    from assay.pipeline.workfiles import Workfiles
    from assay.scoring.assets import Folders

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
logger = logging.getLogger("assay.steps")

# An endpoint that is still being created cannot be deleted; SageMaker gives it up within the hour.
CLEANUP_SECONDS = 3900


class Prepared(TypedDict):
    """Result of `preprocess`."""

    records: int


class Finetuned(TypedDict):
    """Result of `finetune`: the training job that made the model (`results.Training` as JSON), or why there is none."""

    training_job: str
    model_version: str | None
    training: dict[str, Any] | None
    failure: dict[str, str] | None


class Deployed(TypedDict):
    """Result of `deploy`: an endpoint in service, or why there is none. `seconds` is how long a new one took."""

    endpoint_name: str
    instance_type: str | None
    model_version: str | None
    created: bool
    seconds: NotRequired[float]
    training: dict[str, Any] | None
    failure: dict[str, str] | None


class Asked(TypedDict):
    """Result of `ask`; the responses lie in S3.

    Attributes:
        wall_seconds: how long asking took; None when the model could not be asked at all.
    """

    shard: int
    wall_seconds: float | None


class Evaluated(TypedDict):
    """Result of `evaluate`; the whole outcome lies in S3."""

    model: str
    status: str
    answered: int
    failed: int


def preprocess(evaluation_uri: str) -> Prepared:
    """Write the records that every model of the evaluation is asked, in one normal form, to `catalog.jsonl`."""
    from assay.contracts.catalog import read_catalog
    from assay.contracts.catalog_needs import needs_of

    paths, storage, manifest, config = _open(evaluation_uri)
    _check_scoring(config)
    source = manifest.catalog
    key = source.uri.removeprefix(f"s3://{paths.bucket}/")
    digest = hashlib.sha256()
    chunks = _hashed(storage.chunks(key, source.version_id), digest)
    wanted = config.dataset.num_records
    chosen = None
    if wanted is not None and wanted < manifest.records:
        chosen = set(random.Random(config.dataset.seed).sample(range(manifest.records), wanted))  # noqa: S311
    count = 0
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="\n") as file:
        for index, record in enumerate(read_catalog(chunks, config.dataset, key, needs_of(config))):
            if chosen is None or index in chosen:
                file.write(f"{record.model_dump_json()}\n")
                count += 1
        file.flush()
        if digest.hexdigest() != source.sha256:
            raise RuntimeError(f"{source.uri} is no longer the file that was checked when the evaluation started")
        storage.upload(paths.catalog, file.name, "application/jsonlines")
    logger.info("catalog prepared: %d records", count)
    return {"records": count}


def _hashed(chunks: Iterator[bytes], digest: Any) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def finetune(evaluation_uri: str, model_name: str, owner: str, role_arn: str, _prepared: Prepared) -> Finetuned:
    """Check the training data, tune the model by a training job of its own, and wait for its end."""
    from assay.aws import jumpstart
    from assay.aws.endpoints import Endpoints

    paths, _, _, config = _open(evaluation_uri)
    model = config.model(model_name)
    job = jumpstart.training_job_name(model.endpoint_group, paths.evaluation_id)
    tags = Endpoints(owner).tags(paths.evaluation_id, config.suite)
    finetuned: Finetuned = {"training_job": job, "model_version": None, "training": None, "failure": None}
    try:
        channels, examples = _training_channels(model, paths.bucket)
        version, training = jumpstart.train(
            model, channels, job_name=job, role_arn=role_arn, bucket=paths.bucket, tags=tags
        )
        finetuned["model_version"] = version
        finetuned["training"] = training.model_copy(update={"examples": examples}).model_dump(mode="json")
    except RejectedError as error:
        finetuned["failure"] = {"kind": "TrainingDataRejected", "reason": str(error)}
    except Exception as error:  # as in `_create`: whatever the SDK raises concerns this model only
        logger.exception("training job %s failed", job)
        finetuned["failure"] = {"kind": "FinetuningFailed", "reason": f"{type(error).__name__}: {error}"}
    return finetuned


def _training_channels(model: ModelSection, bucket: str) -> tuple[dict[str, str], dict[str, int]]:
    """Each channel's URI and number of examples.

    Raises:
        RejectedError: the data are not what the config says of them.
    """
    from assay.aws.jumpstart import s3_uri
    from assay.aws.training_data import ChannelFolder
    from assay.contracts.training_data import check_channel, kind_of

    section = model.finetuning_config
    assert section is not None
    paths = {"training": section.train_data_path, "validation": section.validation_data_path}
    folders = {name: ChannelFolder(s3_uri(path, bucket)) for name, path in paths.items() if path is not None}
    examples = {}
    for name, folder in folders.items():
        found = check_channel(kind_of(section), folder.uri, folder, template_of=folders["training"])
        if found.total:
            raise RejectedError(folder.uri, found.faults, found.total)
        examples[name] = found.examples
    return {name: folder.uri for name, folder in folders.items()}, examples


def deploy(
    evaluation_uri: str,
    model_name: str,
    owner: str,
    role_arn: str,
    _prepared: Prepared,
    finetuned: Finetuned | None = None,
) -> Deployed:
    """Have the model's endpoint in service: the one that is there, or a new one with the evaluation's tags."""
    from assay.aws.endpoints import EndpointFailedError, Endpoints
    from assay.contracts.errors import TransientError
    from assay.pipeline.plan import endpoint_name
    from assay.pipeline.sharing import EndpointRefusedError

    paths, storage, _, config = _open(evaluation_uri)
    model = config.model(model_name)
    name = endpoint_name(config, model, paths.evaluation_id)
    endpoints = Endpoints(owner)
    deployed: Deployed = {
        "endpoint_name": name,
        "instance_type": None,
        "model_version": None,
        "created": False,
        "training": None,
        "failure": None,
    }
    training_job = started = None
    if finetuned is not None:
        if finetuned["failure"] is not None:
            deployed["failure"] = finetuned["failure"]
            return deployed
        training_job = finetuned["training_job"]
        deployed["training"] = finetuned["training"]
        model = model.model_copy(update={"model_version": finetuned["model_version"]})
    try:
        identity = _identity(model, training_job)
        if _must_create(endpoints, name, model, identity, paths.evaluation_id, config.limits.deploy_seconds):
            deployed["created"], started = True, time.monotonic()
            tags = endpoints.tags(paths.evaluation_id, config.suite, identity, name)
            creation = Creation(name, paths.evaluation_id, paths.bucket, tags, role_arn, training_job)
            deployed["model_version"] = _bring_up(endpoints, creation, model, config.limits.deploy_seconds)
        else:
            endpoints.wait_in_service(name, config.limits.deploy_seconds)
        deployed["instance_type"] = endpoints.instance_type(name)
        if started is not None:
            deployed["seconds"] = time.monotonic() - started
    except (EndpointFailedError, EndpointRefusedError, TransientError) as error:
        logger.warning("endpoint %s is not usable: %s", name, error)
        deployed["failure"] = {"kind": "EndpointFailed", "reason": str(error)}
        return deployed
    _keep_served(paths, storage, name, training_job)
    return deployed


def _keep_served(paths: EvaluationPaths, storage: Storage, endpoint: str, training_job: str | None) -> None:
    """Write what the endpoint serves, so that the winner can be registered with it when the endpoint is gone.

    Without it the winner is registered all the same, by reference.
    """
    from botocore.exceptions import ClientError

    from assay.aws.served_models import served_model
    from assay.contracts.errors import TransientError

    try:
        served = served_model(endpoint, training_job)
    except (ClientError, TransientError) as error:
        logger.warning("what endpoint %s serves is not known: %s", endpoint, error)
        return
    if served is not None:
        storage.write(paths.endpoint(endpoint), served.model_dump_json(indent=1).encode(), "application/json")


def ask(
    evaluation_uri: str, model_name: str, shard: int, shards: int, prepared: Prepared, deployed: Deployed | None
) -> Asked:
    """Ask the model one part of the catalog: the shard-th of so many, counted from 0, all of about the same size."""
    from assay.inference.errors import NotConnectedError
    from assay.inference.store import PartStore
    from assay.pipeline.workfiles import Workfiles

    paths, storage, manifest, config = _open(evaluation_uri)
    asked: Asked = {"shard": shard, "wall_seconds": None}
    if deployed is not None and deployed["failure"] is not None:
        return asked
    try:
        prefix = paths.shard(model_name, shard)
        asking = _asking(storage, config, config.model(model_name), deployed, manifest, [prefix], shards)
    except NotConnectedError as error:  # `evaluate` makes it the model's failure
        logger.warning("model %s cannot be asked: %s", model_name, error)
        return asked
    first, end = (prepared["records"] * number // shards for number in (shard, shard + 1))
    with Workfiles(storage, paths.catalog) as files:
        started = time.monotonic()
        asking(islice(files.records(), first, end), PartStore(storage, prefix))
        asked["wall_seconds"] = time.monotonic() - started
    return asked


def evaluate(
    evaluation_uri: str, model_name: str, prepared: Prepared, deployed: Deployed | None, *asked: Asked
) -> Evaluated:
    """Ask the model every record that it has not answered yet, score the responses, and write the outcome.

    Of a model that is not asked the catalog has the responses. `deployed` is None for one that needs no endpoint.
    Where steps before this one asked, only records that they left without any response are asked here.
    """
    paths, storage, manifest, config = _open(evaluation_uri)
    if not config.model(model_name).is_asked:
        outcome = _score_given(paths, storage, config, model_name)
    elif deployed is not None and deployed["failure"] is not None:
        failure = deployed["failure"]
        outcome = ModelOutcome(
            model=model_name,
            status="failed",
            endpoint_name=deployed["endpoint_name"],
            instance_type=deployed["instance_type"],
            model_version=deployed["model_version"],
            records=prepared["records"],
            failure=Failure(kind=failure["kind"], reason=failure["reason"]),
        )
    else:
        outcome = _ask_and_score(paths, storage, config, config.model(model_name), deployed, prepared, manifest, asked)
    if deployed is not None and deployed["training"] is not None:
        outcome = outcome.model_copy(update={"training": Training.model_validate(deployed["training"])})
    storage.write(paths.outcome(model_name), outcome.model_dump_json(indent=1).encode(), "application/json")
    return {"model": model_name, "status": outcome.status, "answered": outcome.answered, "failed": outcome.failed}


def cleanup(evaluation_uri: str, model_name: str, owner: str, *_evaluated: Evaluated) -> dict[str, Any]:
    """Release the endpoint that `deploy` created, unless the config keeps it.

    What cannot be released is told and left to the reconciler: to raise would fail the whole evaluation, whose other
    models wait behind this one in its lane.
    """
    from assay.aws.endpoints import Endpoints
    from assay.contracts.errors import TransientError
    from assay.pipeline.plan import endpoint_name

    paths, _, _, config = _open(evaluation_uri)
    model = config.model(model_name)
    name = endpoint_name(config, model, paths.evaluation_id)
    if config.limits.keep_winner_hours is not None and model.deployment_config is not None:
        return {"endpoint_name": name, "released": False, "reason": "it stays until it is known whether it won"}
    if not model.cleanup_endpoint or model.provider == "endpoint":
        return {"endpoint_name": name, "released": False, "reason": "the config keeps it"}
    endpoints = Endpoints(owner)
    try:
        released = endpoints.settled(
            name, CLEANUP_SECONDS, lambda: _release(endpoints, name, model, paths.evaluation_id)
        )
    except TransientError as error:
        logger.warning("endpoint %s could not be released: %s", name, error)
        return {"endpoint_name": name, "released": False, "reason": str(error)}
    if released is None:
        return {"endpoint_name": name, "released": False, "reason": "another evaluation uses it"}
    logger.info("endpoint %s: %s", name, "released" if released.released else released.reason)
    return {"endpoint_name": name, "released": released.released, "reason": released.reason}


def _release(endpoints: Any, name: str, model: ModelSection, evaluation_id: str) -> Any:
    """Delete an endpoint, or leave it to those who still use it (None)."""
    from assay.aws import runtime
    from assay.aws.endpoint_users import EndpointUsers
    from assay.pipeline.sharing import is_shared, release_shared

    if is_shared(model):
        return release_shared(endpoints, EndpointUsers(runtime.evaluations_table()), name, evaluation_id)
    return endpoints.release(name, evaluation_id)


def _open(evaluation_uri: str) -> tuple[EvaluationPaths, Any, Manifest, SuiteConfig]:
    from assay.aws.storage import Storage

    paths = EvaluationPaths.from_uri(evaluation_uri)
    storage = Storage.patient(paths.bucket)
    manifest = Manifest.model_validate_json(storage.read(paths.manifest))
    return paths, storage, manifest, load_config(storage.read(paths.config), paths.config)


def _must_create(
    endpoints: Any, name: str, model: ModelSection, identity: str, evaluation_id: str, seconds: float
) -> bool:
    """Whether there is no endpoint to use. One that is named after its evaluation is nobody else's."""
    from assay.aws import runtime
    from assay.aws.endpoint_users import EndpointUsers
    from assay.pipeline.sharing import is_shared, must_create

    if model.deployment_config is None:
        return False
    if is_shared(model):
        users = EndpointUsers(runtime.evaluations_table())
        return must_create(endpoints, users, name, model, identity, evaluation_id, seconds)
    if endpoints.status(name) in {"InService", "Creating"}:
        return False
    endpoints.release(name, evaluation_id)
    return True


def _identity(model: ModelSection, training_job: str | None = None) -> str:
    """Which model an endpoint serves, as a tag's value (at most 256 characters); of a tuned one also by which job."""
    tuned = "" if training_job is None else f":{training_job}"
    source = model.huggingface_config.model_data or model.model_id
    return f"{source}:{model.model_version.replace('*', 'latest')}"[: 256 - len(tuned)] + tuned


class Creation(NamedTuple):
    """What an endpoint is created with, besides the model."""

    name: str
    evaluation_id: str
    bucket: str
    tags: list[dict[str, str]]
    role_arn: str
    training_job: str | None


def _bring_up(endpoints: Any, creation: Creation, model: ModelSection, seconds: float) -> str:
    """Create the endpoint and wait until it is in service, on the first instance type that AWS has room for.

    Returns:
        The model's version.

    Raises:
        EndpointFailedError: there is no room for any, or it failed for another reason, or `seconds` passed.
    """
    from assay.aws.deployment import no_room
    from assay.aws.endpoints import EndpointFailedError

    end = time.monotonic() + seconds
    types = () if model.deployment_config is None else model.deployment_config.instance_types
    refusals: list[str] = []
    for instance_type in types or (None,):
        left = end - time.monotonic()
        if refusals and (left <= 0 or not endpoints.wait_gone(creation.name, left)):
            break
        try:
            endpoints.release(creation.name, creation.evaluation_id)
            version = _create(creation, _on(model, instance_type), int(max(60, left)))
            endpoints.wait_in_service(creation.name, left)
        except EndpointFailedError as error:
            refusals.append(f"{instance_type}: {error}" if len(types) > 1 else str(error))
            if not no_room(str(error)):
                break
            logger.warning("no room for endpoint %s on %s", creation.name, instance_type)
            endpoints.release(creation.name, creation.evaluation_id)
        else:
            return version
    raise EndpointFailedError("; ".join(refusals))


def _on(model: ModelSection, instance_type: str | None) -> ModelSection:
    if model.deployment_config is None or instance_type is None:
        return model
    return model.model_copy(update={"deployment_config": model.deployment_config.on(instance_type)})


def _create(creation: Creation, model: ModelSection, seconds: int) -> str:
    from assay.aws import huggingface, jumpstart
    from assay.aws.endpoints import EndpointFailedError

    try:
        if model.provider == "huggingface":
            return huggingface.create_endpoint(
                model,
                endpoint_name=creation.name,
                role_arn=creation.role_arn,
                tags=creation.tags,
                start_seconds=seconds,
            )
        return jumpstart.create_endpoint(
            model,
            endpoint_name=creation.name,
            role_arn=creation.role_arn,
            bucket=creation.bucket,
            tags=creation.tags,
            training_job=creation.training_job,
        )
    except Exception as error:
        # The SDK and the service raise dozens of types here (unknown model, EULA, quota, capacity). Each means that
        # this model cannot be deployed, and none may cost the other models their evaluation.
        logger.exception("could not create endpoint %s", creation.name)
        raise EndpointFailedError(f"{type(error).__name__}: {error}") from error


def _asking(
    storage: Any,
    config: SuiteConfig,
    model: ModelSection,
    deployed: Deployed | None,
    manifest: Manifest,
    prefixes: Iterable[str],
    shards: int = 1,
) -> Callable[[Iterable[Record], PartStore], None]:
    """What asks the model about records and keeps the responses, with one of so many parts of its limits.

    Whatever it is asked from now on has the time of one evaluation together.

    Args:
        prefixes: where responses lie that count against the budget.

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
    limits = config.limits.model_copy(update={"concurrency": math.ceil(config.limits.concurrency / shards)})
    asked = connect(model, Connection(limits.concurrency, limits.request_seconds, endpoint))
    template = model.evaluation_config.prompt_template
    tariff = tariff_of(config, model, bundled_prices())
    allotment = manifest.allotments.get(model.name)
    budget = None
    until = time.monotonic() + limits.evaluate_seconds
    if tariff is not None and allotment is not None:
        spent = sum(spent_usd(storage, prefix, tariff) for prefix in prefixes)
        budget = Budget(allotment / shards, tariff, spent)

    def ask(records: Iterable[Record], store: PartStore) -> None:
        ask_all(
            records,
            model=asked,
            prompt_of=lambda record: render_prompt(template, record),
            store=store,
            limits=limits,
            tariff=tariff,
            budget=budget,
            until=until,
        )

    return ask


def _ask_and_score(
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
        asking = _asking(storage, config, model, deployed, manifest, prefixes)
    except NotConnectedError as error:
        logger.warning("model %s cannot be asked: %s", model.name, error)
        failure = Failure(kind="NotConnected", reason=str(error))
        return ModelOutcome(model=model.name, status="failed", records=prepared["records"], failure=failure)
    walls = [asked["wall_seconds"] for asked in before if asked["wall_seconds"] is not None]
    with Workfiles(storage, paths.catalog) as files:
        started = time.monotonic()
        asking(files.records(), PartStore(storage, paths.responses(model.name), failures_stand=bool(before)))
        wall_seconds = max(walls, default=0.0) + time.monotonic() - started

        def again(records: Iterable[Record], prefix: str) -> None:
            asking(records, PartStore(storage, prefix))

        return _scored(paths, storage, config, model.name, files, deployed, wall_seconds, again)


def _score_given(paths: EvaluationPaths, storage: Any, config: SuiteConfig, model_name: str) -> ModelOutcome:
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

    tally = OutcomeTally()
    assets = _assets()
    labels = labels_of(files.records()) if needs_catalog(config.algorithms) else ()

    def tables(kept: KeptResponses, scoring: Scoring) -> Iterator[pa.Table]:
        for pairs in kept.joined(files.records()):
            for _, response in pairs:
                tally.add(response)
            more = {} if second is None else dict(second.of([record for record, _ in pairs]))
            yield scoring.score(pairs, more if judging is None else more | judging.of(pairs))

    with (
        ExitStack() as stack,
        KeptResponses(storage, paths.responses(model_name), files.path("responses.jsonl")) as kept,
        Scoring(config.algorithms, assets=assets, labels=labels, records=len(kept)) as scoring,
    ):
        second = None
        if ask is not None and needs_second_answers(config.algorithms):
            from assay.pipeline.second_asking import SecondAsking

            prefix = paths.second_answers(model_name)
            second = stack.enter_context(SecondAsking(config.algorithms, storage, prefix, files.path("")))
            second.ask(files.records, kept, ask)
        judging = _judging(config, model_name, storage)
        if judging is not None:
            judging.ask(files.records, kept, partial(_ask_judge, config))
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
        judge=None if judging is None else judging.use(),
    )


def _judging(config: SuiteConfig, model_name: str, storage: Any) -> Judging | None:
    if config.judge is None:
        return None
    from assay.pipeline.judging import Judging

    return Judging(config, model_name, _connected_judge(config.judge, config), storage)


def _connected_judge(section: JudgeSection, config: SuiteConfig) -> Model:
    from assay.aws.providers import Connection, connect

    connection = Connection(section.concurrency, config.limits.request_seconds, section.endpoint_name)
    return connect(section.model, connection)


def _ask_judge(config: SuiteConfig, prompts: Iterable[Record], judge: Judge, store: JudgementStore) -> AskSummary:
    from assay.contracts.prices import bundled_prices
    from assay.inference.runner import ask_all
    from assay.pipeline.budget import tariff_of

    section = config.judge
    if section is None:
        raise ValueError("the config has no judge")
    return ask_all(
        prompts,
        model=judge,
        prompt_of=lambda record: record.model_input,
        store=store,
        limits=config.limits.model_copy(update={"concurrency": section.concurrency}),
        tariff=tariff_of(config, section.model, bundled_prices()),
    )


def _check_scoring(config: SuiteConfig) -> None:
    """Fail before anything is deployed where an algorithm lacks its folder, its package or its judge."""
    from assay.scoring.scoring import Scoring

    with Scoring(config.algorithms, assets=_assets(), labels=("",)):
        pass
    if config.judge is not None:
        _connected_judge(config.judge, config)


def _assets() -> Folders:
    from assay.aws.asset_files import fetch_folder
    from assay.scoring.assets import Folders

    return Folders(fetch_folder)
