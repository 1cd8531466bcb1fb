"""JSONata in state machines: what expressions see, and what becomes of null, undefined and awkward text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.local.step_functions_support import Machines, running


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with running(tmp_path_factory.mktemp("cloud")) as started:
        yield started


def _pass(output: Any) -> dict[str, Any]:
    return {"Only": {"Type": "Pass", "Output": output, "End": True}}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$states.input.text", 'it\'s "quoted" \\ with\nlines, ünïcode 🙂 and {% no code %}'),
        ("$states.input.text & '!'", 'it\'s "quoted" \\ with\nlines, ünïcode 🙂 and {% no code %}!'),
        ('"double \\" quotes"', 'double " quotes'),
        ("$states.input.nothing", None),
        ("$exists($states.input.nothing)", True),
        ("$exists($states.input.absent)", False),
        ("{'kept': $states.input.nothing, 'dropped': $states.input.absent}", {"kept": None}),
        ("$states.input.rows.v", [1, 2]),
        ("$states.input.rows[v = 2].v", 2),
        ("$states.input.rows[0].v", 1),
        ("[$states.input.rows[v > 5]]", []),
        ("$count($states.input.empty)", 0),
        ("10 / 4", 2.5),
        ("10 / 5", 2),
        ("$map($states.input.rows, function($row, $i) { $i + $row.v })", [1, 3]),
        ("($total := $sum($states.input.rows.v); $total * 2)", 6),
        ("$states.context.Execution.Input.rows[1].v", 2),
        ("$states.context.State.Name", "Only"),
        ("$partition([1..5], 2)", [[1, 2], [3, 4], [5]]),
        ("$range(0, 10, 5)", [0, 5, 10]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$hash('assay', 'SHA-256')", hashlib.sha256(b"assay").hexdigest()),
        ("$parse('{\"a\": [1, null]}')", {"a": [1, None]}),
        ("$parse($string($states.input.rows)).v", [1, 2]),
        ("$random(7) = $random(7)", True),
        ("$length($uuid())", 36),
    ],
)
def test_an_expression_evaluates_as_in_aws(machines: Machines, expression: str, expected: Any) -> None:
    data = {
        "text": 'it\'s "quoted" \\ with\nlines, ünïcode 🙂 and {% no code %}',
        "nothing": None,
        "rows": [{"v": 1}, {"v": 2}],
        "empty": [],
    }
    assert machines.output(_pass({"value": "{% " + expression + " %}"}), data) == {"value": expected}


def test_only_whole_strings_are_expressions(machines: Machines) -> None:
    template = {"a": "$states.input.x", "b": ["{% $states.input.x %}", 1, None], "c": "see {% $states.input.x %}"}
    assert machines.output(_pass(template), {"x": 5}) == {
        "a": "$states.input.x",
        "b": [5, 1, None],
        "c": "see {% $states.input.x %}",
    }


def test_an_undefined_result_is_an_error_that_names_state_field_and_expression(machines: Machines) -> None:
    description = machines.run(_pass({"deep": {"field": "{% $states.input.absent %}"}}))
    assert (description["status"], description["error"]) == ("FAILED", "States.QueryEvaluationError")
    assert description["cause"] == (
        "An error occurred while executing the state 'Only' (entered at the event id #2). The JSONata expression "
        "'$states.input.absent' specified for the field 'Output/deep/field' returned nothing (undefined)."
    )


@pytest.mark.parametrize("expression", ["$number('x')", "1 / 0", "$error('by hand')", "'a' + 1", "$sum", "$parse('{')"])
def test_an_expression_that_raises_fails_the_state(machines: Machines, expression: str) -> None:
    description = machines.run(_pass("{% " + expression + " %}"))
    assert (description["status"], description["error"]) == ("FAILED", "States.QueryEvaluationError")


def test_a_result_of_the_wrong_type_is_an_error(machines: Machines) -> None:
    states = {
        "Pick": {"Type": "Choice", "Choices": [{"Condition": "{% 'yes' %}", "Next": "End"}], "Default": "End"},
        "End": {"Type": "Succeed"},
    }
    description = machines.run(states)
    assert description["error"] == "States.QueryEvaluationError"
    assert "Expected 'boolean', but was 'string' for value: \"yes\"" in description["cause"]


def test_data_passes_through_a_state_without_output(machines: Machines) -> None:
    assert machines.output({"Only": {"Type": "Succeed"}}, {"kept": [None, 1.5, "x"]}) == {"kept": [None, 1.5, "x"]}


def test_output_and_assign_of_a_state_see_the_variables_from_before_it(machines: Machines) -> None:
    states = {
        "First": {"Type": "Pass", "Assign": {"n": 1}, "Next": "Second"},
        "Second": {
            "Type": "Pass",
            "Assign": {"n": "{% $n + 1 %}", "m": "{% $n %}"},
            "Output": "{% $n %}",
            "Next": "Third",
        },
        "Third": {
            "Type": "Pass",
            "Output": {"n": "{% $n %}", "m": "{% $m %}", "in": "{% $states.input %}"},
            "End": True,
        },
    }
    assert machines.output(states) == {"n": 2, "m": 1, "in": 1}


def test_branches_read_the_variables_around_them_and_keep_their_own(machines: Machines) -> None:
    def branch(value: str) -> dict[str, Any]:
        return {
            "StartAt": f"Set{value}",
            "States": {
                f"Set{value}": {"Type": "Pass", "Assign": {"mine": value}, "Next": f"Get{value}"},
                f"Get{value}": {"Type": "Pass", "Output": "{% $mine & $shared %}", "End": True},
            },
        }

    states = {
        "Share": {"Type": "Pass", "Assign": {"shared": "!"}, "Next": "Both"},
        "Both": {"Type": "Parallel", "Branches": [branch("A"), branch("B")], "End": True},
    }
    assert machines.output(states) == ["A!", "B!"]


def test_more_than_256_kib_between_states_is_an_error(machines: Machines) -> None:
    description = machines.run(_pass("{% $join($map([1..30000], function($v) { '0123456789' })) %}"))
    assert (description["status"], description["error"]) == ("FAILED", "States.DataLimitExceeded")
