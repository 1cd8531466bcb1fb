"""The real announce_approval, run state by state: what is told of a package, to whom, and only once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.local.product_machine_support import ID, PROJECT, Surroundings, ask_function, read_machine
from tests.local.step_functions_support import running

NAME = "announced"
SCHEMAS = {
    "ModelRegistered": "model_registered",
    "ModelApproved": "model_approved",
    "ModelRejected": "model_rejected",
}
GROUP = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/sums"
ARN = f"{GROUP}/3"
PENDING: dict[str, Any] = {
    "ModelPackageArn": ARN,
    "ModelPackageGroupName": "sums",
    "ModelPackageVersion": 3,
    "ModelApprovalStatus": "PendingManualApproval",
    "CreationTime": "2026-11-24T09:20:29Z",
    "CreatedBy": {},
    "CustomerMetadataProperties": {
        "evaluation_id": ID,
        "owner": "assay",
        "model": "good",
        "metric": "FactualKnowledge.factual_knowledge",
        "metric_value": "0.75",
        "metric_low": "0.69",
        "metric_high": "0.81",
        "metric_records": "240",
        "comparison_uri": f"s3://drops/evaluations/sums/{ID}/comparison.json",
        "report_uri": f"s3://drops/evaluations/sums/{ID}/report.html",
    },
}


def decided(status: str, at: str = "2026-11-24T10:02:11.120Z", note: str = "Read them; fine.") -> dict[str, Any]:
    """The package after `assay approve` or `assay reject`."""
    properties = {"decision": status, "decided_by": "arn:aws:iam::123456789012:user/ada", "decided_at": at}
    return PENDING | {
        "ModelApprovalStatus": status,
        "ApprovalDescription": note,
        "LastModifiedTime": at,
        "LastModifiedBy": {"UserProfileName": "somebody-else"},
        "CustomerMetadataProperties": PENDING["CustomerMetadataProperties"] | properties,
    }


@dataclass
class Stack:
    """The machine, with a registry that is plain Python and queues that hear what it says."""

    around: Surroundings
    arn: str
    package: dict[str, Any] = field(default_factory=dict)
    approved: list[str] = field(default_factory=list)

    def begin(self) -> None:
        self.around.begin("completed")
        self.package, self.approved = PENDING, []

        def listed(request: Any) -> Any:
            assert request["ModelApprovalStatus"] == "Approved"
            found = [
                {"ModelPackageArn": arn, "ModelPackageVersion": int(arn.rpartition("/")[2])} for arn in self.approved
            ]
            return {"ModelPackageSummaryList": found[: request["MaxResults"]]}

        self.around.machines.functions.update({"describe": lambda _: self.package, "list": listed})

    def tell(self, package: dict[str, Any] | None = None, approved: tuple[str, ...] = ()) -> dict[str, Any]:
        """The package changed, and SageMaker says so."""
        if package is not None:
            self.package, self.approved = package, list(approved)
        event = json.loads((PROJECT / "events/sagemaker_model_package_state_change.json").read_text())
        event["detail"]["ModelPackageArn"] = self.package["ModelPackageArn"]
        machines = self.around.machines
        return machines.end(machines.start(self.arn, event), 60)

    def events(self) -> list[dict[str, Any]]:
        """What was put on the bus, each valid against its published schema."""
        events = self.around.events(SCHEMAS)
        return sorted(events, key=lambda event: event["detail-type"] != "ModelRegistered")

    def kinds(self) -> list[str]:
        return [event["detail-type"] for event in self.events()]

    def mails(self) -> list[dict[str, Any]]:
        return self.around.mails()

    def approvals(self) -> list[dict[str, str]]:
        """The history of the package's approval, oldest first."""
        return sorted((item for item in self.around.items() if item["sk"] != "STATE"), key=lambda item: item["sk"])


def definition(around: Surroundings) -> dict[str, Any]:
    """The machine with its substitutions filled in; the registry's two calls go to functions."""
    names = {"EvaluationsTable": NAME, "EventBusName": NAME, "TopicArn": around.topic, "Owner": "assay"}
    names |= {"SuiteTopicArnPrefix": around.suite_topics, "Partition": "aws"}
    machine = read_machine("announce_approval", names)
    ask_function(machine["States"]["DescribePackage"], "describeModelPackage", "describe")
    ask_function(machine["States"]["FindChampion"], "listModelPackages", "list")
    return machine


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("cloud")) as machines:
        around = Surroundings.make(machines, NAME)
        yield Stack(around, around.create(definition(around)))


@pytest.fixture
def stack(built: Stack) -> Stack:
    built.begin()
    return built


def test_a_registered_package_is_announced_and_nobody_is_mailed_twice(stack: Stack) -> None:
    description = stack.tell()
    assert description["status"] == "SUCCEEDED", description
    [event] = stack.events()
    assert event["detail-type"] == "ModelRegistered"
    assert event["detail"]["data"]["approval_status"] == "PendingManualApproval"
    assert event["detail"]["data"]["model_package_arn"] == ARN
    assert stack.mails() == []


