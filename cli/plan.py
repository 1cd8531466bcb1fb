"""`assay plan`: what an evaluation will do, take and cost, before anything is spent."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from assay.aws.quotas import ServiceQuotas
from assay.contracts.contenders import contenders
from assay.contracts.errors import RejectedError
from assay.contracts.lanes import Quotas
from assay.contracts.prices import Prices, bundled_prices, load_prices
from assay.pipeline.budget import over_budget
from assay.pipeline.estimate import estimate, workload
from assay.pipeline.lanes import lane_limits
from assay.pipeline.prediction import Cost, Estimate, PredictedModel, PredictedStep
from cli.files import read_config, read_records, unreadable
from cli.history import measured_latencies
from cli.output import CommandError, make_console, told
from cli.submit import refused
from cli.target import ProfileOption, StackOption, Target, local_target, resolve

STEP_INSTANCE_TYPE = "ml.m5.large"


def predict(config: Path, catalog: Path | None, prices: Prices, target: Target | None) -> Estimate:
    """Predict the evaluation of a config with its local catalog; what the stack has measured is taken into account.

    Raises:
        CommandError: a file is at fault or cannot be read, or the stack cannot be asked.
    """
    try:
        suite = read_config(config)
        catalog = catalog if catalog is not None else suite.local_catalog()
        if catalog is None:
            raise CommandError(
                f"the catalog {suite.config.dataset.input_data_location} is not in ../catalogs beside {config}: "
                "name it with --catalog"
            )
        config_asked = contenders(suite.config)
        work = workload(config_asked, read_records(catalog, suite.config.dataset, suite.needs()))
    except RejectedError as error:
        raise refused(error.subject, list(error.faults), error.total) from error
    step_type = STEP_INSTANCE_TYPE if target is None else target.parameters.get("StepInstanceType", STEP_INSTANCE_TYPE)
    measured = {} if target is None else measured_latencies(target, config_asked)
    limits = lane_limits(config_asked, NoQuotas() if target is None else ServiceQuotas(target.client("service-quotas")))
    return estimate(config_asked, work, prices, step_instance_type=step_type, measured=measured, limits=limits)


class NoQuotas:
    """What is known of quotas where there is no stack to ask."""

    def endpoint_instances(self, _instance_types: Iterable[str]) -> Quotas:
        return Quotas({}, "no stack is named whose account could be asked")


def as_values(prediction: Estimate) -> dict[str, Any]:
    """The prediction as JSON's values; what is unknown is null."""
    values = dataclasses.asdict(prediction)
    prices = values.pop("prices")
    values["limits"] = [limit.model_dump() for limit in prediction.limits]
    values["models"] = [dataclasses.asdict(model) | {"by_batch": model.by_batch} for model in prediction.models]
    for name, costs in (("costs", prediction.costs), ("token_costs", prediction.token_costs)):
        values[name] = [dataclasses.asdict(cost) | {"usd": cost.usd} for cost in costs]
    totals = {"usd": prediction.usd, "known_usd": prediction.known_usd, "unpriced": list(prediction.unpriced)}
    prices = {key: prices[key] for key in ("as_of", "region", "source")} | {"currency": "USD"}
    return {"schema_version": "1", **values, **totals, "prices": prices}


