"""One suite, four ways to serve a model: from weights in S3, serverless, behind a queue, as an inference component."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.config import load_config
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.results import Comparison, ModelOutcome
from local.adapters.sagemaker_jumpstart import MODEL_VARIABLE
from tests.end_to_end.conftest import Cloud

SUITE, RECORDS = "ways-of-serving", 12
LIVE, COMPONENT = "two-models-share-me", "answers-questions"
NEAREST = "nearest-neighbour-minilm"
CONFIG = f"""\
pipeline: {{name: {SUITE}}}
dataset: {{input_data_location: {SUITE}.jsonl}}
models:
  - name: from-s3
    provider: huggingface
    deployment_config: {{instance_type: ml.g5.xlarge}}
    huggingface_config: {{model_data: "s3://BUCKET/models/tiny/"}}
    evaluation_config:
      request_format: chat_completions
      inference_parameters: {{max_tokens: 8, temperature: 0}}
  - name: serverless
    model_id: assay-{NEAREST}
    deployment_config: {{serverless: {{memory_mb: 4096, max_concurrency: 8}}}}
  - name: queued
    model_id: assay-{NEAREST}
    deployment_config:
      instance_type: ml.m5.xlarge
      asynchronous: {{max_concurrent_invocations: 2}}
  - name: component
    provider: endpoint
    endpoint_name: {LIVE}
    inference_component_name: {COMPONENT}
algorithms: [FactualKnowledge]
limits: {{concurrency: 8}}
"""
DEPLOYED = ("from-s3", "serverless", "queued")
WAYS = (*DEPLOYED, "component")


def tiny_model(folder: Path, cache: Path) -> None:
    """A language model of random weights, as `save_pretrained` writes it: it answers in no time, and nonsense."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from local.models.weights import smollm2_directory

    tokenizer = AutoTokenizer.from_pretrained(smollm2_directory(cache))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(7)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)


@pytest.fixture(scope="module")
def live(cloud: Cloud) -> Iterator[None]:
    """An endpoint of somebody else's, with a component."""
    sagemaker = cloud.stack.client("sagemaker")
    variant = {"VariantName": "AllTraffic", "InstanceType": "ml.m5.2xlarge", "InitialInstanceCount": 1}
    role = "arn:aws:iam::123456789012:role/theirs"
    sagemaker.create_endpoint_config(EndpointConfigName=LIVE, ExecutionRoleArn=role, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=LIVE, EndpointConfigName=LIVE)
    cloud.wait(lambda: sagemaker.describe_endpoint(EndpointName=LIVE)["EndpointStatus"] == "InService")
    sagemaker.create_inference_component(
        InferenceComponentName=COMPONENT,
        EndpointName=LIVE,
        VariantName="AllTraffic",
        Specification={
            "Container": {"Image": "image", "Environment": {MODEL_VARIABLE: NEAREST}},
            "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 1024},
        },
        RuntimeConfig={"CopyCount": 1},
    )
    described = sagemaker.describe_inference_component
    cloud.wait(lambda: described(InferenceComponentName=COMPONENT)["InferenceComponentStatus"] == "InService")
    yield
    sagemaker.delete_inference_component(InferenceComponentName=COMPONENT)
    cloud.wait(lambda: not sagemaker.list_inference_components()["InferenceComponents"])
    sagemaker.delete_endpoint(EndpointName=LIVE)
    sagemaker.delete_endpoint_config(EndpointConfigName=LIVE)


