"""What a gate found, in sentences for people. A score of 0.625 is 62.5 points."""

from __future__ import annotations

import math
from collections.abc import Sequence

from assay.contracts.algorithms import Direction
from assay.contracts.gate import GateBaseline, GateResult
from assay.contracts.results import Verdict
from assay.decision.explanation import interval, points
from assay.decision.paired import Paired
from assay.decision.verdicts import NonInferiority

_NAMED = 3
_VERDICTS: dict[Verdict, str] = {
    "better": "better than",
    "worse": "worse than",
    "equivalent": "as good as",
    "inconclusive": "not to be told apart from",
}


def baseline_name(baseline: GateBaseline) -> str:
    if baseline.kind == "model":
        return f"the baseline {baseline.model}"
    version = "" if baseline.model_package_version is None else f" (version {baseline.model_package_version})"
    return f"the champion {baseline.model}{version}"


def non_inferiority_sentence(
    metric: str,
    direction: Direction,
    paired: Paired,
    bounds: tuple[float, float] | None,
    found: NonInferiority,
) -> str:
    """By how much a score changed, whether a loss of the margin is ruled out, and else what it would take."""
    if paired.difference is None or bounds is None or found.bound is None:
        return f"{metric}: {paired.n:,} records in common say nothing about a difference."
    change = f"{metric} changed by {points(paired.difference)} points{interval(*bounds)} on {paired.n:,} records"
    if found.passed:
        return f"{change}: a loss of {points(found.margin)} points or more is ruled out."
    sentence = f"{change}: a loss of {points(found.margin)} points or more is not ruled out."
    gain = paired.difference if direction == "higher" else -paired.difference
    if gain > -found.margin and gain > found.bound:
        needed = math.ceil(paired.n * ((gain - found.bound) / (gain + found.margin)) ** 2)
        sentence += f" If that is the true change, about {needed:,} records would show that it is not so large."
    return sentence


def sentence_of(parts: Sequence[str]) -> str:
    """Parts of a sentence as one."""
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def explain_gate(result: GateResult) -> str:
    failed = [check for check in result.checks if not check.passed]
    if result.outcome == "not_applicable":
        return (
            "There is no champion yet and no threshold, so there was nothing to hold "
            f"{result.model} against: it is registered as the first."
        )
    state = "passed" if result.outcome == "passed" else "not passed"
    sentences = [f"The gate is {state}."]
    if result.baseline is not None and result.baseline.model == result.model and result.baseline.kind == "model":
        sentences.append(f"{result.model} is the baseline itself.")
    elif result.baseline is not None and result.verdict is not None:
        sentences.append(f"{result.model} is {_VERDICTS[result.verdict]} {baseline_name(result.baseline)}.")
    if failed:
        sentences += [check.sentence for check in failed[:_NAMED]]
        if len(failed) > _NAMED:
            sentences.append(f"{len(failed) - _NAMED} more checks failed.")
    else:
        sentences += [
            check.sentence for check in result.checks if check.kind in ("threshold", "records", "non_inferiority")
        ]
    if result.approved_at is not None:
        sentences.append(f"It is passed at {result.approved_at * 100:g} % confidence too, which approves it by itself.")
    return " ".join(sentences)