def test_what_the_request_sent_along_comes_back_when_its_winner_is_registered_and_decided_about(stack: Stack) -> None:
    stack.around.machines.client("dynamodb").update_item(
        TableName=NAME,
        Key={"pk": {"S": f"EVALUATION#{ID}"}, "sk": {"S": "STATE"}},
        UpdateExpression="SET correlation_id = :id",
        ExpressionAttributeValues={":id": {"S": "build 17"}},
    )
    stack.tell()
    stack.tell(decided("Approved"), approved=(ARN,))
    stack.tell(decided("Rejected", at="2026-11-25T08:00:00.000Z"))
    told = {event["detail-type"]: event["detail"]["correlation_id"] for event in stack.events()}
    assert told == dict.fromkeys(("ModelRegistered", "ModelApproved", "ModelRejected"), "build 17")


def test_a_winner_that_nobody_requested_is_told_without_a_correlation_id(stack: Stack) -> None:
    stack.tell()
    stack.tell(decided("Approved"), approved=(ARN,))
    assert [event["detail"]["correlation_id"] for event in stack.events()] == [None, None]


APPROVED_MAIL = f"""\
good, version 3 of sums, was approved.

By:   arn:aws:iam::123456789012:user/ada
At:   2026-11-24T10:02:11.120Z
Note: Read them; fine.

It is the champion now: the next winner of sums must not be worse.

FactualKnowledge.factual_knowledge: 0.75 [0.69, 0.81] of 240 records

Report:
  s3://drops/evaluations/sums/{ID}/report.html

Model package:
  arn:aws:sagemaker:eu-west-1:123456789012:model-package/sums/3

Evaluation:
  {ID}
"""
WITHOUT_CHAMPION = "No model of sums is approved now. The next winner has no champion to be held against."


def test_an_approval_is_announced_and_mailed(stack: Stack) -> None:
    stack.tell()
    stack.tell(decided("Approved"), approved=(ARN,))
    assert stack.kinds() == ["ModelRegistered", "ModelApproved"]
    [mail] = stack.mails()
    assert mail["Subject"] == "Assay: sums: good is approved"
    assert mail["Message"] == APPROVED_MAIL
    attributes = {name: item["Value"] for name, item in mail["MessageAttributes"].items()}
    assert attributes == {"suite": "sums", "occasion": '["approval"]'}
    assert [item["approval_status"] for item in stack.approvals()] == ["PendingManualApproval", "Approved"]
    assert stack.approvals()[1]["decided_by"] == "arn:aws:iam::123456789012:user/ada"
    assert stack.approvals()[1]["note"] == "Read them; fine."


@pytest.mark.parametrize(("occasions", "told"), [(["approval", "failed"], 1), (["completed"], 0)])
def test_a_suites_own_people_hear_of_a_decision_when_they_want_to(
    stack: Stack, occasions: list[str], told: int
) -> None:
    stack.around.name_people(*occasions)
    stack.tell(decided("Approved"), approved=(ARN,))
    [mail] = stack.mails()
    own = stack.around.suite_mails()
    assert [(item["Subject"], item["Message"]) for item in own] == [(mail["Subject"], mail["Message"])] * told


def test_people_who_are_gone_meanwhile_are_no_fault_of_a_decision(stack: Stack) -> None:
    stack.around.lose_people()
    assert stack.tell(decided("Approved"), approved=(ARN,))["status"] == "SUCCEEDED"
    assert (len(stack.mails()), stack.around.suite_mails()) == (1, [])


def test_a_rejection_is_announced_and_mailed(stack: Stack) -> None:
    stack.tell()
    stack.events()
    stack.tell(decided("Rejected", note="Too blunt."))
    [event] = stack.events()
    assert event["detail-type"] == "ModelRejected"
    assert event["detail"]["data"]["note"] == "Too blunt."
    [mail] = stack.mails()
    assert mail["Subject"] == "Assay: sums: good is rejected"
    assert mail["Message"] == (
        APPROVED_MAIL.replace("was approved", "was rejected")
        .replace("Read them; fine.", "Too blunt.")
        .replace("It is the champion now: the next winner of sums must not be worse.", WITHOUT_CHAMPION)
    )


def test_a_decision_in_the_console_names_whom_sagemaker_names_and_needs_no_note(stack: Stack) -> None:
    # What `assay approve` left behind says nothing of a later rejection in the console.
    console = decided("Approved") | {
        "ModelApprovalStatus": "Rejected",
        "ApprovalDescription": "",
        "LastModifiedTime": "2026-11-24T11:00:00Z",
        "LastModifiedBy": {"IamIdentity": {"Arn": "arn:aws:sts::123456789012:assumed-role/console/grace"}},
    }
    stack.tell(console)
    event = stack.events()[-1]
    assert event["detail"]["data"]["decided_by"] == "arn:aws:sts::123456789012:assumed-role/console/grace"
    assert event["detail"]["data"]["decided_at"] == "2026-11-24T11:00:00Z"
    assert event["detail"]["data"]["note"] is None
    [mail] = stack.mails()
    assert (
        "By:   arn:aws:sts::123456789012:assumed-role/console/grace\nAt:   2026-11-24T11:00:00Z\n\n" in mail["Message"]
    )