@pytest.fixture(scope="module")
def finished(cloud: Cloud, live: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[EvaluationPaths, Comparison]:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(folder, cloud.stack.settings.project / ".assay/cache/models")
    for file in folder.iterdir():
        cloud.drop(f"models/tiny/{file.name}", file.read_bytes())
    question, city = "In which city is the Eiffel Tower?", "Paris"
    lines = [
        json.dumps({"id": str(number), "model_input": question, "target_output": city}) for number in range(RECORDS)
    ]
    cloud.drop(f"catalogs/{SUITE}.jsonl", "\n".join(lines))
    cloud.drop(f"configs/{SUITE}.yaml", CONFIG.replace("BUCKET", cloud.bucket))
    [completed] = cloud.wait(lambda: cloud.events("EvaluationCompleted", suite=SUITE))
    paths = EvaluationPaths(cloud.bucket, SUITE, completed["evaluation_id"])
    return paths, Comparison.model_validate_json(cloud.read(paths.comparison))


def responses(cloud: Cloud, paths: EvaluationPaths, model: str) -> list[dict[str, Any]]:
    keys = cloud.keys(paths.responses(model))
    return [json.loads(line) for key in keys for line in cloud.read(key).splitlines()]


def test_each_way_of_serving_answers_every_record(cloud: Cloud, finished: tuple[EvaluationPaths, Comparison]) -> None:
    outcomes = {model.model: model.outcome for model in finished[1].models}
    assert set(outcomes) == set(WAYS)
    for outcome in outcomes.values():
        assert (outcome.status, outcome.answered, outcome.failed) == ("evaluated", RECORDS, 0), outcome.failure
    assert [outcomes[name].instance_type for name in WAYS] == [
        "ml.g5.xlarge",
        "serverless 4096 MB",
        "ml.m5.xlarge",
        "ml.m5.2xlarge",
    ]
    for name in ("serverless", "queued", "component"):
        assert {response["text"] for response in responses(cloud, finished[0], name)} == {"Paris"}
    said = responses(cloud, finished[0], "from-s3")
    assert {response["output_tokens"] for response in said} == {8}
    assert "Paris" not in {response["text"] for response in said}


def test_only_of_the_one_behind_a_queue_no_latency_is_known(
    cloud: Cloud, finished: tuple[EvaluationPaths, Comparison]
) -> None:
    paths, comparison = finished
    for name in WAYS:
        outcome = ModelOutcome.model_validate_json(cloud.read(paths.outcome(name)))
        assert (outcome.latency is None) == (name == "queued")
        assert outcome.wall_seconds is not None
    assert any("queued" in sentence and "no latency" in sentence for sentence in comparison.assumptions)


def test_requests_and_answers_of_the_queue_lie_below_the_evaluation(
    cloud: Cloud, finished: tuple[EvaluationPaths, Comparison]
) -> None:
    lying = cloud.keys(f"{finished[0].asynchronous}/")
    for kind in ("requests", "answers"):
        assert sum(key.startswith(f"{finished[0].asynchronous}/{kind}/") for key in lying) == RECORDS
    assert len(lying) == 2 * RECORDS


REQUESTED = f"""\
pipeline: {{name: asked-for-weights}}
dataset: {{input_data_location: {SUITE}.jsonl}}
models:
  - name: candidate
    provider: huggingface
    model_id: HuggingFaceTB/SmolLM2-135M-Instruct
    deployment_config: {{instance_type: ml.g5.xlarge}}
    evaluation_config:
      request_format: chat_completions
      inference_parameters: {{max_tokens: 4, temperature: 0}}
algorithms: [FactualKnowledge]
"""


def test_a_pipeline_may_have_weights_of_its_own_evaluated_in_the_place_of_a_model(
    cloud: Cloud, finished: tuple[EvaluationPaths, Comparison]
) -> None:
    weights = f"s3://{cloud.bucket}/models/tiny/"
    override = {"name": "candidate", "model_data": weights}
    cloud.request(config=REQUESTED, model=override, correlation_id="build 22")
    [completed] = cloud.wait(lambda: cloud.events("EvaluationCompleted", correlation_id="build 22"))
    paths = EvaluationPaths(cloud.bucket, "asked-for-weights", completed["evaluation_id"])
    outcome = ModelOutcome.model_validate_json(cloud.read(paths.outcome("candidate")))
    assert (outcome.status, outcome.answered, outcome.failed) == ("evaluated", RECORDS, 0), outcome.failure
    [model] = load_config(cloud.read(paths.config), paths.config).models
    assert (model.provider, model.huggingface_config.model_data) == ("huggingface", weights)
    assert outcome.endpoint_name not in cloud.endpoints()


def test_what_was_deployed_is_gone_and_what_was_there_stays(
    cloud: Cloud, finished: tuple[EvaluationPaths, Comparison]
) -> None:
    sagemaker = cloud.stack.client("sagemaker")
    deployed = {model.outcome.endpoint_name for model in finished[1].models if model.model in DEPLOYED}
    assert len(deployed) == len(DEPLOYED)
    assert LIVE in cloud.endpoints()
    assert not deployed & set(cloud.endpoints())
    for kind in ("EndpointConfig", "Model"):
        page = getattr(sagemaker, f"list_{'endpoint_configs' if kind == 'EndpointConfig' else 'models'}")()
        assert not deployed & {item[f"{kind}Name"] for item in page[f"{kind}s"]}
