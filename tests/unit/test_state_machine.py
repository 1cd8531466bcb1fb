"""What every state machine keeps to, whatever it does."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.template_support import load_template

PROJECT = Path(__file__).resolve().parents[2]
MACHINES = sorted((PROJECT / "statemachine").glob("*.asl.yaml"))
LAMBDA = "arn:${Partition}:states:::lambda:invoke"

TEMPLATE = load_template()
RESOURCES = TEMPLATE["Resources"]


def machine(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


def tasks(invoking: str | None = None) -> list[Any]:
    return [
        pytest.param(path, name, state, id=name)
        for path in MACHINES
        for name, state in machine(path)["States"].items()
        if state["Type"] == "Task" and invoking in (None, state["Resource"])
    ]


def resource_of(path: Path) -> dict[str, Any]:
    """The state machine's resource in the template."""
    [found] = [
        resource["Properties"]
        for resource in RESOURCES.values()
        if resource.get("Properties", {}).get("DefinitionUri") == f"statemachine/{path.name}"
    ]
    properties: dict[str, Any] = found
    return properties


def errors_retried(state: dict[str, Any]) -> set[str]:
    return {error for retrier in state["Retry"] if retrier.get("MaxAttempts") != 0 for error in retrier["ErrorEquals"]}


def subclasses(name: str) -> set[str]:
    """Names of a class of the product and of everything below it, read from the source."""
    bases: dict[str, set[str]] = {}
    for file in (PROJECT / "layers/assay/assay").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    found = {name}
    while more := {child for child, parents in bases.items() if parents & found} - found:
        found |= more
    return found


def test_there_are_state_machines_to_look_at() -> None:
    assert [path.name for path in MACHINES] == ["announce_approval.asl.yaml", "conclude_evaluation.asl.yaml"]


@pytest.mark.parametrize(("path", "name", "state"), tasks(LAMBDA))
def test_a_state_its_function_its_folder_and_its_substitution_have_one_name(
    path: Path, name: str, state: dict[str, Any]
) -> None:
    folder = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    assert state["Arguments"]["FunctionName"] == f"${{{name}FunctionArn}}"
    assert RESOURCES[f"{name}Function"]["Properties"]["CodeUri"] == f"functions/{folder}/"
    assert (PROJECT / "functions" / folder / "app.py").is_file()
    substitution = resource_of(path)["DefinitionSubstitutions"][f"{name}FunctionArn"]
    assert substitution == {"Fn::GetAtt": [f"{name}Function", "Arn"]}


@pytest.mark.parametrize("path", MACHINES)
def test_every_substitution_is_given_and_used(path: Path) -> None:
    used = set(re.findall(r"\$\{(\w+)\}", path.read_text()))
    assert used == set(resource_of(path)["DefinitionSubstitutions"])


@pytest.mark.parametrize("path", MACHINES)
def test_nothing_of_an_account_stands_in_it_and_nothing_that_cloudformation_cannot_read(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\b\d{12}\b", text)
    aliases = [event for event in yaml.parse(text) if isinstance(event, yaml.AliasEvent)]
    assert aliases == []


@pytest.mark.parametrize("path", [*MACHINES, PROJECT / "template.yaml"], ids=lambda path: path.name)
def test_no_arn_names_a_partition_so_that_a_stack_can_stand_in_each(path: Path) -> None:
    assert "arn:aws" not in path.read_text()


@pytest.mark.parametrize("path", MACHINES)
def test_a_state_machine_speaks_jsonata_and_ends_in_time(path: Path) -> None:
    assert machine(path)["QueryLanguage"] == "JSONata"
    assert machine(path)["TimeoutSeconds"] <= 86_400


@pytest.mark.parametrize(("path", "name", "state"), tasks())
def test_every_task_ends_in_time_and_is_retried_within_bounds(path: Path, name: str, state: dict[str, Any]) -> None:
    assert 0 < state["TimeoutSeconds"] <= 900
    assert errors_retried(state)
    for retrier in state["Retry"]:
        if retrier["MaxAttempts"]:
            assert retrier["MaxAttempts"] <= 6
            assert retrier["MaxDelaySeconds"] <= 120
            assert retrier["JitterStrategy"] == "FULL"


@pytest.mark.parametrize(("path", "name", "state"), tasks(LAMBDA))
def test_a_state_outlasts_its_function(path: Path, name: str, state: dict[str, Any]) -> None:
    properties = RESOURCES[f"{name}Function"]["Properties"]
    timeout = properties.get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"])
    assert state["TimeoutSeconds"] > timeout


@pytest.mark.parametrize(("path", "name", "state"), tasks(LAMBDA))
def test_what_may_pass_is_retried_and_what_was_rejected_never_is(path: Path, name: str, state: dict[str, Any]) -> None:
    assert subclasses("TransientError") <= errors_retried(state)
    assert not subclasses("RejectedError") & errors_retried(state)
    assert not {"States.ALL", "States.TaskFailed"} & errors_retried(state)


@pytest.mark.parametrize("path", MACHINES)
def test_no_caught_error_of_the_success_branch_leads_back_to_it(path: Path) -> None:
    states = machine(path)["States"]
    success = {"CompareModels", "CheckWinner", "CheckGate", "CheckRegistrable", "RegisterModel", "RenderReport"} | {
        name for name in states if name.endswith("Completion")
    }
    for name in success & set(states):
        for catcher in states[name].get("Catch", []):
            assert not reachable(states, catcher["Next"]) & success


@pytest.mark.parametrize("path", MACHINES)
def test_no_catch_goes_straight_to_success(path: Path) -> None:
    states = machine(path)["States"]
    for state in states.values():
        for catcher in state.get("Catch", []):
            assert states[catcher["Next"]]["Type"] != "Succeed"


@pytest.mark.parametrize("path", MACHINES)
def test_every_state_can_be_reached(path: Path) -> None:
    loaded = machine(path)
    assert reachable(loaded["States"], loaded["StartAt"]) == set(loaded["States"])


def reachable(states: dict[str, Any], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            state = states[name]
            follow = [state.get("Next"), state.get("Default")]
            follow += [item["Next"] for kind in ("Choices", "Catch") for item in state.get(kind, [])]
            waiting += [item for item in follow if item]
    return found
