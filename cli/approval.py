"""`assay approve` and `assay reject`: decide about the model that an evaluation registered."""

from __future__ import annotations

from typing import Annotated

import typer

from assay.aws.approvals import AlreadyDecidedError, Approvals, Decided
from assay.aws.evaluations import Evaluations
from assay.aws.package_metadata import Decision
from cli.output import FAILED, CommandError, make_console, told
from cli.target import ProfileOption, StackOption, resolve, told_by_aws

EvaluationArgument = Annotated[str, typer.Argument(metavar="EVALUATION", help="The evaluation's id.")]
NoteOption = Annotated[str, typer.Option(help="Why; it goes on the model package and into the mail.")]
AgainOption = Annotated[bool, typer.Option("--again", help="Decide anew although somebody decided otherwise.")]


def approve(
    evaluation: EvaluationArgument,
    note: NoteOption = "",
    again: AgainOption = False,
    profile: ProfileOption = None,
    stack: StackOption = None,
) -> None:
    """Approve the model that an evaluation registered.

    Exit code: 0 approved (also when it was before), 1 rejected by somebody before, or nothing registered, 2 not done.
    """
    _decide("Approved", evaluation, note, again, profile, stack)


def reject(
    evaluation: EvaluationArgument,
    note: NoteOption = "",
    again: AgainOption = False,
    profile: ProfileOption = None,
    stack: StackOption = None,
) -> None:
    """Reject the model that an evaluation registered.

    Exit code: 0 rejected (also when it was before), 1 approved by somebody before, or nothing registered, 2 not done.
    """
    _decide("Rejected", evaluation, note, again, profile, stack)


def _decide(
    decision: Decision, evaluation: str, note: str, again: bool, profile: str | None, stack: str | None
) -> None:
    with told():
        target = resolve(profile, stack)
        with told_by_aws(f"{target.place}: "):
            table = Evaluations(target.table, target.client("dynamodb"))
            arn = registered_package(target.place, table, evaluation)
            by = target.client("sts").get_caller_identity()["Arn"]
            try:
                done = Approvals(table, target.client("sagemaker")).decide(arn, decision, by=by, note=note, again=again)
            except AlreadyDecidedError as error:
                reason = f": {error.package.note}" if error.package.note else ""
                raise CommandError(f"{error}{reason}; --again decides anew", FAILED) from error
        for line in lines(done):
            make_console().print(line, soft_wrap=True, markup=False)


def registered_package(place: str, table: Evaluations, evaluation: str) -> str:
    """ARN of the model package that an evaluation registered.

    Raises:
        CommandError: there is no such evaluation, it has not ended, or it registered nothing.
    """
    state = table.get(evaluation)
    if state is None:
        raise CommandError(f"{place} has no evaluation {evaluation}", FAILED)
    # Before its status: an evaluation may have failed after its winner was registered.
    if state.model_package_arn is None and state.status != "completed":
        raise CommandError(
            f"evaluation {evaluation} is not completed but {state.status}: there is nothing to decide", FAILED
        )
    if state.model_package_arn is None:
        raise CommandError(f"evaluation {evaluation} registered no model; its mail and its report say why", FAILED)
    return state.model_package_arn


def lines(done: Decided) -> list[str]:
    """What to tell of a decision."""
    package = done.package
    name = f"{package.properties.get('model', 'the model')}, version {package.version} of {package.group}"
    by = f"by {package.decided_by or 'somebody'} at {package.decided_at or 'a time that is not known'}"
    found = [f"{name}: {package.status.lower()} {by}" if done.changed else f"{name} was {package.status.lower()} {by}"]
    if done.champion is None:
        found.append(f"no version of {package.group} is approved now")
    elif done.champion == package.arn:
        found.append("it is the champion")
    else:
        found.append(f"the champion is version {done.champion.rpartition('/')[2]}")
    if done.overtaken is not None and package.status == "Approved":
        version = done.overtaken.rpartition("/")[2]
        found.append(
            f"note: version {version} was approved after the gate had looked; this one was never held against it"
        )
    return found
