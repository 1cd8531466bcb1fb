"""What the command line prints of a gate."""

from __future__ import annotations

from rich.console import Console

from assay.contracts.gate import GateResult
from assay.decision.gate import check_gate
from cli.decision import print_gate
from tests.unit.gate_support import Scores, catalog, champion, compared, config, right_but

N = 200


def printed(gate: GateResult | None) -> str:
    console = Console(width=500)
    with console.capture() as capture:
        print_gate(gate, console)
    return capture.get()


def gate(wrong: int) -> GateResult:
    return check_gate(
        compared(records=N),
        config=config(),
        catalog=catalog(N),
        scores=Scores(factual_knowledge=right_but(N, wrong)),
        baseline=champion(right_but(N, 0)),
    )


def test_a_stopped_winner_is_told_with_the_first_records_that_got_worse() -> None:
    text = printed(gate(40))
    assert text.startswith("gate: The gate is not passed.")
    assert "got worse: r000, r001, r002, r003, r004 and 35 more" in text


def test_a_passed_gate_names_no_records() -> None:
    text = printed(gate(1))
    assert "The gate is passed." in text
    assert "got worse" not in text


def test_without_a_winner_nothing_is_printed() -> None:
    assert printed(None) == ""
