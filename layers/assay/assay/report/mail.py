"""The mails that people get: plain text, 78 columns, with the numbers, the links and what to do next."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from assay.contracts.errors import Fault
from assay.contracts.gate import GateResult
from assay.contracts.results import Comparison, Mean, RankedModel, Verdict
from assay.decision.explanation import interval, points

WIDTH = 78
MAX_SUBJECT = 99
MAX_FAULTS = 20
MAX_SUITES = 20
_WORDS: dict[Verdict, str] = {
    "better": "better than the next",
    "equivalent": "equivalent to the next",
    "inconclusive": "within the noise",
    "worse": "though another has better quality",
}
MAX_REGRESSED = 10
_UPLOAD_AGAIN = "Mend the file and upload it again under the same key; the evaluation then starts by itself."
_REQUEST_AGAIN = "Mend what is named and send the request again; a changed request wants a request_id of its own."


@dataclass(frozen=True)
class Mail:
    """A mail for SNS.

    Attributes:
        subject: ASCII, one line, below 100 characters: SNS refuses others.
        text: the body.
    """

    subject: str
    text: str


def completion_mail(
    comparison: Comparison,
    *,
    report_uri: str,
    comparison_uri: str,
    model_package_arn: str | None,
    gate: GateResult | None = None,
    gate_uri: str | None = None,
    approval_link: str | None = None,
) -> Mail:
    """The verdict, what the gate found, the ranking, and how to approve.

    Args:
        model_package_arn: the registered winner; None when nothing was registered.
        gate: what the winner was held against; None when there is no winner.
        approval_link: a page that asks for the decision; None where the stack has none.
    """
    winner = comparison.winner
    stopped = gate is not None and not gate.may_register
    if winner is None:
        headline = "no model is chosen"
    elif stopped:
        headline = f"{winner} is stopped by the gate"
    elif comparison.verdict in ("better", None):
        headline = f"{winner} is chosen"
    else:
        headline = f"{winner} is chosen, {_WORDS[comparison.verdict]}"
    parts = [_wrap(comparison.explanation)]
    if gate is not None:
        parts.append(_wrap(gate.explanation))
        if stopped and gate.regressed:
            parts.append(_regressed(gate))
    links = [("Report", report_uri), ("Comparison", comparison_uri)]
    if gate_uri is not None:
        links.append(("Gate", gate_uri))
    parts += [_ranking(comparison), _links(*links), _wrap(_next_step(comparison, model_package_arn, gate))]
    if model_package_arn is not None:
        if gate is None or gate.approved_at is None:
            parts.append(_how_to_decide(comparison.evaluation_id, approval_link))
        parts.append(_links(("Model package", model_package_arn)))
    parts.append(_links(("Evaluation", comparison.evaluation_id)))
    return Mail(subject=_subject(f"Assay: {comparison.suite}: {headline}"), text=_body(parts))


def rejection_mail(
    subject_key: str, faults: Sequence[Fault], total: int, rejected_uri: str, suites: Sequence[str] = ()
) -> Mail:
    """What is wrong with a file that was dropped.

    Args:
        subject_key: the file's key.
        faults: the first faults, or all.
        total: how many there are.
        rejected_uri: where `faults` are listed.
        suites: which are not evaluated because of it, where that is known. Others may be, by the same drop.
    """
    count = f"{total:,} fault{'' if total == 1 else 's'}"
    shown = [fault.cut() for fault in faults[:MAX_FAULTS]]
    listed = "\n".join(_bullet(str(fault)) for fault in shown)
    if total > len(shown):
        listed += f"\n  ... and {total - len(shown):,} more"
    parts = [
        _wrap(f"{subject_key} was refused: it has {count}. {_not_started(suites)}"),
        listed,
        _links(("All faults" if total <= len(faults) else f"The first {len(faults):,} faults", rejected_uri)),
        _wrap(_REQUEST_AGAIN if "/rejected/requests/" in rejected_uri else _UPLOAD_AGAIN),
    ]
    return Mail(subject=_subject(f"Assay: refused {subject_key}: {count}"), text=_body(parts))


def _not_started(suites: Sequence[str]) -> str:
    if not suites:
        return "Nothing was started for it."
    more = f" and {len(suites) - MAX_SUITES:,} more" if len(suites) > MAX_SUITES else ""
    return f"Because of it, no evaluation was started of: {', '.join(suites[:MAX_SUITES])}{more}."


def _ranking(comparison: Comparison) -> str:
    confidence = f"{comparison.confidence * 100:g} % intervals"
    title = f"Ranking by {comparison.metric} ({comparison.direction} is better, {confidence})"
    width = max(len(item.model) for item in comparison.models)
    lines = [_wrap(title)]
    for item in comparison.models:
        mean = next(found.mean for found in item.scores if f"{found.algorithm}.{found.score}" == comparison.metric)
        place = "  -" if item.rank is None else f"{item.rank:>3}"
        line = f"{place}  {item.model:<{width}}  {_points(item, mean)}"
        lines.append(line if len(line) <= WIDTH else f"{place}  {item.model}\n     {_points(item, mean).strip()}")
    return "\n".join(lines)


def _points(item: RankedModel, mean: Mean) -> str:
    if mean.value is None:
        return "not evaluated" if item.outcome.status == "failed" else "no scores"
    failed = f", {mean.failed:,} failed" if mean.failed else ""
    eligible = "" if item.ineligible is None else ", not eligible"
    return f"{points(mean.value):>5}{interval(mean.low, mean.high)} of {mean.n:,}{failed}{eligible}"


def _regressed(gate: GateResult) -> str:
    """The first records that got worse: ids and scores, never a prompt or a response."""
    shown = gate.regressed[:MAX_REGRESSED]
    lines = [_wrap(f"{gate.regressed_total:,} record{'' if gate.regressed_total == 1 else 's'} got worse:")]
    for item in shown:
        after = "no score" if item.after is None else points(item.after)
        category = "" if item.category is None else f" ({item.category})"
        lines.append(_bullet(f"{item.record_id}{category}: {points(item.before)} -> {after}"))
    if gate.regressed_total > len(shown):
        lines.append(f"  ... and {gate.regressed_total - len(shown):,} more in the gate's file")
    return "\n".join(lines)


def _next_step(comparison: Comparison, model_package_arn: str | None, gate: GateResult | None) -> str:
    winner = comparison.winner
    if winner is None:
        return "Nothing was registered. The report says why; mend what it names and upload the config again."
    if gate is not None and not gate.may_register:
        return (
            f"{winner} was not registered, and what is approved stays approved. The gate's file lists every check and "
            "every record that got worse; the responses to them lie beside it."
        )
    if model_package_arn is None:
        return f"{winner} was not registered. Open the report before you use it."
    if gate is not None and gate.approved_at is not None:
        return f"{winner} is approved: the config asks nobody where the gate is passed as surely as this."
    waits = f"{winner} waits for approval in the SageMaker Model Registry."
    doubts: dict[Verdict | None, str] = {
        "inconclusive": " Its lead may be chance: read the failing prompts in the report, or add records, first.",
        "worse": " It was chosen for another reason than quality: see in the report what that costs in quality.",
    }
    return waits + doubts.get(comparison.verdict, "")


def _how_to_decide(evaluation_id: str, approval_link: str | None) -> str:
    """Each way leaves approver, time and note on the package."""
    page = (
        ""
        if approval_link is None
        else f"To decide, open this page; it works once, within a week:\n  {approval_link}\n\n"
    )
    return page + (
        "To decide, on the command line:\n"
        f'  assay approve {evaluation_id} --note "why"\n'
        f'  assay reject {evaluation_id} --note "why"\n'
        "or in the Model Registry: open the package's version and update its status."
    )


def _links(*links: tuple[str, str]) -> str:
    """One line each, never broken, since mail readers make links of whole lines only."""
    return "\n".join(f"{name}:\n  {target}" for name, target in links)


def _bullet(text: str) -> str:
    return _wrap(text, first="  - ", rest="    ")


def _wrap(text: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _body(parts: Sequence[str]) -> str:
    return "\n\n".join(parts) + "\n"


def _subject(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    line = " ".join("".join(character if character.isprintable() else " " for character in plain).split())
    return line if len(line) <= MAX_SUBJECT else f"{line[: MAX_SUBJECT - 3].rstrip()}..."
