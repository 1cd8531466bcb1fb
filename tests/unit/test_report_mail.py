from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.contracts.errors import Fault
from assay.contracts.results import Comparison, Failure, Mean, ModelOutcome, RankedModel, ScoreSummary
from assay.report.mail import Mail, completion_mail, rejection_mail
from tests.unit.report_support import comparison

REPORT = "s3://assay-bucket-with-a-long-name/evaluations/demo/9f2c0c8a4f3e4b0d8a5c2e1f7b6d4a39/report.html"
FILE = REPORT.replace("report.html", "comparison.json")
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/demo/3"


def ranked(name: str, rank: int | None, value: float | None, failed: int = 0) -> RankedModel:
    bounds = (None, None) if value is None else (value - 0.0625, value + 0.0625)
    mean = Mean(n=0 if value is None else 240 - failed, failed=failed, value=value, low=bounds[0], high=bounds[1])
    lost = value is None
    return RankedModel(
        model=name,
        rank=rank,
        ineligible=None if rank else "too many failed",
        scores=[ScoreSummary(algorithm="FactualKnowledge", score="factual_knowledge", direction="higher", mean=mean)],
        outcome=ModelOutcome(
            model=name,
            status="failed" if lost else "evaluated",
            failure=Failure(kind="EndpointFailed", reason="no capacity") if lost else None,
        ),
    )


def evaluated(**changes: Any) -> Comparison:
    found = comparison(
        [ranked("large", 1, 0.75), ranked("tiny", 2, 0.5, failed=7), ranked("lost", None, None)],
        evaluation_id="9f2c0c8a4f3e4b0d8a5c2e1f7b6d4a39",
        suite="support-bot",
        differences=[],
        explanation="large has the highest mean of FactualKnowledge.factual_knowledge, 75.0 points [68.8, 81.2]. "
        "It leads tiny by 25.0 points [16.4, 33.6] on 233 common records.",
    )
    return found.model_copy(update=changes)


def complete(found: Comparison, arn: str | None = ARN) -> Mail:
    return completion_mail(found, report_uri=REPORT, comparison_uri=FILE, model_package_arn=arn)


def check(mail: Mail) -> None:
    assert 0 < len(mail.subject) < 100
    assert mail.subject.isascii()
    assert mail.subject.isprintable()
    wide = [line for line in mail.text.splitlines() if len(line) > 78]
    assert all(" " not in line.strip() for line in wide), wide
    assert mail.text.endswith("\n")


def test_a_completion_mail_tells_the_verdict_the_ranking_the_links_and_the_next_step() -> None:
    mail = complete(evaluated())
    check(mail)
    assert mail.subject == "Assay: support-bot: large is chosen"
    lines = mail.text.splitlines()
    assert f"  {REPORT}" in lines
    assert f"  {FILE}" in lines
    assert f"  {ARN}" in lines
    assert "  1  large   75.0 [68.8, 81.2] of 240" in lines
    assert "  2  tiny    50.0 [43.8, 56.2] of 233, 7 failed" in lines
    assert "  -  lost   not evaluated" in lines
    assert "large waits for approval in the SageMaker Model Registry." in lines


def test_a_lead_within_the_noise_stands_in_the_subject_and_in_the_advice() -> None:
    mail = complete(evaluated(verdict="inconclusive"))
    assert mail.subject == "Assay: support-bot: large is chosen, within the noise"
    assert "Its lead may be chance" in " ".join(mail.text.split())


def test_without_a_winner_nothing_was_registered() -> None:
    mail = complete(evaluated(winner=None, verdict=None), arn=None)
    check(mail)
    assert mail.subject == "Assay: support-bot: no model is chosen"
    assert "Nothing was registered." in mail.text
    assert "Model package" not in mail.text


def test_a_winner_that_was_not_registered_is_told() -> None:
    assert "large was not registered." in complete(evaluated(), arn=None).text


def test_long_names_keep_within_the_columns() -> None:
    name = "a-model-with-a-very-long-name-of-fortyeight-char"
    mail = complete(evaluated(models=[ranked(name, 1, 0.75, failed=12), ranked("b", 2, 0.1)], winner=name))
    check(mail)
    assert f"  1  {name}\n     75.0 [68.8, 81.2] of 228, 12 failed\n" in mail.text


def test_a_rejection_mail_lists_the_faults_with_their_places() -> None:
    faults = [Fault("unknown key; did you mean `models`?", line=3, column=1, key="model"), Fault("empty", line=9)]
    mail = rejection_mail("configs/demo.yaml", faults, 2, "s3://b/rejected/configs/demo.yaml.json")
    check(mail)
    assert mail.subject == "Assay: refused configs/demo.yaml: 2 faults"
    assert "  - line 3, column 1: model: unknown key; did you mean `models`?\n  - line 9: empty\n" in mail.text
    assert "  s3://b/rejected/configs/demo.yaml.json\n" in mail.text
    assert "upload it again" in mail.text


def test_a_rejection_mail_of_many_faults_counts_those_it_leaves_out() -> None:
    faults = [Fault("must be text", line=number) for number in range(1, 101)]
    mail = rejection_mail("catalogs/faq.jsonl", faults, 12_345, "s3://b/r.json")
    check(mail)
    assert mail.text.count("must be text") == 20
    assert "... and 12,325 more" in mail.text
    assert "12,345 faults" in mail.subject


def test_a_rejection_mail_names_the_suites_and_says_nothing_of_others() -> None:
    assert "Nothing was started for it." in rejection_mail("k", [Fault("bad")], 1, "s3://b/r").text
    mail = rejection_mail("k", [Fault("bad")], 1, "s3://b/r", [f"s{number}" for number in range(1, 1022)])
    check(mail)
    text = " ".join(mail.text.split())
    assert "no evaluation was started of: s1, s2, " in text
    assert "s20 and 1,001 more." in text
    assert "nothing was changed" not in text


def test_a_rejection_mail_does_not_call_the_first_faults_all_of_them() -> None:
    faults = [Fault("bad", line=number) for number in range(1, 101)]
    assert "The first 100 faults:\n  s3://b/r\n" in rejection_mail("k", faults, 101, "s3://b/r").text
    assert "All faults:\n  s3://b/r\n" in rejection_mail("k", faults, 100, "s3://b/r").text


def test_a_rejection_mail_of_long_words_fits_sns() -> None:
    worst = [Fault("文" * 100_000, key="文" * 100_000)] * 20
    assert len(rejection_mail("k", worst, 20, "s3://b/r", ["s" * 48] * 5_000).text.encode()) < 262_144


def test_one_fault_is_one_fault() -> None:
    assert rejection_mail("k", [Fault("bad")], 1, "s3://b/r").subject == "Assay: refused k: 1 fault"


@pytest.mark.parametrize("key", ["configs/Überprüfung.yaml", "configs/a\r\nBcc: x.yaml", "configs/" + "x" * 300, "文"])
def test_a_subject_is_one_short_line_of_ascii_whatever_the_key(key: str) -> None:
    check(rejection_mail(key, [Fault("bad")], 1, "s3://b/r"))


@given(text=st.text(max_size=300))
def test_no_text_breaks_a_mail(text: str) -> None:
    check(rejection_mail(text, [Fault(text, line=1)], 1, "s3://b/r"))