def test_a_lost_event_of_the_registration_is_made_good_by_the_next(stack: Stack) -> None:
    stack.tell(decided("Approved"), approved=(ARN,))
    assert stack.kinds() == ["ModelRegistered", "ModelApproved"]


def test_an_event_that_repeats_tells_nothing_again(stack: Stack) -> None:
    stack.tell(decided("Approved"), approved=(ARN,))
    stack.events(), stack.mails()
    assert stack.tell()["status"] == "SUCCEEDED"
    assert (stack.events(), stack.mails()) == ([], [])


def test_a_change_of_something_else_tells_nothing(stack: Stack) -> None:
    stack.tell(decided("Approved"), approved=(ARN,))
    stack.events(), stack.mails()
    changed = decided("Approved") | {"LastModifiedTime": "2026-11-24T12:00:00Z"}
    assert stack.tell(changed, approved=(ARN,))["status"] == "SUCCEEDED"
    assert (stack.events(), stack.mails()) == ([], [])


def test_a_changed_mind_is_told_each_time(stack: Stack) -> None:
    stack.tell(decided("Approved"), approved=(ARN,))
    stack.tell(decided("Rejected", at="2026-11-24T11:00:00Z"))
    stack.tell(decided("Approved", at="2026-11-24T12:00:00Z"), approved=(ARN,))
    assert sorted(stack.kinds()) == ["ModelApproved", "ModelApproved", "ModelRegistered", "ModelRejected"]
    assert [item["approval_status"] for item in stack.approvals()] == ["Approved", "Rejected", "Approved"]


def test_a_package_that_waits_again_is_mailed(stack: Stack) -> None:
    stack.tell(decided("Approved"), approved=(ARN,))
    stack.events(), stack.mails()
    stack.tell(PENDING | {"LastModifiedTime": "2026-11-24T11:00:00Z"})
    [mail] = stack.mails()
    assert mail["Subject"] == "Assay: sums: good awaits approval again"
    assert "was set back to await approval" in mail["Message"]


def test_an_older_state_of_the_package_never_follows_a_newer_one(stack: Stack) -> None:
    stack.tell(decided("Rejected", at="2026-11-24T11:00:00Z"))
    stack.events(), stack.mails()
    description = stack.tell(decided("Approved", at="2026-11-24T10:59:59.999Z"))
    assert (description["status"], description["error"]) == ("FAILED", "DynamoDB.ConditionalCheckFailedException")
    assert (stack.events(), stack.mails()) == ([], [])


def test_of_two_executions_that_saw_one_decision_at_two_moments_only_one_tells_it(stack: Stack) -> None:
    stack.tell(decided("Approved"), approved=(ARN,))
    stack.events(), stack.mails()
    # The second read the evaluation before the first had written what it told: it does not know.
    states = definition(stack.around)["States"]
    states["CheckTold"]["Choices"].pop()
    unaware = Stack(stack.around, stack.around.machines.create(states))
    stack.package = decided("Approved", at="2026-11-24T10:02:12.000Z")
    unaware.package = stack.package
    description = unaware.tell()
    assert (description["status"], description["error"]) == ("FAILED", "DynamoDB.ConditionalCheckFailedException")
    assert (stack.events(), stack.mails()) == ([], [])


def test_an_older_version_that_is_approved_after_a_newer_one_is_not_the_champion(stack: Stack) -> None:
    stack.tell(decided("Approved"), approved=(f"{GROUP}/5", ARN))
    assert stack.events()[-1]["detail"]["data"]["champion_arn"] == f"{GROUP}/5"
    [mail] = stack.mails()
    assert "Version 5 is approved too, and newer: it stays the champion." in mail["Message"]


def test_a_rejected_champion_gives_way_to_the_one_before(stack: Stack) -> None:
    stack.tell(decided("Rejected"), approved=(f"{GROUP}/2",))
    [mail] = stack.mails()
    assert "The champion is version 2." in mail["Message"]


@pytest.mark.parametrize("properties", [{}, {"owner": "another-stack"}, {"evaluation_id": None}])
def test_a_package_of_somebody_else_is_left_alone(stack: Stack, properties: dict[str, Any]) -> None:
    given = PENDING["CustomerMetadataProperties"] | properties if properties else {}
    package = {**PENDING, "CustomerMetadataProperties": {key: value for key, value in given.items() if value}}
    assert stack.tell(package)["status"] == "SUCCEEDED"
    assert (stack.events(), stack.mails(), stack.approvals()) == ([], [], [])


def test_a_package_of_an_evaluation_that_nobody_knows_is_a_failure(stack: Stack) -> None:
    properties = PENDING["CustomerMetadataProperties"] | {"evaluation_id": "f" * 32}
    description = stack.tell({**PENDING, "CustomerMetadataProperties": properties})
    assert (description["status"], description["error"]) == ("FAILED", "UnknownEvaluation")
    assert (stack.events(), stack.mails(), stack.approvals()) == ([], [], [])
