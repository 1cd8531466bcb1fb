"""Bedrock and an API of OpenAI's format: real small models answer, real errors come back, and no process stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import urllib3
from botocore.exceptions import ClientError

from local.faults import FAULTS
from tests.local.conftest import Running, eventually

NEAREST = "local.nearest-neighbour-minilm-v1:0"
QUESTION = "In which city is the Eiffel Tower?"
MESSAGES = [{"role": "user", "content": [{"text": QUESTION}]}]


@pytest.fixture(autouse=True)
def _no_fault_is_left(running: Running) -> Iterator[None]:
    yield
    FAULTS.clear()


def post(running: Running, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    url = f"{running.settings.endpoint_url}{path}"
    answer = urllib3.request("POST", url, body=json.dumps(body).encode(), headers=headers, retries=False, timeout=120)
    return answer.status, json.loads(answer.data or b"null")


def chat(running: Running, key: str | None = "Bearer any", **request: Any) -> tuple[int, Any]:
    body = {"model": "nearest-neighbour-minilm", "messages": [{"role": "user", "content": QUESTION}], **request}
    return post(running, "/_local/openai/v1/chat/completions", body, **({} if key is None else {"Authorization": key}))


@pytest.mark.parametrize(
    "identifier",
    [
        NEAREST,
        f"eu.{NEAREST}",
        f"arn:aws:bedrock:eu-west-1::foundation-model/{NEAREST}",
        f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.{NEAREST}",
        "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/nearest-neighbour-minilm",
        "arn:aws:bedrock:eu-west-1:123456789012:imported-model/nearest-neighbour-minilm",
    ],
)
def test_converse_answers_for_every_way_to_name_a_model(running: Running, identifier: str) -> None:
    reply = running.aws("bedrock-runtime").converse(modelId=identifier, messages=MESSAGES)
    assert reply["output"]["message"] == {"role": "assistant", "content": [{"text": "Paris"}]}
    assert reply["stopReason"] == "end_turn"
    usage = reply["usage"]
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"] > usage["outputTokens"] > 0
    assert reply["metrics"]["latencyMs"] >= 0


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"modelId": "amazon.nova-lite-v1:0", "messages": MESSAGES}, "model identifier is invalid"),
        ({"modelId": NEAREST, "messages": [{"role": "assistant", "content": [{"text": "a"}]}]}, "start with a user"),
        ({"modelId": NEAREST, "messages": MESSAGES * 2}, "alternate"),
        ({"modelId": NEAREST, "messages": MESSAGES, "additionalModelRequestFields": {"k": 1}}, "unknown parameters: k"),
        (
            {
                "modelId": NEAREST,
                "messages": MESSAGES,
                "guardrailConfig": {"guardrailIdentifier": "g" * 10, "guardrailVersion": "1"},
            },
            "not carried out",
        ),
    ],
)
def test_converse_refuses_what_it_does_not_carry_out(running: Running, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words) as refused:
        running.aws("bedrock-runtime").converse(**request_)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_an_api_of_openais_format_wants_a_key_and_a_model_that_it_has(running: Running) -> None:
    status, reply = chat(running)
    assert (status, reply["choices"][0]["message"]["content"], reply["object"]) == (200, "Paris", "chat.completion")
    assert reply["usage"]["completion_tokens"] > 0
    for key in (None, "Bearer ", "Basic any"):
        status, reply = chat(running, key)
        assert (status, reply["error"]["code"]) == (401, "invalid_api_key")
    status, reply = chat(running, model="gpt-4o")
    assert (status, reply["error"]["code"]) == (404, "model_not_found")
    status, reply = chat(running, n=2)
    assert (status, reply["error"]["type"]) == (400, "invalid_request_error")


def test_faults_are_asked_for_and_come_once_each(running: Running) -> None:
    wanted = [
        {"kind": "answer", "api": "bedrock", "code": "ThrottlingException"},
        {"kind": "answer", "api": "openai", "code": "server_error"},
    ]
    assert post(running, "/_local/faults", wanted, **{"Content-Type": "application/json"})[0] == 200
    with pytest.raises(ClientError) as throttled:
        running.aws("bedrock-runtime").converse(modelId=NEAREST, messages=MESSAGES)
    assert throttled.value.response["Error"]["Code"] == "ThrottlingException"
    assert throttled.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert chat(running)[0] == 500
    assert chat(running)[0] == 200
    FAULTS.add([{"kind": "answer", "api": "bedrock", "code": "server_error"}])
    with pytest.raises(ClientError, match=r"there are: .*ThrottlingException"):
        running.aws("bedrock-runtime").converse(modelId=NEAREST, messages=MESSAGES)


def test_the_model_servers_rest_when_the_cloud_does_and_come_back(running: Running) -> None:
    chat(running)
    servers = [child for child in psutil.Process().children() if "local.models.serve" in child.cmdline()]
    assert servers
    assert post(running, "/_local/rest", {})[0] == 204
    psutil.wait_procs(servers, timeout=10)
    assert not any(server.is_running() for server in servers)
    assert chat(running)[0] == 200


def batch(bucket: str, **changes: Any) -> dict[str, Any]:
    """What creates a job about what lies in the bucket."""
    return {
        "jobName": "a-job",
        "clientRequestToken": "a-token",
        "roleArn": "arn:aws:iam::123456789012:role/batch",
        "modelId": NEAREST,
        "modelInvocationType": "Converse",
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": f"s3://{bucket}/in/questions.jsonl"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{bucket}/out/"}},
        **changes,
    }


@pytest.fixture(scope="module")
def bucket(running: Running) -> str:
    name = "batch-inference"
    where: Any = {"LocationConstraint": "eu-west-1"}
    running.aws("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    line = json.dumps({"recordId": "R%010d", "modelInput": {"messages": MESSAGES}})
    body = "".join(line.replace("%010d", f"{number:010d}") + "\n" for number in range(100))
    running.aws("s3").put_object(Bucket=name, Key="in/questions.jsonl", Body=body.encode())
    running.aws("s3").put_object(Bucket=name, Key="in/few.jsonl", Body="".join(body.splitlines(True)[:99]).encode())
    return name


def ended(running: Running, arn: str) -> dict[str, Any]:
    bedrock = running.aws("bedrock")
    states = ("Submitted", "Validating", "InProgress", "Stopping")
    eventually(lambda: bedrock.get_model_invocation_job(jobIdentifier=arn)["status"] not in states, 60)
    found: dict[str, Any] = bedrock.get_model_invocation_job(jobIdentifier=arn)
    return found


def test_a_batch_job_reads_the_bucket_asks_the_model_and_writes_what_it_said(running: Running, bucket: str) -> None:
    bedrock, s3 = running.aws("bedrock"), running.aws("s3")
    arn = bedrock.create_model_invocation_job(**batch(bucket))["jobArn"]
    assert bedrock.create_model_invocation_job(**batch(bucket))["jobArn"] == arn
    job = ended(running, arn)
    assert (job["status"], job["successRecordCount"], job["errorRecordCount"]) == ("Completed", 100, 0)
    folder = f"out/{arn.rpartition('/')[2]}"
    body = s3.get_object(Bucket=bucket, Key=f"{folder}/questions.jsonl.out")["Body"].read()
    lines = [json.loads(line) for line in body.splitlines()]
    assert {line["recordId"] for line in lines} == {f"R{number:010d}" for number in range(100)}
    assert {line["modelOutput"]["output"]["message"]["content"][0]["text"] for line in lines} == {"Paris"}
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=f"{folder}/manifest.json.out")["Body"].read())
    assert (manifest["totalRecordCount"], manifest["processedRecordCount"]) == (100, 100)
    assert manifest["inputTokenCount"] == sum(line["modelOutput"]["usage"]["inputTokens"] for line in lines)
    [listed] = bedrock.list_model_invocation_jobs(nameContains="a-jo")["invocationJobSummaries"]
    assert (listed["jobArn"], listed["modelInvocationType"]) == (arn, "Converse")
    with pytest.raises(ClientError, match="cannot be stopped"):
        bedrock.stop_model_invocation_job(jobIdentifier=arn)


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"modelInvocationType": "InvokeModel"}, "ValidationException", "Converse's format only"),
        ({"modelId": "amazon.nova-lite-v1:0"}, "ValidationException", "model identifier is invalid"),
        (
            {"modelId": "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/nearest-neighbour-minilm"},
            "ValidationException",
            "not supported for this model",
        ),
        ({"vpcConfig": {"subnetIds": ["s"], "securityGroupIds": ["g"]}}, "ValidationException", "vpcConfig"),
        ({"roleArn": "a-role"}, "ValidationException", "role's ARN"),
        ({"jobName": "a job"}, "ValidationException", "job name"),
        ({"jobName": "another-job"}, "ConflictException", "token"),
        ({"clientRequestToken": "another-token"}, "ConflictException", "in use"),
    ],
)
def test_a_batch_job_that_is_not_carried_out_is_refused(
    running: Running, bucket: str, changes: dict[str, Any], code: str, words: str
) -> None:
    running.aws("bedrock").create_model_invocation_job(**batch(bucket))
    with pytest.raises(ClientError, match=words) as refused:
        running.aws("bedrock").create_model_invocation_job(**batch(bucket, **changes))
    assert refused.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    ("file", "words"), [("few", "100 to 50000 records, found 99"), ("none", "could not be read with the given role")]
)
def test_a_batch_job_fails_about_what_it_cannot_take(running: Running, bucket: str, file: str, words: str) -> None:
    source = {"s3InputDataConfig": {"s3Uri": f"s3://{bucket}/in/{file}.jsonl"}}
    request = batch(bucket, inputDataConfig=source, jobName=file, clientRequestToken=file)
    arn = running.aws("bedrock").create_model_invocation_job(**request)["jobArn"]
    job = ended(running, arn)
    assert job["status"] == "Failed"
    assert words in job["message"]


def test_a_call_about_batch_jobs_can_be_throttled(running: Running) -> None:
    fault = {"kind": "api", "api": "bedrock:GET", "about": "/model-invocation-jobs", "status": 429}
    FAULTS.add([fault])
    with pytest.raises(ClientError) as throttled:
        running.aws("bedrock").list_model_invocation_jobs()
    assert throttled.value.response["Error"]["Code"] == "ThrottlingException"
    with pytest.raises(ClientError) as missing:
        running.aws("bedrock").get_model_invocation_job(jobIdentifier="abcdef123456")
    assert missing.value.response["Error"]["Code"] == "ResourceNotFoundException"
