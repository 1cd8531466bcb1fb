"""The local cloud as the command line uses it: started, deployed, asked, ended."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.table import Table

from local import daemon, deploy
from local.clients import client
from local.cloud import LocalCloudError, Settings
from local.unchecked import UNCHECKED


@dataclass(frozen=True)
class Stack:
    """The deployed stack.

    Attributes:
        outputs: the template's outputs by name.
        pid: process id of the daemon, None when it has just ended.
    """

    settings: Settings
    outputs: dict[str, str]
    pid: int | None

    def client(self, service: str) -> Any:
        """A boto3 client that reaches the local cloud and nothing else."""
        return client(self.settings, service)

    def mails(self) -> list[dict[str, Any]]:
        """Every mail that SNS has sent, oldest first."""
        return self._ask("mails")

    def events(self) -> list[dict[str, Any]]:
        """The latest events of every bus, oldest first."""
        return self._ask("events")

    def rest(self) -> None:
        """End the handlers that wait for their next invocation, so that the daemon is all that is left."""
        self._get("rest")

    def _ask(self, what: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._get(what).json()
        return items

    def _get(self, what: str) -> requests.Response:
        answer = requests.get(f"{self.settings.endpoint_url}/_local/{what}", timeout=60, proxies={"http": ""})
        answer.raise_for_status()
        return answer


def up(project: Path, *, time_scale: float = Settings.time_scale, warm_steps: bool = False) -> Stack:
    """Start the daemon unless it runs, and deploy what `sam build` made.

    `time_scale` and `warm_steps` are those of `local.cloud.Settings`, for a daemon that is started.

    Raises:
        LocalCloudError: no build, something in it that the local cloud does not carry out, or a daemon that hangs.
    """
    deploy.require_build(project)
    status = daemon.status(project)
    if status.settings is not None and not status.healthy:
        raise LocalCloudError(
            "the local cloud runs and does not answer: `assay local logs` says more, `assay local down` ends it"
        )
    settings = status.settings or daemon.up(project, time_scale=time_scale, warm_steps=warm_steps)
    outputs = deploy.deploy(settings, parameters={"PythonVersion": f"{sys.version_info[0]}.{sys.version_info[1]}"})
    return Stack(settings, outputs, daemon.status(project).pid)


def down(project: Path) -> bool:
    """End the daemon with everything it started; whether there was one."""
    return daemon.down(project)


def reset(project: Path) -> None:
    """End the daemon and delete its state."""
    daemon.reset(project)


def print_status(project: Path, console: Console) -> None:
    """Say whether it runs, what is deployed, and what is not checked here."""
    status = daemon.status(project)
    if status.settings is None:
        console.print("not running; assay local up starts it")
    else:
        health = "serving" if status.healthy else "[red]not answering[/]"
        console.print(f"{health} at {status.settings.endpoint_url} for {status.seconds:.0f} s; state in {status.home}")
        if status.healthy:
            _print_stack(status.settings, console)
    table = Table(title="not checked here, and what that means", title_justify="left", show_header=False)
    for item in UNCHECKED:
        table.add_row(item.subject, item.why)
    console.print(table)


def print_logs(project: Path, console: Console, lines: int) -> None:
    """Print the end of each log."""
    files = daemon.log_files(project)
    if not files:
        raise LocalCloudError("there are no logs; assay local up starts the local cloud")
    for file in files:
        console.rule(str(file), align="left")
        text = file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        console.print("\n".join(text), markup=False, soft_wrap=True)


def _print_stack(settings: Settings, console: Console) -> None:
    stack = Stack(settings, {}, None)
    for found in stack.client("cloudformation").describe_stacks()["Stacks"]:
        console.print(f"stack {found['StackName']}: {found['StackStatus']}")
        for output in found.get("Outputs", []):
            console.print(f"  {output['OutputKey']}: {output['OutputValue']}", soft_wrap=True)
    endpoints = [item["EndpointName"] for item in stack.client("sagemaker").list_endpoints()["Endpoints"]]
    console.print(f"endpoints: {', '.join(endpoints) or 'none'}")
