"""What an approval link answers: a page that asks, a decision, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, get_args

from assay.aws.approval_links import ApprovalLink
from assay.aws.approvals import AlreadyDecidedError, Decided, PackageState
from assay.aws.package_metadata import Decision
from assay.contracts.link_request import LinkRequest
from assay.report.approval_page import HEADERS, message_page, question_page

LONGEST_NAME = 100
_NO_LONGER_GOOD = "This link is no longer good"


class Links(Protocol):
    """Links that are still good."""

    def read(self, token: str) -> ApprovalLink | None: ...
    def use(self, token: str) -> bool: ...


class Decisions(Protocol):
    """The registry, as far as a decision needs it."""

    def state(self, arn: str) -> PackageState: ...
    def decide(self, arn: str, decision: Decision, *, by: str, note: str, again: bool = False) -> Decided: ...


@dataclass(frozen=True)
class Answer:
    """A page, its status, and whether a decision was made."""

    status: int
    page: str
    decided: bool = False

    def to_url_response(self) -> dict[str, Any]:
        """In the words of a Lambda function URL."""
        return {"statusCode": self.status, "headers": HEADERS, "body": self.page}


def answer(request: LinkRequest, *, links: Links, approvals: Decisions) -> Answer:
    """Answer a request. Only the form decides: GET and HEAD are what mail scanners send.

    The link is spent before the decision, so that it works once whatever comes of it; whoever else decides at the same
    moment is told by whom it was decided.
    """
    if request.method not in ("GET", "HEAD", "POST"):
        return Answer(405, message_page("Not done", "This address is opened in a browser."))
    link = links.read(request.token) if request.token else None
    if link is None:
        text = "It was used before, is older than a week, or is not whole."
        return Answer(410, message_page(_NO_LONGER_GOOD, f"{text} The Model Registry and `assay approve` still work."))
    package = approvals.state(link.model_package_arn)
    if request.method != "POST":
        return Answer(200, _question(package, request.token))
    decision, name = request.form.get("decision"), " ".join(request.form.get("name", "").split())
    if decision not in get_args(Decision) or not 0 < len(name) <= LONGEST_NAME:
        return Answer(400, _question(package, request.token, fault="Your name and one of the two buttons are needed."))
    if not links.use(request.token):
        return Answer(410, message_page(_NO_LONGER_GOOD, "Somebody used it at the same moment."))
    chosen: Decision = "Approved" if decision == "Approved" else "Rejected"
    return _decided(link, chosen, name, request.form.get("note", ""), approvals)


def _decided(link: ApprovalLink, decision: Decision, name: str, note: str, approvals: Decisions) -> Answer:
    try:
        # Whoever has the mail has the link, so that the name is only what somebody wrote.
        done = approvals.decide(link.model_package_arn, decision, by=f"{name} by the link in the mail", note=note)
    except AlreadyDecidedError as error:
        return Answer(409, message_page("Already decided", f"{error}. Nothing was changed."))
    package = done.package
    title = f"{package.properties.get('model', 'The model')}, version {package.version} of {package.group}"
    if not done.changed:
        return Answer(200, message_page(title, f"It was {package.status.lower()} before, by {package.decided_by}."))
    text = f"It is {package.status.lower()}. Everybody who subscribed hears of it."
    if done.overtaken is not None and package.status == "Approved":
        version = done.overtaken.rpartition("/")[2]
        text += f" Version {version} was approved after the gate had looked: this one was never held against it."
    return Answer(200, message_page(title, text), decided=True)


def _question(package: PackageState, token: str, fault: str = "") -> str:
    return question_page(package.properties, version=package.version, group=package.group, token=token, fault=fault)
