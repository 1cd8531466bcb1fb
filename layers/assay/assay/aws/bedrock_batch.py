"""Batch inference of Bedrock: a model invocation job reads requests from S3, and writes there what the model said."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from assay.aws.bedrock_model import reading, request_body
from assay.aws.endpoints import EVALUATION_TAG, OWNER_TAG, SUITE_TAG
from assay.aws.faults import transient_faults
from assay.aws.service_model import errors_in_our_words
from assay.contracts.config import ModelSection, SuiteConfig
from assay.contracts.errors import ObjectNotFoundError
from assay.contracts.evaluation import EvaluationPaths
from assay.inference.batch import Ended, JobState
from assay.inference.errors import (
    MalformedReplyError,
    ModelAnswerError,
    ModelCallError,
    NotConnectedError,
    ThrottledError,
    UnavailableError,
)
from assay.inference.model import Answer

# Hours after which Bedrock ends a job by itself.
LEAST_HOURS, MOST_HOURS = 24, 168
_ENDED: dict[str, Ended] = {
    "Completed": "completed",
    "PartiallyCompleted": "expired",
    "Expired": "expired",
    "Failed": "failed",
    "Stopped": "stopped",
}
_NUMBER = re.compile(r"R(\d{10})")
_WORDS = 300

logger = logging.getLogger(__name__)


class Objects(Protocol):
    """The stack's bucket."""

    def exists(self, key: str, /) -> bool: ...
    def keys(self, prefix: str, /) -> list[str]: ...
    def read(self, key: str, /) -> bytes: ...
    def write(self, key: str, body: bytes, /) -> None: ...
    def upload(self, key: str, path: str, /) -> None: ...
    def download(self, key: str, path: str, /) -> None: ...


class BedrockJobs:
    """The batch inference jobs that ask one model in one evaluation.

    Args:
        model: the config's model.
        paths: the evaluation, below which the jobs' files lie.
        objects: its bucket.
        owner: value of the tag `assay:owner`.
        role_arn: what Bedrock reads and writes the bucket as.
        seconds: how long a job may take; Bedrock counts whole hours, and at least 24.
        client: a boto3 bedrock client; one of its own by default.

    Raises:
        NotConnectedError: the installed SDK is too old for such jobs.
    """

    def __init__(
        self,
        model: ModelSection,
        paths: EvaluationPaths,
        objects: Objects,
        *,
        owner: str,
        role_arn: str,
        seconds: float,
        client: Any = None,
    ) -> None:
        self._model = model
        self._paths = paths
        self._prefix = paths.batch_jobs(model.name)
        self._objects = objects
        self._role_arn = role_arn
        self._hours = min(MOST_HOURS, max(LEAST_HOURS, math.ceil(seconds / 3600)))
        tags = {OWNER_TAG: owner, EVALUATION_TAG: paths.evaluation_id, SUITE_TAG: paths.suite}
        self._tags = [{"key": key, "value": value} for key, value in tags.items()]
        self._client = client if client is not None else _client(model.bedrock_config.region)
        shape = self._client.meta.service_model.operation_model("CreateModelInvocationJob").input_shape
        if "modelInvocationType" not in shape.members:
            raise NotConnectedError(
                "the evaluation image's botocore knows no batch inference in Converse's format "
                "(`modelInvocationType`); update it, or leave `batch_from_records` out"
            )

    def find(self, name: str) -> str | None:
        """ARN of the job, however it stands; None where there is none."""
        wanted = self._job_name(name)
        with errors_in_our_words():
            return next((arn for job, arn, _ in _jobs(self._client, wanted) if job == wanted), None)

    def start(self, name: str, file: Path) -> str:
        """Upload what is asked, and start the job unless it was started before.

        Raises:
            ThrottledError, UnavailableError: too many jobs, too many calls, or a fault of AWS: may succeed later.
            ModelAnswerError: refused; the reason holds AWS's words.
        """
        key, job = f"{self._prefix}{name}.jsonl", self._job_name(name)
        if not self._objects.exists(key):  # it may have waited for its turn since
            self._objects.upload(key, str(file))
        try:
            with errors_in_our_words():
                answer = self._client.create_model_invocation_job(
                    jobName=job,
                    clientRequestToken=job,
                    roleArn=self._role_arn,
                    modelId=str(self._model.model_id),
                    modelInvocationType="Converse",
                    inputDataConfig={"s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": self._paths.uri(key)}},
                    outputDataConfig={"s3OutputDataConfig": {"s3Uri": self._paths.uri(f"{self._prefix}{name}/")}},
                    timeoutDurationInHours=self._hours,
                    tags=self._tags,
                )
        except ModelAnswerError as error:
            # No prompt is in this request, and so none is in what AWS says of it.
            cause = error.__cause__
            words = cause.response["Error"].get("Message", "") if isinstance(cause, ClientError) else ""
            raise ModelAnswerError(f"CreateModelInvocationJob: {error.reason}: {words[:_WORDS]}") from error
        return str(answer["jobArn"])

    def look(self, job: str) -> JobState:
        """How the job stands."""
        with errors_in_our_words():
            found = self._client.get_model_invocation_job(jobIdentifier=job)
        return JobState(_ENDED.get(found["status"]), (found.get("message") or "")[:_WORDS] or None)

    def stop(self, job: str) -> None:
        """Ask the job to stop; one that has ended, or is about to, is left as it is."""
        with errors_in_our_words():
            _stop(self._client, job)

    def line(self, number: int, prompt: str) -> bytes:
        """One line of a job's input."""
        body = request_body(self._model.evaluation_config, prompt)
        return json.dumps({"recordId": f"R{number:010d}", "modelInput": body}).encode()

    def answers(self, name: str, folder: Path) -> Iterator[tuple[int, Answer | ModelCallError]]:
        """What the job wrote, line by line; a line that cannot be read is told in the log and left out."""
        file = folder / f"{name}.out"
        for key in self._objects.keys(f"{self._prefix}{name}/"):
            if not key.endswith(".jsonl.out"):
                continue
            self._objects.download(key, str(file))
            with file.open("rb") as lines:
                for place, line in enumerate(lines, start=1):
                    if (found := _read(line)) is not None:
                        yield found
                    else:
                        logger.warning("line %d of %s is not as Bedrock writes it", place, key)
            file.unlink()

    def recall(self, name: str) -> bytes | None:
        """The note, from the bucket."""
        try:
            return self._objects.read(f"{self._prefix}{name}")
        except ObjectNotFoundError:
            return None

    def note(self, name: str, body: bytes) -> None:
        """Keep the note in the bucket."""
        self._objects.write(f"{self._prefix}{name}", body)

    def _job_name(self, name: str) -> str:
        """At most 63 characters, the evaluation's id among them."""
        digest = hashlib.sha256(f"{self._model.name}/{name}".encode()).hexdigest()[:20]
        return f"{_stem(self._paths.evaluation_id)}{digest}"


