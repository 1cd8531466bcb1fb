"""What a config may say, and how each fault is told."""

from __future__ import annotations

import pytest

from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.errors import Fault, RejectedError

GOOD = """\
pipeline:
  name: capitals
dataset:
  input_data_location: capitals.jsonl
models:
  - name: small
    model_id: some-model
    deployment_config:
      instance_type: ml.m5.xlarge
algorithms:
  - FactualKnowledge
"""


def rejection(text: str | bytes) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        load_config(text if isinstance(text, bytes) else text.encode(), "configs/capitals.yaml")
    return caught.value


def load(text: str) -> SuiteConfig:
    return load_config(text.encode(), "configs/capitals.yaml")


def only_fault(text: str | bytes) -> Fault:
    error = rejection(text)
    assert len(error.faults) == 1, error.faults
    return error.faults[0]


def test_a_small_config_is_completed_with_defaults() -> None:
    config = load(GOOD)
    assert config.suite == "capitals"
    assert config.model_package_group == "capitals"
    assert config.dataset.catalog_key() == "catalogs/capitals.jsonl"
    assert config.metric() == ("FactualKnowledge", "factual_knowledge", "higher")
    assert config.gate.confidence == 0.95
    assert config.models[0].provider == "jumpstart"


def test_a_config_in_the_spelling_of_the_seed_project_is_understood() -> None:
    text = """\
pipeline:
    name: "llm-evaluation-single-model"
dataset:
    dataset_name: "trivia"
    input_data_location: "trivia.jsonl"
    dataset_mime_type: "jsonlines"
    model_input_key: "question"
    target_output_key: "answer"
models:
  - name: "chat-7b"
    model_provider: "jumpstart"
    model_id: "vendor-textgeneration-7b"
    model_version: "3.0.0"
    endpoint_name: "llm-eval-chat-7b"
    deployment_config:
      instance_type: "ml.g5.2xlarge"
      num_instances: 1
    evaluation_config:
      output: '[0].generation.content'
      content_template: [[{"role":"user", "content": "PROMPT_PLACEHOLDER"}]]
      inference_parameters:
        max_new_tokens: 100
        top_p: 0.9
      custom_attributes:
        accept_eula: True
      prompt_template: "$feature"
    cleanup_endpoint: True
model_registry:
  model_package_group_name: "Evaluated"
  model_package_group_description: "Evaluated models"
algorithms:
  - algorithm: "FactualKnowledge"
    module: "fmeval.eval_algorithms.factual_knowledge"
    config: "FactualKnowledgeConfig"
    target_output_delimiter: "<OR>"
"""
    config = load(text)
    assert config.model_package_group == "Evaluated"
    assert config.models[0].evaluation_config.custom_attributes == {"accept_eula": True}


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "message"),
    [
        ("name: capitals", "name: capitals of the world", 2, "pipeline.name", "found"),
        ("  name: capitals", "  {}", 1, "pipeline.name", "missing"),
        ("pipeline:\n  name: capitals\n", "", 1, "pipeline", "missing"),
        ("input_data_location: capitals.jsonl", "input_data_location: 7", 4, "dataset.input_data_location", "found 7"),
        ("capitals.jsonl", "capitals.jsonl\n  num_record: 5", 5, "dataset.num_record", "did you mean `num_records`?"),
        ("capitals.jsonl", "capitals.jsonl\n  num_records: 0", 5, "dataset.num_records", "found 0"),
        ("capitals.jsonl", "capitals.jsonl\n  num_records: .nan", 5, "dataset.num_records", "finite"),
        ("capitals.jsonl", "capitals.jsonl\n  seed: '1'", 5, "dataset.seed", 'found "1"'),
        ("model_id: some-model", "model_id: some-model\n    model_id: other", 8, "models[0].model_id", "line 7"),
        (
            "    model_id: some-model\n    deployment_config:\n      instance_type: ml.m5.xlarge\n",
            "    provider: endpoint\n",
            6,
            "models[0]",
            "`endpoint_name`",
        ),
        ("model_id: some-model", "provider: azure", 7, "models[0].provider", "azure"),
        ("    model_id: some-model\n", "", 6, "models[0]", "`model_id`"),
        ("ml.m5.xlarge", "m5.xlarge", 9, "models[0].deployment_config.instance_type", "m5.xlarge"),
        (
            "ml.m5.xlarge",
            "ml.m5.xlarge\n      num_instances: many",
            10,
            "models[0].deployment_config.num_instances",
            "many",
        ),
        ("ml.m5.xlarge", "ml.m5.xlarge\n    endpoint_name: a_b", 10, "models[0].endpoint_name", "a_b"),
        ("ml.m5.xlarge", "ml.m5.xlarge\n    cleanup_endpoint: maybe", 10, "models[0].cleanup_endpoint", "maybe"),
        ("- FactualKnowledge", "- FactualKnowlege", 11, "algorithms[0]", "did you mean `FactualKnowledge`?"),
        ("- FactualKnowledge", "- algorithm: Toxicity2", 11, "algorithms[0].algorithm", "known: FactualKnowledge"),
        ("- FactualKnowledge", "- FactualKnowledge\n  - FactualKnowledge", 12, "algorithms[1]", "2 times"),
        ("- FactualKnowledge", "- {algorithm: FactualKnowledge, module: os}", 11, "algorithms[0].module", "`module`"),
        ("  - FactualKnowledge", "  []", 10, "algorithms", "at least 1"),
        ("- FactualKnowledge", "- FactualKnowledge\nselection: {metric: f1_score}", 12, "selection.metric", "f1_score"),
        ("- FactualKnowledge", "- FactualKnowledge\ngate: {confidence: 1.5}", 12, "gate.confidence", "1.5"),
        ("- FactualKnowledge", "- FactualKnowledge\nlimits: {concurrency: 0}", 12, "limits.concurrency", "found 0"),
        ("- FactualKnowledge", "- FactualKnowledge\nlimit: {concurrency: 2}", 12, "limit", "did you mean `limits`?"),
    ],
)
def test_a_fault_names_its_line_and_key(old: str, new: str, line: int, key: str, message: str) -> None:
    assert old in GOOD
    fault = only_fault(GOOD.replace(old, new, 1))
    assert (fault.line, fault.key) == (line, key)
    assert message in fault.message


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        ("output: '[0'", "output", "JMESPath"),
        ("content_template: hello", "content_template", "PROMPT_PLACEHOLDER"),
        ("prompt_template: hello", "prompt_template", "$model_input"),
        ("prompt_template: $model_inputs", "prompt_template", "$model_input"),
        ("prompt_template: costs $$model_input", "prompt_template", "$model_input"),
        ("content_template: {PROMPT_PLACEHOLDER: 1}", "content_template", "PROMPT_PLACEHOLDER"),
    ],
)
def test_a_template_without_its_placeholder_is_refused(section: str, key: str, message: str) -> None:
    text = GOOD.replace("ml.m5.xlarge", f"ml.m5.xlarge\n    evaluation_config:\n      {section}", 1)
    fault = only_fault(text)
    assert (fault.line, fault.key) == (11, f"models[0].evaluation_config.{key}")
    assert message in fault.message


