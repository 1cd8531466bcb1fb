"""The page says what the gate found, and which records got worse."""

from __future__ import annotations

from assay.contracts.gate import GateResult
from assay.decision.gate import check_gate
from assay.report.page import render_report
from assay.report.samples import Samples
from tests.unit.gate_support import ID, Scores, catalog, champion, compared, config, ids, right_but
from tests.unit.report_support import manifest

N = 200


def gate(wrong: int, **more: dict[str, str]) -> GateResult:
    return check_gate(
        compared(records=N),
        config=config(),
        catalog=catalog(N, **more),
        scores=Scores(factual_knowledge=right_but(N, wrong)),
        baseline=champion(right_but(N, 0)),
        responses="s3://b/now/",
    )


def page(found: GateResult | None) -> str:
    made_by = manifest(evaluation_id=ID, suite="sums", records=N)
    text = render_report(compared(records=N), manifest=made_by, config=config(), samples=Samples([], 0), gate=found)
    return " ".join(text.split())


def test_a_stopped_winner_is_shown_with_the_checks_and_the_first_records_that_got_worse() -> None:
    text = page(gate(60))
    assert "not passed: nothing was registered" in text
    assert "a loss of 5.0 points or more is not ruled out" in text
    assert "Records that got worse <small>60, the first 50</small>" in text
    assert "<code>r000</code>" in text
    assert "<code>r049</code>" in text
    assert "<code>r050</code>" not in text
    assert "s3://b/now/" in text
    assert "s3://b/before/" in text


def test_a_passed_gate_is_shown_without_records() -> None:
    text = page(gate(0))
    assert "Gate <small>passed</small>" in text
    assert "Records that got worse" not in text


def test_a_category_of_a_catalog_does_not_become_markup() -> None:
    text = page(gate(60, categories=dict.fromkeys(ids(N), "<script>x</script>")))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_without_a_winner_there_is_no_gate_on_the_page() -> None:
    assert 'id="gate"' not in page(None)
