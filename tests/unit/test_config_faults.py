"""Many ways to get a config wrong: each is told by line and key, and raises nothing but our own error."""

from __future__ import annotations

import pytest

from assay.contracts.config import load_config
from assay.contracts.errors import Fault, RejectedError

GOOD = """\
pipeline:
  name: capitals
dataset:
  input_data_location: capitals.jsonl
  model_input_key: question
  target_output_key: answer
models:
  - name: small
    model_id: some-model
    endpoint_name: small-live
    deployment_config:
      instance_type: ml.m5.xlarge
      num_instances: 1
    evaluation_config:
      output: "[0].generated_text"
      content_template: PROMPT_PLACEHOLDER
      inference_parameters: {max_new_tokens: 20}
      custom_attributes: {accept_eula: true}
      prompt_template: $model_input
    cleanup_endpoint: true
  - name: live
    provider: endpoint
    endpoint_name: live
algorithms:
  - algorithm: FactualKnowledge
    target_output_delimiter: <OR>
selection:
  metric: factual_knowledge
gate:
  confidence: 0.95
  max_failed: 0.05
limits:
  concurrency: 16
  request_seconds: 60
"""
TAIL = "  request_seconds: 60"


def refused(text: str) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        load_config(text.encode(), "configs/capitals.yaml")
    return caught.value


