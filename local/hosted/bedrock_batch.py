"""Bedrock's batch inference on the wire: jobs are created, looked at, listed and stopped, and are really carried out.

A job reads each line of its input from the bucket, asks the model server behind Converse, and writes what it said, or
the error of the record, as Bedrock does: `<output>/<job>/<input>.out` and `<output>/<job>/manifest.json.out`. Nothing
waits in a queue here; a job begins at once. `InvokeModel` bodies, VPCs and keys of one's own are refused.

Faults of the service `bedrock-batch`, one a job: `Failed`, `Expired`, `PartiallyCompleted` (half of the records are
done), `Hanging` (the first half is done, the rest never). A fault of `bedrock` befalls a record, as it would a request.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from werkzeug.wrappers import Request, Response

from local.cloud import ACCOUNT_ID
from local.faults import Faults
from local.hosted.bedrock import Bedrock, InvalidError, served

SERVICE = "bedrock-batch"
FAULTS = ("Failed", "Expired", "PartiallyCompleted", "Hanging")
COLLECTION = re.compile(r"/model-invocation-jobs?")
ITEM = re.compile(r"/model-invocation-job/(?P<job>[^/]+|arn:.+/[a-z0-9]{12})(?P<stop>/stop)?")
# AWS's default quotas: records of a job, and jobs of a model that have not ended.
LEAST_RECORDS, MOST_RECORDS, MOST_JOBS = 100, 50_000, 20
THREADS = 8
_NAME = re.compile(r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9+\-.]){0,63}")
_TOKEN = re.compile(r"[a-zA-Z0-9]{1,256}(-*[a-zA-Z0-9]){0,256}")
_ROLE = re.compile(r"arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+")
_S3 = re.compile(r"s3://([a-z0-9][-.a-z0-9]{1,61}[a-z0-9])/([-!_*'().a-z0-9A-Z/]+)")
_ONLY_ON_DEMAND = re.compile(r":(provisioned-model|imported-model|custom-model-deployment)/")
_REQUEST_KEYS = {
    "clientRequestToken",
    "inputDataConfig",
    "jobName",
    "modelId",
    "modelInvocationType",
    "outputDataConfig",
    "roleArn",
    "tags",
    "timeoutDurationInHours",
}
_KINDS = ("input", "output")
_DONE = ("processedRecordCount", "successRecordCount", "errorRecordCount")
_OPEN = ("Submitted", "Validating", "Scheduled", "InProgress", "Stopping")
_STATUS = {
    "ConflictException": 400,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 400,
    "ValidationException": 400,
}


class Objects(Protocol):
    """The buckets that jobs read and write."""

    def read(self, bucket: str, key: str, /) -> bytes | None: ...
    def write(self, bucket: str, key: str, body: bytes, /) -> None: ...


class RefusedError(Exception):
    """A call is refused: the service's code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Job:
    """One job.

    Attributes:
        request: as it was created.
        fault: how it is to go wrong.
    """

    arn: str
    region: str
    request: dict[str, Any]
    fault: str | None
    status: str = "Submitted"
    message: str | None = None
    submitted: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def described(self) -> dict[str, Any]:
        """As GetModelInvocationJob tells it; what is not known is left out."""
        hours = int(self.request.get("timeoutDurationInHours", 24))
        keys = _REQUEST_KEYS - {"tags", "timeoutDurationInHours"}
        told = {key: self.request[key] for key in keys if key in self.request} | {
            "jobArn": self.arn,
            "status": self.status,
            "message": self.message,
            "submitTime": _time(self.submitted),
            "lastModifiedTime": _time(self.ended or self.submitted),
            "endTime": None if self.ended is None else _time(self.ended),
            "timeoutDurationInHours": hours,
            "jobExpirationTime": _time(self.submitted + timedelta(hours=hours)),
            **self.counts,
        }
        return {key: value for key, value in told.items() if value is not None}


