"""Where a command works: the local cloud, or a stack in an AWS account. The same calls in both."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import boto3
import typer
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from assay.contracts.errors import TransientError
from cli.output import CommandError
from local import daemon
from local.clients import client

PROJECT = Path(__file__).resolve().parent.parent
DEFAULT_STACK = "assay"

ProfileOption = Annotated[
    str | None, typer.Option(help="Profile of the AWS configuration: work in its account, not in the local cloud.")
]
StackOption = Annotated[
    str | None,
    typer.Option(
        help=f"Name of a stack in AWS ({DEFAULT_STACK} with --profile); alone, AWS's own variables say whose."
    ),
]


@dataclass(frozen=True)
class Target:
    """A deployed stack.

    Attributes:
        place: words for people.
        outputs, parameters: the stack's, by name.
        client: gives a boto3 client of a service.
    """

    place: str
    outputs: dict[str, str]
    parameters: dict[str, str]
    client: Callable[[str], Any]

    @property
    def bucket(self) -> str:
        return self.outputs["BucketName"]

    @property
    def table(self) -> str:
        return self.outputs["EvaluationsTable"]

    @property
    def pipeline_prefix(self) -> str:
        return self.parameters.get("PipelinePrefix", "assay")


def resolve(profile: str | None, stack: str | None) -> Target:
    """Find the stack to work with: AWS when a profile or a stack is named, else the local cloud.

    Raises:
        CommandError: it cannot be reached, or is no stack of Assay.
    """
    if profile is not None or stack is not None:
        return _aws(profile, stack or DEFAULT_STACK)
    target = local_target()
    if target is None:
        raise CommandError(
            "the local cloud does not run: `assay local up` starts it; --profile or --stack names one in AWS"
        )
    return target


def local_target() -> Target | None:
    """The stack in the running local cloud, None when none runs.

    Raises:
        CommandError: it runs, but does not answer, or the stack is not in it.
    """
    status = daemon.status(PROJECT)
    if status.settings is None:
        return None
    if not status.healthy:
        raise CommandError("the local cloud runs and does not answer: `assay local logs` says more")
    return _described("the local cloud", DEFAULT_STACK, functools.partial(client, status.settings))


def _aws(profile: str | None, stack: str) -> Target:
    with told_by_aws():
        session: Any = boto3.Session(profile_name=profile)
    where = f"AWS, profile {profile}" if profile else "AWS"

    @functools.cache
    def aws_client(service: str) -> Any:
        with told_by_aws():
            return session.client(service, config=Config(connect_timeout=10, retries={"mode": "standard"}))

    return _described(where, stack, aws_client)


def _described(place: str, stack: str, of: Callable[[str], Any]) -> Target:
    with told_by_aws(f"stack {stack} in {place}: "):
        [found] = of("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    outputs = {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}
    missing = [name for name in ("BucketName", "EvaluationsTable") if name not in outputs]
    if missing:
        raise CommandError(f"stack {stack} in {place} has no output {', '.join(missing)}: is it a stack of Assay?")
    parameters = {item["ParameterKey"]: item["ParameterValue"] for item in found.get("Parameters", [])}
    return Target(f"{place}, stack {stack}", outputs, parameters, of)


@contextlib.contextmanager
def told_by_aws(subject: str = "") -> Iterator[None]:
    """Turn what boto3 and our adapters raise into an error of one line."""
    try:
        yield
    except TransientError as error:
        raise CommandError(f"{subject}{error}") from error
    except ClientError as error:
        raise CommandError(f"{subject}{error.response['Error'].get('Message') or error}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise CommandError(f"{subject}{' '.join(str(error).split())}") from error
