"""The real conclude_evaluation, run state by state: what each kind of ending records, announces and mails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.local.product_machine_support import ID, PROJECT, Surroundings, ask_function, read_machine
from tests.local.step_functions_support import FunctionError, running

NAME = "concluded"
SCHEMAS = {"EvaluationCompleted": "evaluation_completed", "EvaluationFailed": "evaluation_failed"}
PIPELINE = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/assay-sums"
EXECUTION = f"{PIPELINE}/execution/p4jn9xou8a8s"
COMPARED = {"comparison_uri": "s3://b/c.json", "winner": "good", "verdict": "better", "metric": "A.s"}
GATED = {"gate_uri": "s3://b/g.json", "outcome": "passed"}
REGISTERED = {"model_package_arn": "arn:aws:sagemaker:eu-west-1:123456789012:model-package/sums/1"}
RENDERED = {"report_uri": "s3://b/r.html", "subject": "Assay: sums: good is chosen", "text": 'It\'s "good".\nü\n'}
RELEASED = {"released": ["shared"], "left": {}}
STEPS = {
    "PipelineExecutionSteps": [
        {"StepName": "preprocess", "StepStatus": "Failed", "FailureReason": 'the catalog\'s "end" is missing'},
        {"StepName": "deploy-shared", "StepStatus": "Succeeded"},
        {"StepName": "evaluate-good", "StepStatus": "Failed"},
    ]
}


@dataclass
class Stack:
    """The machine, with functions that are plain Python and queues that hear what it says."""

    around: Surroundings
    arn: str
    calls: list[tuple[str, Any]] = field(default_factory=list)

    def begin(self) -> None:
        """Write the evaluation as start_evaluation does, in a fresh state."""
        self.around.begin("started")
        self.calls.clear()

    def answer(self, **answers: Any) -> None:
        """Set what each function answers: a value, or the name of the error that it raises."""
        given = {
            "compare": COMPARED,
            "gate": GATED,
            "register": REGISTERED,
            "render": RENDERED,
            "release": RELEASED,
            "steps": STEPS,
        }
        for name, value in {**given, **answers}.items():
            self.around.machines.functions[name] = self._function(name, value)

    def _function(self, name: str, value: Any) -> Any:
        def function(event: Any) -> Any:
            self.calls.append((name, event))
            if isinstance(value, str):
                raise FunctionError(value)
            return value

        return function

    def conclude(self, status: str, evaluation_id: str = ID) -> dict[str, Any]:
        event = json.loads((PROJECT / "events/sagemaker_pipeline_execution_status_change.json").read_text())
        event["detail"] |= {
            "pipelineExecutionDisplayName": evaluation_id,
            "currentPipelineExecutionStatus": status,
            "pipelineArn": PIPELINE,
            "pipelineExecutionArn": EXECUTION,
        }
        machines = self.around.machines
        return machines.end(machines.start(self.arn, event), 60)

    def item(self) -> dict[str, Any]:
        [item] = self.around.items()
        return item

    def events(self) -> list[dict[str, Any]]:
        """What was put on the bus, each valid against its published schema."""
        return self.around.events(SCHEMAS)

    def mails(self) -> list[dict[str, Any]]:
        return self.around.mails()


def definition(around: Surroundings) -> dict[str, Any]:
    """The machine with its substitutions filled in; the one call that moto lacks goes to a function."""
    names = {
        "CompareModelsFunctionArn": "compare",
        "CheckGateFunctionArn": "gate",
        "RegisterModelFunctionArn": "register",
        "RenderReportFunctionArn": "render",
        "ReleaseEndpointsFunctionArn": "release",
        "Partition": "aws",
        "EvaluationsTable": NAME,
        "EventBusName": NAME,
        "TopicArn": around.topic,
        "SuiteTopicArnPrefix": around.suite_topics,
    }
    machine = read_machine("conclude_evaluation", names)
    ask_function(machine["States"]["ExplainFailure"], "listPipelineExecutionSteps", "steps")
    return machine


def occasions(mail: dict[str, Any]) -> tuple[str, list[str]]:
    """The suite and the occasions of a mail, which subscriptions may filter by."""
    attributes = mail["MessageAttributes"]
    return attributes["suite"]["Value"], json.loads(attributes["occasion"]["Value"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("cloud")) as machines:
        around = Surroundings.make(machines, NAME)
        yield Stack(around, around.create(definition(around)))


@pytest.fixture
def stack(built: Stack) -> Stack:
    built.begin()
    built.answer()
    return built


def test_a_pipeline_that_succeeded_is_compared_registered_reported_announced_and_mailed(stack: Stack) -> None:
    description = stack.conclude("Succeeded")
    assert description["status"] == "SUCCEEDED", description
    reference = {"evaluation_id": ID, "bucket": "drops", "suite": "sums"}
    assert stack.calls == [
        ("compare", reference),
        ("gate", reference),
        ("register", reference),
        ("render", {**reference, **REGISTERED}),
    ]
    item = stack.item()
    assert (item["status"], item["winner"], item["report_uri"]) == ("completed", "good", "s3://b/r.html")
    assert item["concluded_by"] == description["executionArn"]
    [event] = stack.events()
    assert event["detail-type"] == "EvaluationCompleted"
    assert event["detail"]["data"] == {
        **COMPARED,
        **REGISTERED,
        "gate": "passed",
        "gate_uri": "s3://b/g.json",
        "report_uri": "s3://b/r.html",
    }
    [mail] = stack.mails()
    assert (mail["Subject"], mail["Message"]) == (RENDERED["subject"], RENDERED["text"])
    assert occasions(mail) == ("sums", ["completed", "approval"])


@pytest.mark.parametrize(
    ("status", "occasions", "told"),
    [
        ("Succeeded", ["completed"], 1),
        ("Succeeded", ["approval", "rejected"], 1),
        ("Succeeded", ["failed"], 0),
        ("Failed", ["failed"], 1),
        ("Failed", ["completed", "approval", "rejected"], 0),
    ],
)
def test_a_suites_own_people_hear_of_what_they_want_to(
    stack: Stack, status: str, occasions: list[str], told: int
) -> None:
    stack.around.name_people(*occasions)
    assert stack.conclude(status)["status"] == "SUCCEEDED"
    [mail] = stack.mails()
    own = stack.around.suite_mails()
    assert [(item["Subject"], item["Message"]) for item in own] == [(mail["Subject"], mail["Message"])] * told


def test_people_who_are_gone_meanwhile_are_no_fault_of_the_evaluation(stack: Stack) -> None:
    stack.around.lose_people()
    assert stack.conclude("Succeeded")["status"] == "SUCCEEDED"
    assert (len(stack.mails()), stack.around.suite_mails()) == (1, [])


def test_an_evaluation_without_winner_registers_nothing_and_is_complete_all_the_same(stack: Stack) -> None:
    stack.answer(compare={**COMPARED, "winner": None, "verdict": None})
    assert stack.conclude("Succeeded")["status"] == "SUCCEEDED"
    assert [name for name, _ in stack.calls] == ["compare", "render"]
    assert stack.calls[-1][1]["model_package_arn"] is None
    [event] = stack.events()
    assert event["detail"]["data"]["winner"] is None
    assert (event["detail"]["data"]["gate"], event["detail"]["data"]["gate_uri"]) == ("not_applicable", None)
    assert (stack.item()["status"], stack.item()["winner"]) == ("completed", True)


def test_a_winner_that_the_gate_stops_is_reported_and_not_registered(stack: Stack) -> None:
    stack.answer(gate={**GATED, "outcome": "failed"})
    assert stack.conclude("Succeeded")["status"] == "SUCCEEDED"
    assert [name for name, _ in stack.calls] == ["compare", "gate", "render"]
    assert stack.calls[-1][1]["model_package_arn"] is None
    [event], [mail] = stack.events(), stack.mails()
    assert occasions(mail) == ("sums", ["completed"])
    assert (event["detail"]["data"]["gate"], event["detail"]["data"]["winner"]) == ("failed", "good")
    assert (stack.item()["gate"], stack.item()["model_package_arn"]) == ("failed", True)


def test_a_winner_with_nothing_to_be_held_against_is_registered(stack: Stack) -> None:
    stack.answer(gate={**GATED, "outcome": "not_applicable"})
    stack.conclude("Succeeded")
    assert [name for name, _ in stack.calls] == ["compare", "gate", "register", "render"]


def test_the_second_event_of_an_evaluation_does_nothing(stack: Stack) -> None:
    stack.conclude("Succeeded")
    stack.calls.clear()
    assert stack.conclude("Succeeded")["status"] == "SUCCEEDED"
    assert stack.calls == []
    assert len(stack.events()) == 1


def test_an_execution_of_no_evaluation_fails_and_none_is_invented(stack: Stack) -> None:
    description = stack.conclude("Succeeded", evaluation_id="execution-1764000000000")
    assert (description["status"], description["error"]) == ("FAILED", "UnknownEvaluation")
    assert "execution-1764000000000" in description["cause"]
    key = {"pk": {"S": "EVALUATION#execution-1764000000000"}, "sk": {"S": "STATE"}}
    assert "Item" not in stack.around.machines.client("dynamodb").get_item(TableName=NAME, Key=key)
    assert (stack.calls, stack.events(), stack.mails()) == ([], [], [])


@pytest.mark.parametrize(
    ("status", "reason"),
    [("Failed", "the pipeline execution failed"), ("Stopped", "the pipeline execution was stopped")],
)
def test_a_pipeline_that_gave_no_result_is_released_explained_announced_and_mailed(
    stack: Stack, status: str, reason: str
) -> None:
    assert stack.conclude(status)["status"] == "SUCCEEDED"
    assert [name for name, _ in stack.calls] == ["release", "steps"]
    assert (stack.item()["status"], stack.item()["reason"]) == ("failed", reason)
    [event] = stack.events()
    assert event["detail-type"] == "EvaluationFailed"
    assert event["detail"]["data"] == {
        "pipeline_execution_arn": EXECUTION,
        "pipeline_status": status,
        "reason": reason,
        "failed_steps": [
            {"step": "preprocess", "reason": 'the catalog\'s "end" is missing'},
            {"step": "evaluate-good", "reason": "SageMaker gives no reason"},
        ],
        "released_endpoints": ["shared"],
        "endpoints_released": True,
    }
    [mail] = stack.mails()
    assert mail["Subject"] == f"Assay: sums {'was stopped' if status == 'Stopped' else 'failed'}"
    assert mail["Message"].splitlines() == [
        f"The evaluation of sums gave no result: {reason}.",
        "",
        'Step preprocess: the catalog\'s "end" is missing',
        "Step evaluate-good: SageMaker gives no reason",
        "Endpoints released: shared",
        "",
        f"Evaluation: {ID}",
        f"Pipeline execution: {EXECUTION}",
        f"What there is of it: s3://drops/evaluations/sums/{ID}/",
    ]


@pytest.mark.parametrize(
    "steps", [{"PipelineExecutionSteps": []}, {"PipelineExecutionSteps": STEPS["PipelineExecutionSteps"][:1]}]
)
@pytest.mark.parametrize("released", [[], ["a", "b"]])
def test_any_number_of_steps_and_endpoints_is_told(
    stack: Stack, steps: dict[str, list[Any]], released: list[str]
) -> None:
    stack.answer(steps=steps, release={"released": released, "left": {}})
    assert stack.conclude("Failed")["status"] == "SUCCEEDED"
    [event] = stack.events()
    assert len(event["detail"]["data"]["failed_steps"]) == len(steps["PipelineExecutionSteps"])
    assert event["detail"]["data"]["released_endpoints"] == released
    [mail] = stack.mails()
    told = f"Endpoints released: {', '.join(released)}" if released else "No endpoint of it was left running."
    assert told in mail["Message"]


@pytest.mark.parametrize(
    ("broken", "state"),
    [
        ("compare", "CompareModels"),
        ("gate", "CheckGate"),
        ("register", "RegisterModel"),
        ("render", "RenderReport"),
    ],
)
def test_what_cannot_be_concluded_is_a_failed_evaluation_and_a_failed_execution(
    stack: Stack, broken: str, state: str
) -> None:
    stack.answer(**{broken: "KeyError"})
    description = stack.conclude("Succeeded")
    reason = f"{state} failed: KeyError: KeyError was raised"
    assert (description["status"], description["error"], description["cause"]) == ("FAILED", "NotConcluded", reason)
    assert ("release", {"evaluation_id": ID, "bucket": "drops", "suite": "sums"}) in stack.calls
    assert (stack.item()["status"], stack.item()["reason"]) == ("failed", reason)
    # NULL, which is read as True here, where nothing was registered.
    assert (stack.item()["model_package_arn"] is True) == (broken != "render")
    [event] = stack.events()
    assert (event["detail-type"], event["detail"]["data"]["reason"]) == ("EvaluationFailed", reason)
    assert event["detail"]["data"]["pipeline_status"] == "Succeeded"
    [mail] = stack.mails()
    assert reason in mail["Message"]


def test_a_passing_fault_is_tried_again_and_a_rejection_is_not(stack: Stack) -> None:
    stack.answer(compare="TransientError")
    stack.conclude("Succeeded")
    assert [name for name, _ in stack.calls].count("compare") == 6
    stack.begin()
    stack.answer(compare="RejectedError")
    stack.conclude("Succeeded")
    assert [name for name, _ in stack.calls].count("compare") == 1


def test_endpoints_that_cannot_be_released_are_told_and_end_the_execution_as_failed(stack: Stack) -> None:
    stack.answer(release="KeyError")
    description = stack.conclude("Failed")
    assert (description["status"], description["error"]) == ("FAILED", "NotConcluded")
    assert "could not be released" in description["cause"]
    [event] = stack.events()
    assert event["detail"]["data"]["endpoints_released"] is False
    assert event["detail"]["data"]["released_endpoints"] == []
    [mail] = stack.mails()
    assert "could NOT be released" in mail["Message"]
    assert occasions(mail) == ("sums", ["failed"])


def test_a_failure_that_cannot_be_explained_is_announced_all_the_same(stack: Stack) -> None:
    stack.answer(steps="KeyError")
    assert stack.conclude("Failed")["status"] == "SUCCEEDED"
    [event] = stack.events()
    assert event["detail"]["data"]["failed_steps"] == []


FAILED_MAIL = f"""\
The evaluation of sums gave no result: the pipeline execution failed.

Step preprocess: the catalog's "end" is missing
Step evaluate-good: SageMaker gives no reason
Endpoints released: shared

Evaluation: {ID}
Pipeline execution: {EXECUTION}
What there is of it: s3://drops/evaluations/sums/{ID}/"""


@pytest.mark.parametrize(
    ("status", "subject", "text"),
    [
        ("Failed", "Assay: sums failed", FAILED_MAIL),
        ("Stopped", "Assay: sums was stopped", FAILED_MAIL.replace("execution failed", "execution was stopped")),
    ],
)
def test_the_mail_about_an_evaluation_without_a_result_reads_like_this(
    stack: Stack, status: str, subject: str, text: str
) -> None:
    stack.conclude(status)
    [mail] = stack.mails()
    assert (mail["Subject"], mail["Message"]) == (subject, text)