def replaced(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1, old
    return GOOD.replace(old, new, 1)


def faults_by_place(error: RejectedError) -> dict[tuple[int | None, str], str]:
    found: dict[tuple[int | None, str], str] = {}
    for fault in error.faults:
        place = (fault.line, fault.key)
        found[place] = f"{found.get(place, '')}\n{fault.message}"
    return found


def test_the_config_that_these_tests_break_is_good() -> None:
    assert load_config(GOOD.encode(), "x").suite == "capitals"


# (what stands there, what stands there instead, line, key path, words of the fault)
BAD = [
    ("name: capitals", "name: -capitals", 2, "pipeline.name", "letter or digit first and last"),
    ("name: capitals", f"name: {'c' * 49}", 2, "pipeline.name", "1 to 48"),
    ("name: capitals", "name: no", 2, "pipeline.name", "must be text, found false"),
    ("name: capitals", "name: 2024-01-01 cities", 2, "pipeline.name", "letters, digits and hyphens"),
    ("name: capitals", "name: [a]", 2, "pipeline.name", 'must be text, found ["a"]'),
    ("name: capitals", "name:", 2, "pipeline.name", "must be text, found null"),
    ("name: capitals", "name: capitals\n  nmae: x", 3, "pipeline.nmae", "did you mean `name`?"),
    ("name: capitals", "name: capitals\n  name: twice", 3, "pipeline.name", "first on line 2"),
    ("pipeline:\n  name: capitals", "pipeline: capitals", 1, "pipeline", "must be a mapping"),
    ("pipeline:", "Pipeline:", 1, "Pipeline", "did you mean `pipeline`?"),
    ("  input_data_location: capitals.jsonl\n", "", 3, "dataset.input_data_location", "missing"),
    ("capitals.jsonl", "''", 4, "dataset.input_data_location", "at least 1 character"),
    ("capitals.jsonl", "a/", 4, "dataset.input_data_location", "a file, not a folder"),
    ("capitals.jsonl", "catalogs/", 4, "dataset.input_data_location", "a file, not a folder"),
    ("capitals.jsonl", "s3://bucket/catalogs/a/", 4, "dataset.input_data_location", "a file, not a folder"),
    ("capitals.jsonl", "x" * 1016, 4, "dataset.input_data_location", "at most 1,024 bytes, found 1,025"),
    ("capitals.jsonl", "é" * 508, 4, "dataset.input_data_location", "at most 1,024 bytes, found 1,025"),
    ("capitals.jsonl", f"s3://bucket/{'x' * 1025}", 4, "dataset.input_data_location", "found 1,025"),
    ("capitals.jsonl", "x.jsonl\n  dataset_mime_type: text/html", 5, "dataset.dataset_mime_type", "text/html"),
    ("capitals.jsonl", "x.jsonl\n  num_records: 1.5", 5, "dataset.num_records", "found 1.5"),
    ("capitals.jsonl", "x.jsonl\n  num_records: true", 5, "dataset.num_records", "a whole number, found true"),
    ("capitals.jsonl", "x.jsonl\n  num_records: -1", 5, "dataset.num_records", "found -1"),
    ("capitals.jsonl", f"x.jsonl\n  seed: {'9' * 30}", 5, "dataset.seed", "64 bits"),
    ("capitals.jsonl", "x.jsonl\n  seed: 007", 5, "dataset.seed", "leading zero"),
    ("capitals.jsonl", "x.jsonl\n  prompt_templates: {a_: x}", 5, "dataset.prompt_templates.a_", "template's name"),
    ("name: small", "name: small model", 8, "models[0].name", "dots, underscores and hyphens"),
    ("name: small", "name: live", 21, "models[1].name", "stands 2 times"),
    ("  - name: live\n", "  - \n", 22, "models[1].name", "missing"),
    ("  - name: live\n    provider: endpoint\n    endpoint_name: live", "  - live", 21, "models[1]", "a mapping"),
    ("model_id: some-model", "model_id: ''", 9, "models[0].model_id", "at least 1 character"),
    ("model_id: some-model", "model_id: null", 8, "models[0]", "needs `model_id`"),
    ("model_id: some-model", "model_id: a\n    model_provider: 3", 10, "models[0].model_provider", "`jumpstart`"),
    (
        "model_id: some-model",
        "model_id: a\n    provider: jumpstart\n    model_provider: jumpstart",
        11,
        "models[0].model_provider",
        "another spelling of `provider`",
    ),
    ("model_id: some-model", "model_id: a\n    response_key: r", 10, "models[0].response_key", "has no place"),
    ("model_id: some-model", "model_id: a\n    model_version: 1.0", 10, "models[0].model_version", "text, found 1.0"),
    ("model_id: some-model", "model_ids: some-model", 9, "models[0].model_ids", "did you mean `model_id`?"),
    ("endpoint_name: small-live", "endpoint_name: small_live", 10, "models[0].endpoint_name", "1 to 63 letters"),
    ("endpoint_name: small-live", "endpoint_name: live", 23, "models[1].endpoint_name", "share the endpoint 'live'"),
    ("    endpoint_name: live", "    endpoint_name: Small-Live", 23, "models[1].endpoint_name", "differ by case only"),
    ("ml.m5.xlarge", "ml.m5", 12, "models[0].deployment_config.instance_type", "such as ml.g5.2xlarge"),
    ("ml.m5.xlarge", "[]", 12, "models[0].deployment_config.instance_type", "at least 1 item"),
    ("ml.m5.xlarge", "[ml.m5.large, m5]", 12, "models[0].deployment_config.instance_type[1]", "such as"),
    ("      instance_type: ml.m5.xlarge\n", "", 11, "models[0].deployment_config", "`instance_type`, or `serverless`"),
    ("num_instances: 1", "num_instances: 0", 13, "models[0].deployment_config.num_instances", "found 0"),
    ("num_instances: 1", "num_instances: 65", 13, "models[0].deployment_config.num_instances", "64"),
    (
        "num_instances: 1",
        "asynchronous: {max_concurrent_invocations: 0}",
        13,
        "models[0].deployment_config.asynchronous.max_concurrent_invocations",
        "1",
    ),
    ("num_instances: 1", "asynchronous: true", 13, "models[0].deployment_config.asynchronous", "a mapping"),
    (
        "instance_type: ml.m5.xlarge\n      num_instances: 1",
        "serverless: {memory_mb: 1024}\n      asynchronous: {}",
        13,
        "models[0].deployment_config.asynchronous",
        "SageMaker's queue stands before instances",
    ),
    ("num_instances: 1", "num_instance: 1", 13, "models[0].deployment_config.num_instance", "`num_instances`"),
    ('output: "[0].generated_text"', 'output: "["', 15, "models[0].evaluation_config.output", "JMESPath"),
    ('output: "[0].generated_text"', f'output: "{"[" * 900}"', 15, "models[0].evaluation_config.output", "too deeply"),
    ('output: "[0].generated_text"', f'output: "{"a" * 1001}"', 15, "models[0].evaluation_config.output", "1000"),
    ('output: "[0].generated_text"', f'output: "a[{"9" * 900}"', 15, "models[0].evaluation_config.output", "JMESPath"),
    ('output: "[0].generated_text"', 'output: "a b"', 15, "models[0].evaluation_config.output", "JMESPath"),
    ('output: "[0].generated_text"', "output: [0]", 15, "models[0].evaluation_config.output", "must be text"),
    (
        "content_template: PROMPT_PLACEHOLDER",
        "content_template: {a: 1}",
        16,
        "models[0].evaluation_config.content_template",
        "never see the prompt",
    ),
    (
        "{max_new_tokens: 20}",
        "{temperature: .nan}",
        17,
        "models[0].evaluation_config.inference_parameters.temperature",
        "finite",
    ),
    ("{max_new_tokens: 20}", "[20]", 17, "models[0].evaluation_config.inference_parameters", "must be a mapping"),
    (
        "{max_new_tokens: 20}",
        "{1: 20}",
        17,
        "models[0].evaluation_config.inference_parameters",
        "a key must be text, found 1",
    ),
    (
        "{accept_eula: true}",
        "{accept_eula: [true]}",
        18,
        "models[0].evaluation_config.custom_attributes.accept_eula",
        "must be text or a whole number or a number or true or false",
    ),
    (
        "prompt_template: $model_input",
        "prompt_template: $question",
        19,
        "models[0].evaluation_config.prompt_template",
        "$model_input, $feature, $prompt",
    ),
    ("cleanup_endpoint: true", "cleanup_endpoint: 1", 20, "models[0].cleanup_endpoint", "true or false, found 1"),
    ("cleanup_endpoint: true", "register_config: {}", 20, "models[0].register_config.model_package_group_name", "miss"),
    ("provider: endpoint", "provider: endpoints", 22, "models[1].provider", "`endpoint`"),
    ("provider: endpoint\n", "provider: endpoint\n    model_id: m\n", 23, "models[1].model_id", "exists already"),
    ("provider: endpoint\n", "provider: responses\n", 23, "models[1].endpoint_name", "no model is called"),
    ("    provider: endpoint\n    endpoint_name: live", "    provider: responses", 21, "models[1]", "`response_key`"),
    (
        "provider: endpoint\n    endpoint_name: live",
        "provider: responses\n    response_key: '['",
        23,
        "models[1].response_key",
        "JMESPath",
    ),
    ("- algorithm: FactualKnowledge", "- algorithm: [x]", 25, "algorithms[0].algorithm", "must be text"),
    ("- algorithm: FactualKnowledge", "- algorithm: FactualKnowlege", 25, "algorithms[0].algorithm", "did you mean"),
    ("<OR>", "''", 26, "algorithms[0].target_output_delimiter", "at least 1"),
    ("<OR>", "<OR>\n    module: os", 27, "algorithms[0].module", "leave it out"),
    ("<OR>", "<OR>\n    config: QAAccuracyConfig", 27, "algorithms[0].config", "'FactualKnowledgeConfig'"),
    ("<OR>", "<OR>\n  - FactualKnowledge", 27, "algorithms[1]", "stands 2 times"),
    ("<OR>", "<OR>\n  - 7", 27, "algorithms[1]", "must be a mapping"),
    ("metric: factual_knowledge", "metric: f1_score", 28, "selection.metric", "there are: factual_knowledge"),
    ("metric: factual_knowledge", "metric: factual_knowlege", 28, "selection.metric", "did you mean"),
    ("metric: factual_knowledge", "metric: QAAccuracy.factual_knowledge", 28, "selection.metric", "no algorithm"),
    ("metric: factual_knowledge", "metric: factual_knowledge\n  weights: {a: 1}", 29, "selection.weights", "exclude"),
    ("metric: factual_knowledge", "weights: {}", 28, "selection.weights", "at least 1"),
    ("metric: factual_knowledge", "weights: {factual_knowledge: 0}", 28, "selection.weights", "above 0"),
    ("metric: factual_knowledge", "weights: {factual_knowledge: -1}", 28, "selection.weights.factual_knowledge",
     "greater than or equal to 0"),
    ("metric: factual_knowledge", "weights: {factual_knowlege: 1}", 28, "selection.weights.factual_knowlege",
     "did you mean `factual_knowledge`?"),
    ("metric: factual_knowledge", "constraints: [latency_p95 <= 2000]", 28, "selection.constraints[0]",
     "did you mean `latency_p95_ms`?"),
    ("metric: factual_knowledge", "constraints: [latency_p95_ms < 2000]", 28, "selection.constraints[0]",
     "with <= or >="),
    ("metric: factual_knowledge", "constraints: [{metric: latency_ms}]", 28, "selection.constraints[0]",
     "`at_least` or `at_most`"),
    ("metric: factual_knowledge", "constraints: [{metric: toxicity, at_most: 1}]", 28,
     "selection.constraints[0].metric", "no algorithm of this config gives the score 'toxicity'"),
    ("metric: factual_knowledge", "objective: beauty", 28, "selection.objective", "quality"),
    ("metric: factual_knowledge", "objective: [cost, cost]", 28, "selection.objective", "twice"),
    (TAIL, f"{TAIL}\npricing: {{tokens: {{smal: {{input_usd: 1, output_usd: 1}}}}}}", 35, "pricing.tokens.smal",
     "did you mean `small`?"),
    ("confidence: 0.95", "confidence: 95", 30, "gate.confidence", "less than 1"),
    ("confidence: 0.95", "confidence: 95%", 30, "gate.confidence", 'a number, found "95%"'),
    ("confidence: 0.95", "confidence: .inf", 30, "gate.confidence", "finite"),
    ("confidence: 0.95", "confidence: 1e999", 30, "gate.confidence", "finite"),
    ("max_failed: 0.05", "max_failed: -0.1", 31, "gate.max_failed", "greater than or equal to 0"),
    ("concurrency: 16", "concurrency: 1001", 33, "limits.concurrency", "1000"),
    ("concurrency: 16", "concurrency: sixteen", 33, "limits.concurrency", "a whole number"),
    ("concurrency: 16", "concurrancy: 16", 33, "limits.concurrancy", "did you mean `concurrency`?"),
    (TAIL, "  request_seconds: 0", 34, "limits.request_seconds", "greater than 0"),
    (TAIL, "  request_seconds: 1:30", 34, "limits.request_seconds", 'found "1:30"'),
    (TAIL, f"{TAIL}\n  deploy_seconds: 30m", 35, "limits.deploy_seconds", "a whole number"),
    (TAIL, f"{TAIL}\nschedule: daily", 35, "schedule", "must be a mapping"),
    (TAIL, f"{TAIL}\nschedule: {{expression: daily}}", 35, "schedule.expression", "rate(1 day)"),
    (TAIL, f"{TAIL}\nschedule: {{expression: rate(1 days)}}", 35, "schedule.expression", "found"),
    (TAIL, f"{TAIL}\nschedule: {{expression: rate(0 days)}}", 35, "schedule.expression", "found"),
    (
        TAIL,
        f"{TAIL}\nschedule: {{expression: rate(1 day), timezone: Europe/Berln}}",
        35,
        "schedule.timezone",
        "did you mean `Europe/Berlin`?",
    ),
    (TAIL, f"{TAIL}\nnotify: {{emails: []}}", 35, "notify.emails", "at least 1"),
    (TAIL, f"{TAIL}\nnotify: {{emails: [ä@b.de]}}", 35, "notify.emails[0]", "such as team@example.org"),
    (TAIL, f"{TAIL}\nnotify: {{emails: ['x@y,z@w.org']}}", 35, "notify.emails[0]", "such as team@example.org"),
    (TAIL, f"{TAIL}\nnotify: {{emails: [a b@c]}}", 35, "notify.emails[0]", "such as team@example.org"),
    (TAIL, f"{TAIL}\nnotify: {{emails: [a@b.c], occasions: [complete]}}", 35, "notify.occasions[0]", "`completed`"),
    (TAIL, f"{TAIL}\nmodel_registry: {{model_package_group_name: a b}}", 35, "model_registry.model_package_group_name",
     "1 to 63"),
    (TAIL, f"{TAIL}\n<<: {{a: 1}}", 35, "", "merge keys"),
    (TAIL, f"{TAIL}\n? [a]\n: b", 35, "", "a collection"),
    (TAIL, f"{TAIL}\njudge: !!binary AAAA", 35, "judge", "must be a mapping"),
    (TAIL, f"{TAIL}\njudge: !local x", 35, "judge", "cannot be read"),
    (TAIL, f'{TAIL}\n"\\ud800": x', 35, "", "surrogate"),
    (TAIL, f'{TAIL}\njudge: "\\ud800"', 35, "judge", "surrogate"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "key", "words"), BAD, ids=[f"{item[3]}: {item[4]}" for item in BAD])
def test_a_fault_is_told_by_its_line_and_key(old: str, new: str, line: int, key: str, words: str) -> None:
    found = faults_by_place(refused(replaced(old, new)))
    assert (line, key) in found
    assert words in found[(line, key)]


def test_there_are_at_least_sixty_bad_configs() -> None:
    assert len(BAD) >= 60


def test_a_choice_may_be_made_of_weights_bounds_and_criteria() -> None:
    selection = (
        "weights: {factual_knowledge: 2, factual_knowledge_quasi_exact: 1}\n"
        "  constraints: [latency_p95_ms <= 2000, FactualKnowledge.factual_knowledge >= 0.1]\n"
        "  objective: [quality, cost]"
    )
    found = load_config(replaced("metric: factual_knowledge", selection).encode(), "x").selection
    assert found is not None
    assert [(item.metric, item.at_least, item.at_most) for item in found.constraints] == [
        ("latency_p95_ms", None, 2000.0),
        ("FactualKnowledge.factual_knowledge", 0.1, None),
    ]
    assert found.objective == ["quality", "cost"]


def test_no_fault_hides_another_in_the_same_section_or_in_others() -> None:
    text = """\
pipeline: {name: a b}
dataset: {input_data_location: 7}
models:
  - name: 1
    provider: jumpstart
    model_idd: m
  - {name: twin, provider: endpoint, deployment_config: {}}
  - {name: twin, provider: endpoint, endpoint_name: e, model_version: "1"}
algorithms: [FactualKnowledge]
selection: {metric: f1_score}
limits: {concurrency: .nan}
judge: 4
"""
    assert [(fault.line, fault.key) for fault in refused(text).faults] == [
        (1, "pipeline.name"),
        (2, "dataset.input_data_location"),
        (4, "models[0].name"),
        (4, "models[0]"),
        (4, "models[0]"),
        (6, "models[0].model_idd"),
        (7, "models[1]"),
        (7, "models[1].deployment_config"),
        (7, "models[1].deployment_config"),
        (8, "models[2].name"),
        (8, "models[2].model_version"),
        (10, "selection.metric"),
        (11, "limits.concurrency"),
        (12, "judge"),
        (12, "judge"),
    ]


def test_a_fault_in_an_aliased_part_is_told_where_it_is_written() -> None:
    shared = GOOD.replace("deployment_config:\n", "deployment_config: &small\n").replace("num_instances: 1", "num: 1")
    second = "  - name: other\n    model_id: m\n    deployment_config: *small\n"
    found = faults_by_place(refused(shared.replace("algorithms:", f"{second}algorithms:")))
    assert {key for line, key in found if line == 13} == {
        "models[0].deployment_config.num",
        "models[2].deployment_config.num",
    }


def test_columns_are_told_too() -> None:
    [fault] = refused(replaced("gate:\n  confidence: 0.95\n", "gate: {max_faild: 1,\n")
                      .replace("  max_failed: 0.05\n", "       confidence: 2}\n")).faults[:1]  # fmt: skip
    assert fault == Fault("unknown key; did you mean `max_failed`?", line=29, column=8, key="gate.max_faild")


def test_a_hundred_faults_are_shown_and_all_are_counted() -> None:
    error = refused(GOOD + "".join(f"unknown_{number}: 1\n" for number in range(250)))
    assert (len(error.faults), error.total) == (100, 250)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]\n",
        "&a {a: *a}\n",
        "{" * 400 + "}" * 400,
        'a: "\\U00ffffff"\n',
        "a: \0\n",
        "a: !!int ''\n",
        "a: !!float x\n",
        "a: !!bool maybe\n",
        "a: !!timestamp x\n",
        "a: !!null x\n",
        "a: 0x" + "f" * 9000 + "\n",
        "a: 2024-99-99\n",
        "--- a\n--- b\n",
        "%YAML 9.9\n---\na: 1\n",
        "a: =\n",
        "=: a\n",
        "models: {1: 2}\n",
        "models: [[[]], null, 3, {name: {}}]\nalgorithms: {a: b}\nselection: [1]\ndataset: {prompt_templates: [x]}\n",
        "dataset: {prompt_templates: {x: 1}}\nmodels: [{name: [1], evaluation_config: [prompt_template]}]\n",
    ],
)
def test_strange_yaml_is_refused_and_nothing_else_is_raised(text: str) -> None:
    assert all(fault.line is not None for fault in refused(text).faults)