class BatchJobs:
    """The jobs of an account in all regions, as long as the process lives.

    Args:
        bedrock: answers each record.
        objects: the buckets.
        faults: what is to go wrong.
        stopping: set when the local cloud ends.
    """

    def __init__(self, bedrock: Bedrock, objects: Objects, faults: Faults, stopping: threading.Event) -> None:
        self._bedrock = bedrock
        self._objects = objects
        self._faults = faults
        self._stopping = stopping
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def handles(self, request: Request) -> bool:
        """Whether a request is about jobs."""
        return COLLECTION.fullmatch(request.path) is not None or ITEM.fullmatch(request.path) is not None

    def answer(self, request: Request) -> Response:
        """Carry out one call."""
        region = _region(request)
        try:
            item = ITEM.fullmatch(request.path)
            if item is None and request.method == "POST":
                return _json({"jobArn": self._create(json.loads(request.get_data()), region).arn})
            if item is None:
                return _json(self._listed(dict(request.args), region))
            job = self._job(item["job"], region)
            if item["stop"]:
                self._stop(job)
                return _json({})
            return _json(job.described())
        except RefusedError as refused:
            kind = f"{refused.code}:http://internal.amazon.com/coral/com.amazon.bedrock/"
            body = json.dumps({"message": str(refused)})
            headers = {"x-amzn-ErrorType": kind, "x-amzn-RequestId": str(uuid.uuid4())}
            return Response(body, _STATUS[refused.code], headers, content_type="application/json")

    def _create(self, request: dict[str, Any], region: str) -> Job:
        _check(request)
        fault = None
        with self._lock:
            there = [job for job in self._jobs.values() if job.region == region]
            token = request.get("clientRequestToken")
            for job in there:
                if token is not None and job.request.get("clientRequestToken") == token:
                    if job.request != request:
                        raise RefusedError("ConflictException", "The client token was used with other parameters.")
                    return job
                if job.request["jobName"] == request["jobName"]:
                    raise RefusedError("ConflictException", "The provided job name is currently in use.")
            if sum(job.request["modelId"] == request["modelId"] and job.status in _OPEN for job in there) >= MOST_JOBS:
                raise RefusedError("ServiceQuotaExceededException", "Too many batch inference jobs of this model.")
            fault = self._faults.answer(SERVICE, FAULTS)
            arn = f"arn:aws:bedrock:{region}:{ACCOUNT_ID}:model-invocation-job/{uuid.uuid4().hex[:12]}"
            job = self._jobs[arn] = Job(arn, region, request, fault)
        threading.Thread(target=self._run, args=(job,), name="batch-inference", daemon=True).start()
        return job

    def _job(self, identifier: str, region: str) -> Job:
        for arn, job in self._jobs.items():
            if job.region == region and identifier in (arn, arn.rpartition("/")[2]):
                return job
        raise RefusedError("ResourceNotFoundException", "Could not find the batch inference job.")

    def _listed(self, wanted: dict[str, str], region: str) -> dict[str, Any]:
        if unknown := set(wanted) - {"nameContains", "statusEquals", "maxResults", "nextToken"}:
            raise RefusedError("ValidationException", f"not carried out by the local cloud: {sorted(unknown)}")
        found = [
            job.described()
            for job in self._jobs.values()
            if job.region == region
            and wanted.get("nameContains", "") in job.request["jobName"]
            and wanted.get("statusEquals", job.status) == job.status
        ]
        first, size = int(wanted.get("nextToken", 0)), int(wanted.get("maxResults", 100))
        more = {"nextToken": str(first + size)} if len(found) > first + size else {}
        return {"invocationJobSummaries": found[first : first + size], **more}

    def _stop(self, job: Job) -> None:
        with self._lock:
            if job.status not in _OPEN:
                raise RefusedError("ConflictException", f"The job is {job.status} and cannot be stopped.")
            job.status = "Stopping"

    def _run(self, job: Job) -> None:
        try:
            status, message = self._carried_out(job)
        except Exception as error:  # noqa: BLE001 - a job of the service ends as Failed, whatever befell it
            status, message = "Failed", f"{type(error).__name__}: {error}"
        with self._lock:
            job.status, job.message, job.ended = status, message, datetime.now(UTC)

    def _carried_out(self, job: Job) -> tuple[str, str | None]:
        self._proceed(job, "Validating")
        bucket, key = _place(job.request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"])
        try:
            inputs = _inputs(self._objects.read(bucket, key))
        except InvalidError as error:
            return "Failed", str(error)
        if job.fault in ("Failed", "Expired"):
            return job.fault, "The fault that was asked for."
        self._proceed(job, "InProgress")
        part = inputs[: len(inputs) // 2] if job.fault in ("PartiallyCompleted", "Hanging") else inputs
        job.counts = {"totalRecordCount": len(inputs)} | dict.fromkeys(_DONE, 0)
        results = []
        with ThreadPoolExecutor(THREADS) as pool:
            for result in pool.map(lambda item: self._asked(job, *item), part):
                if result is not None:
                    results.append(result)
                    job.counts["processedRecordCount"] += 1
                    job.counts["successRecordCount" if result[1] else "errorRecordCount"] += 1
        while job.fault == "Hanging" and job.status != "Stopping" and not self._stopping.is_set():
            time.sleep(0.02)
        self._write(job, results, key.rpartition("/")[2])
        if job.status == "Stopping":
            return "Stopped", None
        return ("PartiallyCompleted" if job.fault == "PartiallyCompleted" else "Completed"), None

    def _proceed(self, job: Job, status: str) -> None:
        with self._lock:
            if job.status != "Stopping":
                job.status = status

    def _asked(self, job: Job, record_id: str, model_input: Any) -> tuple[bytes, dict[str, int]] | None:
        """The line of a record and its tokens; None once the job is stopped."""
        if job.status == "Stopping" or self._stopping.is_set():
            return None
        reply = self._bedrock.carry_out(job.request["modelId"], json.dumps(model_input).encode())
        line: dict[str, Any] = {"recordId": record_id, "modelInput": model_input}
        raw = reply.get_data()
        if reply.status_code == 200:
            try:
                line["modelOutput"] = json.loads(raw)
            except ValueError:
                return json.dumps(line).encode()[:-1] + b', "modelOutput": {"outp', {}
            return json.dumps(line).encode(), line["modelOutput"]["usage"]
        line["error"] = {"errorCode": reply.status_code, "errorMessage": json.loads(raw)["message"]}
        return json.dumps(line).encode(), {}

    def _write(self, job: Job, results: list[tuple[bytes, dict[str, int]]], file: str) -> None:
        bucket, prefix = _place(job.request["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"])
        folder = f"{prefix.rstrip('/')}/{job.arn.rpartition('/')[2]}"
        tokens = {f"{kind}TokenCount": sum(usage.get(f"{kind}Tokens", 0) for _, usage in results) for kind in _KINDS}
        # In the order in which a real job has them, which is none.
        body = b"".join(line + b"\n" for line, _ in reversed(results))
        self._objects.write(bucket, f"{folder}/{file}.out", body)
        self._objects.write(bucket, f"{folder}/manifest.json.out", json.dumps(job.counts | tokens).encode())


def _check(request: dict[str, Any]) -> None:
    """Refuse what Bedrock would refuse, and what is not carried out here."""

    def demand(fits: object, message: str) -> None:
        if not fits:
            raise RefusedError("ValidationException", message)

    unknown = sorted(set(request) - _REQUEST_KEYS)
    demand(not unknown, f"not carried out by the local cloud: {', '.join(unknown)}")
    demand(_NAME.fullmatch(str(request.get("jobName"))) and len(request["jobName"]) <= 63, "The job name is invalid.")
    demand(_TOKEN.fullmatch(str(request.get("clientRequestToken", "a"))), "The client token is invalid.")
    demand(_ROLE.fullmatch(str(request.get("roleArn"))), "The role's ARN is invalid.")
    kind = request.get("modelInvocationType", "InvokeModel")
    demand(kind == "Converse", f"The local cloud carries out jobs in Converse's format only, not {kind}.")
    demand(24 <= request.get("timeoutDurationInHours", 24) <= 168, "A job may take 24 to 168 hours.")
    source = request.get("inputDataConfig", {}).get("s3InputDataConfig", {})
    target = request.get("outputDataConfig", {}).get("s3OutputDataConfig", {})
    demand(source.get("s3InputFormat", "JSONL") == "JSONL" and set(source) <= {"s3InputFormat", "s3Uri"}, "Only JSONL.")
    demand(set(target) == {"s3Uri"}, "The local cloud takes `s3Uri` only of the output's place.")
    demand(_S3.fullmatch(str(source.get("s3Uri"))), "The place of the input is invalid.")
    demand(_S3.fullmatch(str(target.get("s3Uri"))), "The place of the output is invalid.")
    demand(source["s3Uri"].endswith(".jsonl"), "The local cloud takes one .jsonl file as input, and no folder.")
    model = str(request.get("modelId"))
    demand(not _ONLY_ON_DEMAND.search(model), "Batch inference is not supported for this model.")
    try:
        served(model)
    except InvalidError as error:
        raise RefusedError("ValidationException", str(error)) from error


def _inputs(body: bytes | None) -> list[tuple[str, Any]]:
    """Id and request of each record.

    Raises:
        InvalidError: the input is not what a job takes; the message is the job's.
    """
    if body is None:
        raise InvalidError("The input file could not be read with the given role.")
    try:
        records = [json.loads(line) for line in body.split(b"\n") if line]
        inputs = [(str(record["recordId"]), record["modelInput"]) for record in records]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidError("A record of the input is not a JSON object with recordId and modelInput.") from error
    if not LEAST_RECORDS <= len(inputs) <= MOST_RECORDS:
        raise InvalidError(f"A job takes {LEAST_RECORDS} to {MOST_RECORDS} records, found {len(inputs)}.")
    return inputs


def _place(uri: str) -> tuple[str, str]:
    found = _S3.fullmatch(uri)
    if found is None:
        raise ValueError(f"not a place in S3: {uri}")
    return found[1], found[2]


def _region(request: Request) -> str:
    found = re.search(r"Credential=[^/]+/\d+/([^/]+)/", request.headers.get("Authorization", ""))
    return found[1] if found else "eu-west-1"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), 200, {"x-amzn-RequestId": str(uuid.uuid4())}, content_type="application/json")


def of_s3(client: Callable[[], Any]) -> Objects:
    """The buckets of an S3 client, made when they are needed first."""
    return _S3Objects(client)


class _S3Objects:
    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def read(self, bucket: str, key: str) -> bytes | None:
        client = self._client()
        try:
            body: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except client.exceptions.NoSuchKey:
            return None
        return body

    def write(self, bucket: str, key: str, body: bytes) -> None:
        self._client().put_object(Bucket=bucket, Key=key, Body=body)