def show(prediction: Estimate, console: Console) -> None:
    """Print the prediction for people."""
    asked = "" if prediction.asked == prediction.records else f"{prediction.asked:,} of "
    endpoints, lanes = len(prediction.endpoints), len(prediction.lanes)
    console.print(
        f"suite {prediction.suite}: {asked}{prediction.records:,} records, {len(prediction.models)} models, "
        f"{endpoints} endpoint{'s' if endpoints != 1 else ''} on {lanes} lane{'s' if lanes != 1 else ''}, "
        f"{len(prediction.steps)} steps"
    )
    console.print()
    console.print(_tree(prediction))
    console.print()
    console.print(_models(prediction))
    if prediction.judgings:
        console.print()
        console.print(_judgings(prediction))
    console.print()
    console.print(_endpoints(prediction))
    console.print()
    console.print(_costs(prediction))
    console.print(f"time  about {duration(prediction.seconds)}, on AWS")
    console.print(f"cost  {_total(prediction)}")
    for endpoint in prediction.endpoints:
        if endpoint.kept:
            console.print(
                f"the endpoint {endpoint.name} is kept, and goes on costing until you delete it", markup=False
            )
    console.print()
    console.print("assumed:")
    for sentence in prediction.assumptions:
        console.print(f"- {sentence}", markup=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def usd(amount: float | None) -> str:
    """Cents, and more places below ten cents; `unknown` for None."""
    if amount is None:
        return "unknown"
    return f"${amount:,.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.4f}"


def _total(prediction: Estimate) -> str:
    if prediction.usd is not None:
        return f"about {usd(prediction.usd)}"
    missing = ", ".join(prediction.unpriced)
    return (
        f"unknown: there is no price of {missing} (--prices gives one); the rest is about {usd(prediction.known_usd)}"
    )


def _tree(prediction: Estimate) -> Tree:
    """The steps below the last of those that they wait for."""
    nodes: dict[str, Tree] = {}
    root = Tree(Text(f"assay-{prediction.suite}"), guide_style="dim")
    before: dict[str, set[str]] = {}
    for step in prediction.steps:
        # What a step that it waits for waits for goes without saying.
        implied = set().union(*(before[name] for name in step.after))
        after = [name for name in step.after if name not in implied]
        before[step.name] = implied | set(step.after)
        parent = nodes[after[-1]] if after else root
        nodes[step.name] = parent.add(_label(step, after))
    return root


def _label(step: PredictedStep, after: list[str]) -> Text:
    label = Text(step.name).append(f"  {duration(step.seconds)}", style="dim")
    if len(after) > 1:
        label.append(f"  after {', '.join(after)}", style="dim")
    return label


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        table.add_column(
            name, justify="left" if index == 0 or name in ("endpoint", "models") else "right", overflow="fold"
        )
    return table


def _models(prediction: Estimate) -> Table:
    table = _table("calls", "model", "endpoint", "calls", "input tokens", "output tokens", "a call")
    for model in prediction.models:
        table.add_row(
            model.name,
            *(
                ("none: the catalog holds its answers", "0", "0", "0", "-")
                if model.latency_from == "catalog"
                else (
                    model.endpoint or ("none: a batch job asks" if model.by_batch else "none: a service answers"),
                    f"{model.calls:,}",
                    f"about {model.input_tokens:,}",
                    f"at most {model.output_tokens_at_most:,}",
                    _a_call(model),
                )
            ),
        )
    return table


def _judgings(prediction: Estimate) -> Table:
    table = _table("judgements, where none is known from before", "of", "calls", "input tokens", "output tokens")
    for item in prediction.judgings:
        tokens = f"at most {item.input_tokens:,}", f"at most {item.output_tokens_at_most:,}"
        table.add_row(item.model, f"{item.calls:,}", *tokens)
    return table


def _a_call(model: PredictedModel) -> str:
    if model.by_batch:
        return "-"
    return f"{model.latency_seconds:.3g} s {'assumed' if model.latency_from == 'assumption' else 'measured'}"


def _endpoints(prediction: Estimate) -> Table:
    table = _table("endpoints", "endpoint", "lane", "instances", "lives", "models")
    for item in prediction.endpoints:
        instances = "exists already" if item.instance_type is None else f"{item.instances} x {item.instance_type}"
        lives = "-" if item.instance_type is None else duration(item.seconds)
        lane = "-" if item.lane is None else str(item.lane)
        table.add_row(item.name, lane, instances, lives, ", ".join(item.models))
    return table


def _costs(prediction: Estimate) -> Table:
    table = _table("costs", "for", "instances", "hours", "an hour", "USD")
    for cost in prediction.costs:
        table.add_row(*_cost(cost))
    for tokens in prediction.token_costs:
        table.add_row(f"tokens of {tokens.model}, at most", "-", "-", "-", usd(tokens.usd))
    return table


def _cost(cost: Cost) -> tuple[str, ...]:
    return (
        cost.what,
        f"{cost.instances} x {cost.instance_type}",
        f"{cost.hours:.2f}",
        "unknown" if cost.hourly_usd is None else f"${cost.hourly_usd:g}",
        usd(cost.usd),
    )


def _prices(path: Path | None) -> Prices:
    if path is None:
        return bundled_prices()
    try:
        return load_prices(path.read_bytes(), str(path))
    except OSError as error:
        raise unreadable(path, error) from error
    except RejectedError as error:
        raise refused(error.subject, list(error.faults), error.total) from error


def plan(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The suite's config.")],
    catalog: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its catalog; the one in ../catalogs beside the config when left out."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the prediction as JSON instead.")] = False,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Price file in place of the one that comes with Assay.")
    ] = None,
    profile: ProfileOption = None,
    stack: StackOption = None,
) -> None:
    """Show the steps, endpoints, calls, tokens, time and cost of an evaluation. Starts nothing.

    Times and prices are those of AWS. Where a stack is at hand (the running local cloud, or --profile, --stack), the
    latencies of the suite's last evaluations there are used.
    Exit code: 0 planned, 1 the config or catalog has faults or the budget is too small, 2 could not be done.
    """
    with told():
        target = local_target() if profile is None and stack is None else resolve(profile, stack)
        prediction = predict(config, catalog, _prices(prices), target)
        if as_json:
            typer.echo(json.dumps(as_values(prediction), indent=1, ensure_ascii=False))
        else:
            show(prediction, make_console())
        if (fault := over_budget(prediction)) is not None:
            raise refused(str(config), [fault], 1)
