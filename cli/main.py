"""The command `assay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from requests import RequestException

from cli import local_cloud
from cli.approval import approve, reject
from cli.demo import run_demo
from cli.output import TIMED_OUT, UNUSABLE, make_console
from cli.plan import plan
from cli.progress import TimedOutError
from cli.rescore import rescore_command
from cli.submit import submit
from cli.suite_history import history
from cli.validate import validate
from local.cloud import LocalCloudError

PROJECT = Path(__file__).resolve().parent.parent

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Evaluates language models, in AWS and on one machine."
)
local_app = typer.Typer(no_args_is_help=True, help="The local cloud: a daemon on 127.0.0.1.")
app.add_typer(local_app, name="local")
console = make_console()
errors = make_console(stderr=True)
app.command()(validate)
app.command()(plan)
app.command()(submit)
app.command("rescore")(rescore_command)
app.command()(approve)
app.command()(reject)
app.command()(history)


@app.command()
def demo(
    seconds: Annotated[float, typer.Option(help="Give up watching after this long.")] = 900,
) -> None:
    """Drop the example catalog and config into the local cloud, and show what comes of it."""
    run_demo(PROJECT, console, seconds=seconds)


@local_app.command()
def up() -> None:
    """Start the local cloud if it is not running, and deploy the built template into it."""
    stack = local_cloud.up(PROJECT)
    console.print(
        f"serving at {stack.settings.endpoint_url}; the bucket is {stack.outputs['BucketName']}", soft_wrap=True
    )


@local_app.command()
def status() -> None:
    """Say whether it runs, what is deployed, and what it does not check."""
    local_cloud.print_status(PROJECT, console)


@local_app.command()
def logs(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines of each file's end.")] = 20,
) -> None:
    """Print the ends of the logs: daemon, functions, steps, endpoints."""
    local_cloud.print_logs(PROJECT, console, lines)


@local_app.command()
def down() -> None:
    """End the local cloud, with every process that it started. What lay in it is gone; logs and mails stay."""
    console.print("ended" if local_cloud.down(PROJECT) else "was not running")


@local_app.command()
def reset() -> None:
    """End the local cloud and delete its logs, mails and state."""
    local_cloud.reset(PROJECT)
    console.print("ended, and its state deleted")


def main() -> None:
    """Run the command; what goes wrong is told in a line, with an exit code of its kind."""
    try:
        app()
    except (LocalCloudError, TimedOutError) as error:
        _tell(str(error))
        raise SystemExit(TIMED_OUT if isinstance(error, TimedOutError) else 1) from error
    except (BotoCoreError, ClientError, RequestException) as error:
        _tell(f"{' '.join(str(error).split())}; `assay local status` says whether the local cloud runs")
        raise SystemExit(UNUSABLE) from error


def _tell(message: str) -> None:
    errors.print(f"error: {message}", style="red", soft_wrap=True, markup=False)