@transient_faults()
def stop_batch_jobs(config: SuiteConfig, evaluation_id: str, client: Any = None) -> list[str]:
    """Stop each batch inference job of an evaluation that still runs, and name those that were stopped.

    Raises:
        TransientError: Bedrock did not answer; calling again may.
    """
    sections = (model.bedrock_config for model in config.models)
    stopped = []
    for region in {section.region for section in sections if section.batch_from_records is not None}:
        bedrock = client if client is not None else _client(region)
        for name, arn, status in list(_jobs(bedrock, _stem(evaluation_id))):
            if status not in _ENDED and status != "Stopping":
                _stop(bedrock, arn)
                stopped.append(name)
    return stopped


def _client(region: str | None) -> Any:
    """Jobs take hours: a call that fails for a moment is tried again at once."""
    retries: Any = {"mode": "standard", "total_max_attempts": 4}
    settings = Config(retries=retries, connect_timeout=10, read_timeout=60)
    return boto3.client("bedrock", region_name=region, config=settings)


def _stem(evaluation_id: str) -> str:
    return f"assay-{evaluation_id}-"


def _jobs(client: Any, part: str) -> Iterator[tuple[str, str, str]]:
    """Name, ARN and status of each job whose name holds `part`."""
    for page in client.get_paginator("list_model_invocation_jobs").paginate(nameContains=part):
        for item in page.get("invocationJobSummaries", []):
            yield item["jobName"], item["jobArn"], item.get("status", "")


def _stop(client: Any, arn: str) -> None:
    try:
        client.stop_model_invocation_job(jobIdentifier=arn)
    except ClientError as error:
        # It ended, or was stopped, a moment ago.
        if error.response["Error"]["Code"] != "ConflictException":
            raise


def _read(line: bytes) -> tuple[int, Answer | ModelCallError] | None:
    """A line of a job's output: the number of the request, and what became of it."""
    try:
        record = json.loads(line)
        number = _NUMBER.fullmatch(record["recordId"])
    except (ValueError, KeyError, TypeError):
        return None
    if number is None:
        return None
    return int(number[1]), _result(record)


def _result(record: dict[str, Any]) -> Answer | ModelCallError:
    if "modelOutput" not in record:
        return _failure(record.get("error"))
    try:
        return reading(record["modelOutput"], None)
    except ModelCallError as error:
        return error
    except (AttributeError, TypeError) as error:
        return MalformedReplyError(f"the reply cannot be read ({type(error).__name__})")


def _failure(error: Any) -> ModelCallError:
    """An error of one record. What it says in words may quote the prompt, and is left out."""
    code = str(error.get("errorCode")) if isinstance(error, dict) else "no code"
    reason = f"the batch job failed this record: {code[:60]}"
    status = int(code) if code.isdigit() and len(code) == 3 else 0
    if status == 429 or "hrottl" in code:
        return ThrottledError(reason)
    if status >= 500 or status in (408, 424):
        return UnavailableError(reason)
    return ModelAnswerError(reason)
