"""The steps of a suite's pipeline, each the body of one SageMaker job.

Steps pass small values only. What goes wrong with one model is returned as a failure, so that the pipeline goes on and
the other models are evaluated; what is raised here fails the whole execution, and its endpoints are then released from
outside.
"""

from __future__ import annotations

import hashlib
import logging
import random
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from assay.contracts.config import ModelSection, SuiteConfig, load_config
from assay.contracts.errors import RejectedError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Failure, Manifest, ModelOutcome, Training
from assay.pipeline.endpoint_lifecycle import Creation, bring_up, has_queue, identity_of, is_to_be_created, release
from assay.pipeline.model_evaluation import ask_and_score, asking_of, check_scoring, score_given
from assay.pipeline.model_judging import judge_and_score
from assay.pipeline.step_results import Asked, Deployed, Evaluated, Finetuned, Judged, Prepared

if TYPE_CHECKING:
    from assay.aws.storage import Storage

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
logger = logging.getLogger("assay.steps")

# An endpoint that is still being created cannot be deleted; SageMaker gives it up within the hour.
CLEANUP_SECONDS = 3900


def preprocess(evaluation_uri: str) -> Prepared:
    """Write the records that every model of the evaluation is asked, in one normal form, to `catalog.jsonl`."""
    from assay.contracts.catalog import read_catalog
    from assay.contracts.catalog_needs import needs_of

    paths, storage, manifest, config = _open(evaluation_uri)
    check_scoring(config)
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


def finetune(evaluation_uri: str, model_name: str, role_arn: str, _prepared: Prepared) -> Finetuned:
    """Check the training data, tune the model by a training job of its own, and wait for its end."""
    from assay.aws import jumpstart, runtime
    from assay.aws.endpoints import Endpoints

    paths, _, _, config = _open(evaluation_uri)
    model = config.model(model_name)
    job = jumpstart.training_job_name(model.endpoint_group, paths.evaluation_id)
    tags = Endpoints(runtime.owner()).tags(paths.evaluation_id, config.suite)
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
    role_arn: str,
    _prepared: Prepared,
    finetuned: Finetuned | None = None,
) -> Deployed:
    """Have the model's endpoint in service: the one that is there, or a new one with the evaluation's tags."""
    from assay.aws import runtime
    from assay.aws.endpoints import EndpointFailedError, Endpoints
    from assay.contracts.errors import TransientError
    from assay.pipeline.plan import endpoint_name
    from assay.pipeline.sharing import EndpointRefusedError

    paths, storage, _, config = _open(evaluation_uri)
    model = config.model(model_name)
    name = endpoint_name(config, model, paths.evaluation_id)
    endpoints = Endpoints(runtime.owner())
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
        identity = identity_of(model, training_job)
        if is_to_be_created(endpoints, name, model, identity, paths.evaluation_id, config.limits.deploy_seconds):
            deployed["created"], started = True, time.monotonic()
            tags = endpoints.tags(paths.evaluation_id, config.suite, identity, name)
            answers = paths.uri(paths.asynchronous)
            creation = Creation(name, paths.evaluation_id, paths.bucket, tags, role_arn, training_job, answers)
            deployed["model_version"] = bring_up(endpoints, creation, model, config.limits.deploy_seconds)
        else:
            endpoints.wait_in_service(name, config.limits.deploy_seconds)
        found = endpoints.look(name)
        deployed["instance_type"] = None if found is None else found.hardware
        deployed["asynchronous"] = has_queue(found, name, model)
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
        prefix, model = paths.shard(model_name, shard), config.model(model_name)
        by_batch = model.asked_by_batch(prepared["records"] // shards)
        asking = asking_of(storage, config, model, deployed, manifest, [prefix], shards, paths=paths, by_batch=by_batch)
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
        outcome = score_given(paths, storage, config, model_name)
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
        outcome = ask_and_score(paths, storage, config, config.model(model_name), deployed, prepared, manifest, asked)
    if deployed is not None and deployed["training"] is not None:
        outcome = outcome.model_copy(update={"training": Training.model_validate(deployed["training"])})
    storage.write(paths.outcome(model_name), outcome.model_dump_json(indent=1).encode(), "application/json")
    return {"model": model_name, "status": outcome.status, "answered": outcome.answered, "failed": outcome.failed}


def judge(evaluation_uri: str, model_name: str, *_evaluated: Evaluated) -> Judged:
    """Have a judge asked about the model's answers, score what it says, and add that to the outcome.

    A model that could not be asked at all has no answers, and stays as it is.
    """
    paths, storage, manifest, config = _open(evaluation_uri)
    outcome = ModelOutcome.model_validate_json(storage.read(paths.outcome(model_name)))
    if outcome.failure is not None:
        return {"model": model_name, "asked": 0, "failed": 0}
    outcome = judge_and_score(paths, storage, config, manifest, outcome)
    storage.write(paths.outcome(model_name), outcome.model_dump_json(indent=1).encode(), "application/json")
    use = outcome.judge
    return {"model": model_name, "asked": use.asked if use else 0, "failed": use.failed if use else 0}


def cleanup(evaluation_uri: str, model_name: str, *_evaluated: Evaluated) -> dict[str, Any]:
    """Release the endpoint that `deploy` created, unless the config keeps it.

    What cannot be released is told and left to the reconciler: to raise would fail the whole evaluation, whose other
    models wait behind this one in its lane.
    """
    from assay.aws import runtime
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
    endpoints = Endpoints(runtime.owner())
    try:
        released = endpoints.settled(
            name, CLEANUP_SECONDS, lambda: release(endpoints, name, model, paths.evaluation_id)
        )
    except TransientError as error:
        logger.warning("endpoint %s could not be released: %s", name, error)
        return {"endpoint_name": name, "released": False, "reason": str(error)}
    if released is None:
        return {"endpoint_name": name, "released": False, "reason": "another evaluation uses it"}
    logger.info("endpoint %s: %s", name, "released" if released.released else released.reason)
    return {"endpoint_name": name, "released": released.released, "reason": released.reason}


def _open(evaluation_uri: str) -> tuple[EvaluationPaths, Any, Manifest, SuiteConfig]:
    from assay.aws.storage import Storage

    paths = EvaluationPaths.from_uri(evaluation_uri)
    storage = Storage.patient(paths.bucket)
    manifest = Manifest.model_validate_json(storage.read(paths.manifest))
    return paths, storage, manifest, load_config(storage.read(paths.config), paths.config)