def test_models_with_one_name_are_refused() -> None:
    second = "  - name: small\n    provider: endpoint\n    endpoint_name: other\n"
    fault = only_fault(GOOD.replace("algorithms:", f"{second}algorithms:"))
    assert (fault.line, fault.key) == (10, "models[1].name")


def test_models_that_share_an_endpoint_must_deploy_the_same() -> None:
    shared = GOOD.replace("model_id: some-model", "model_id: some-model\n    endpoint_name: shared")
    second = (
        "  - name: large\n    model_id: another-model\n    endpoint_name: shared\n"
        "    deployment_config: {instance_type: ml.m5.xlarge}\n"
    )
    fault = only_fault(shared.replace("algorithms:", f"{second}algorithms:"))
    assert (fault.line, fault.key) == (13, "models[1].endpoint_name")


def test_every_fault_is_told_at_once() -> None:
    text = GOOD.replace("name: capitals", "name: 1", 1).replace("FactualKnowledge", "Nonsense").replace("ml.m5", "m5")
    assert [fault.line for fault in rejection(text).faults] == [2, 9, 11]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"pipeline: [", 1, "not YAML"),
        (b"a: 1\n b: 2\n", 2, "not YAML"),
        (b"a: \xff\n", 1, "not UTF-8"),
        (b"", 1, "empty"),
        (b"- a\n- b\n", 1, "mapping"),
        (b"just text\n", 1, "mapping"),
        (b"1: a\n", 1, "a key must be text"),
        (b"a: !!python/object/apply:os.system ['true']\n", 1, "cannot be read"),
        (b"a: *nothing\n", 1, "not YAML"),
    ],
)
def test_what_is_not_a_yaml_mapping_is_refused_with_its_line(text: bytes, line: int, message: str) -> None:
    assert (line, True) in [(fault.line, message in fault.message) for fault in rejection(text).faults]


def test_a_catalog_may_have_the_longest_key_that_s3_knows() -> None:
    text = GOOD.replace("capitals.jsonl", "x" * 1015)
    assert len(load_config(text.encode(), "configs/capitals.yaml").dataset.catalog_key()) == 1024


@pytest.mark.parametrize("text", [f"a: *{'n' * 9000}\n", f"a: !{'t' * 9000} 1\n", f"a: !!int '{'x' * 9000}'\n"])
def test_a_fault_quotes_no_more_than_the_beginning_of_a_long_word(text: str) -> None:
    assert all(len(fault.message) < 300 for fault in rejection(text).faults)


def test_a_file_that_is_too_large_is_refused_unread() -> None:
    assert "bytes" in only_fault(b"#" * 300_000).message


def test_aliases_that_expand_without_end_are_refused() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    assert "aliases expanded" in rejection(bomb).faults[0].message


def test_deep_nesting_is_refused() -> None:
    assert "deep" in str(rejection("a: " + "[" * 5000 + "]" * 5000)) or "not YAML" in str(rejection("a: " + "[" * 5000))
