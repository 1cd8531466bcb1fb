"""The whole text of every mail that Python writes, as its readers get it; the state machines' are in tests/local.

A text that changes on purpose is written anew by `ASSAY_WRITE_MAILS=1 pytest tests/unit/test_mail_texts.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.contracts.errors import Fault
from assay.contracts.gate import GateResult
from assay.contracts.results import Comparison
from assay.decision.gate import Baseline, UnusableBaseline, check_gate
from assay.report.mail import Mail, completion_mail, rejection_mail
from tests.unit.gate_support import ID, Scores, catalog, champion, compared, config, ids, right_but

MAILS = Path(__file__).parent / "mails"
ROOT = f"s3://assay-bucket-1a2b3c4d5e6f/evaluations/sums/{ID}"
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/sums/4"
N = 200


def completed(
    wrong: int,
    baseline: Baseline | UnusableBaseline | None,
    gate: str = "",
    *,
    comparison: Comparison | None = None,
    link: str | None = None,
) -> Mail:
    """The mail of an evaluation whose winner got this many records wrong."""
    comparison = comparison or compared(value=(N - wrong) / N)
    result: GateResult | None = None
    if comparison.winner is not None:
        result = check_gate(
            comparison,
            config=config(gate),
            catalog=catalog(N, categories={name: "even" if index % 2 else "odd" for index, name in enumerate(ids(N))}),
            scores=Scores(factual_knowledge=right_but(N, wrong)),
            baseline=baseline,
        )
    return completion_mail(
        comparison,
        report_uri=f"{ROOT}/report.html",
        comparison_uri=f"{ROOT}/comparison.json",
        model_package_arn=ARN if result is not None and result.may_register else None,
        gate=result,
        gate_uri=None if result is None else f"{ROOT}/gate.json",
        approval_link=link,
    )


def refused(*suites: str) -> Mail:
    faults = [
        Fault("unknown key; did you mean `models`?", line=3, column=1, key="model"),
        Fault("must not be empty", line=9, key="pipeline.name"),
    ]
    return rejection_mail(
        "configs/sums.yaml", faults, 2, "s3://assay-bucket-1a2b3c4d5e6f/rejected/configs/sums.yaml.json", suites
    )


WRITTEN: dict[str, Callable[[], Mail]] = {
    "first": lambda: completed(20, None),
    "first-above-a-threshold": lambda: completed(20, None, "thresholds: [{metric: factual_knowledge, at_least: 0.85}]"),
    "better-than-the-champion": lambda: completed(0, champion(right_but(N, 40))),
    "equivalent-to-the-champion": lambda: completed(10, champion(right_but(N, 10))),
    "within-the-noise": lambda: completed(
        10, None, comparison=compared(value=0.95).model_copy(update={"verdict": "inconclusive"})
    ),
    "stopped": lambda: completed(40, champion(right_but(N, 0))),
    "stopped-by-a-threshold": lambda: completed(20, None, "thresholds: [{metric: factual_knowledge, at_least: 0.95}]"),
    "stopped-by-an-unusable-champion": lambda: completed(
        0, UnusableBaseline("the champion, version 3 of sums", "it was not registered by Assay; reject that version.")
    ),
    "approved-by-itself": lambda: completed(0, champion(right_but(N, 40)), "approve_at_confidence: 0.99"),
    "first-with-a-link": lambda: completed(20, None, link="https://abc.lambda-url.eu-west-1.on.aws/?token=secret"),
    "no-winner": lambda: completed(0, None, comparison=compared(None).model_copy(update={"verdict": None})),
    "refused": refused,
    "refused-for-some-suites": lambda: refused("sums", "sums-of-three"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_mail_reads_like_this(name: str) -> None:
    mail = WRITTEN[name]()
    text = f"Subject: {mail.subject}\n\n{mail.text}"
    path = MAILS / f"{name}.txt"
    if os.environ.get("ASSAY_WRITE_MAILS") == "1":
        path.write_text(text)
    assert text == path.read_text()
    assert 0 < len(mail.subject) < 100
    assert mail.subject.isascii()
    assert [line for line in mail.text.splitlines() if len(line) > 78 and " " in line.strip()] == []


def test_no_text_is_kept_of_a_mail_that_is_no_longer_written() -> None:
    assert {path.stem for path in MAILS.glob("*.txt")} == set(WRITTEN)
