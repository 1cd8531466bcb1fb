"""The sections of a config that say what is scored, what decides, what bounds an evaluation and who hears of it."""

from __future__ import annotations

import difflib
import functools
import re
import zoneinfo
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, JsonValue, field_validator
from pydantic_core import PydanticCustomError

from assay.contracts.algorithms import ALGORITHMS, PLUGIN_NAME, Algorithm, known_algorithms
from assay.contracts.results import Criterion
from assay.contracts.section import Broken, Email, EndpointName, InstanceType, ModelName, Section

Share = Annotated[float, Field(ge=0, le=1)]
Occasion = Literal["completed", "approval", "failed", "rejected"]
Usd = Annotated[float, Field(ge=0)]
_EXPRESSION = re.compile(
    r"rate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]{1,5}) (minutes|hours|days))\)"
    r"|cron\([0-9A-Za-z*?/,#-]+( [0-9A-Za-z*?/,#-]+){5}\)|at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)"
)


@functools.cache
def _time_zones() -> frozenset[str]:
    """Empty where the system has no such database; then any name will do."""
    return frozenset(zoneinfo.available_timezones())


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """`; did you mean …?` where something known is close, else nothing."""
    close = difflib.get_close_matches(found[:100], list(known), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


class AlgorithmSection(Section):
    """An algorithm by its name; the bare name will do."""

    algorithm: str = Field(
        description="What scores the responses. docs/algorithms.md tells what each gives, needs and can be set; that "
        "of a plug-in has its package's name and a dot before its own.",
        json_schema_extra={"anyOf": [{"enum": list(ALGORITHMS)}, {"pattern": PLUGIN_NAME}]},
    )
    module: str | None = Field(None, description="fmeval's module; may only repeat what is known, and imports nothing.")
    config: str | None = Field(None, description="fmeval's class of parameters; likewise.")
    target_output_delimiter: str | None = Field(
        None, min_length=1, description="Text that parts alternatives in an expected answer, such as `<OR>`."
    )
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict, description="What this algorithm can be told, by name, as docs/algorithms.md lists it."
    )

    @classmethod
    def short_form(cls, value: Any) -> Any:
        return {"algorithm": value} if isinstance(value, str) else value

    @field_validator("algorithm")
    @classmethod
    def _is_known(cls, value: str) -> str:
        known = known_algorithms()
        if value not in known:
            hint = "" if "." not in value else "; a plug-in must be installed where configs are checked and run"
            raise ValueError(
                f"unknown algorithm {value[:80]!r}{did_you_mean(value, known)}; known: {', '.join(known)}{hint}"
            )
        return value

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        name = raw.get("algorithm")
        known = known_algorithms().get(name) if isinstance(name, str) else None
        if known is None:
            return
        for key, wanted in (("module", known.module), ("config", known.config)):
            found = raw.get(key)
            if isinstance(found, str) and found != wanted:
                told = f"is {wanted!r}" if wanted else "is none"
                yield (key,), f"`{key}` of {known.name} {told}, found {found[:80]!r}; leave it out"
        if raw.get("target_output_delimiter") is not None and not known.delimited:
            yield ("target_output_delimiter",), f"{known.name} takes no `target_output_delimiter`"
        parameters = raw.get("parameters")
        if parameters is None or isinstance(parameters, dict):
            yield from _broken_parameters(known, parameters or {})

    @property
    def known(self) -> Algorithm:
        """What is known of it, with the scores that it gives with these parameters."""
        return known_algorithms()[self.algorithm].with_parameters(self.parameters)

    @property
    def settings(self) -> dict[str, Any]:
        """Every parameter: as written, else its default."""
        return self.known.values(self.parameters)


def _broken_parameters(known: Algorithm, parameters: dict[Any, Any]) -> Iterator[Broken]:
    names = [item.name for item in known.parameters]
    for name in parameters:
        if name == "target_output_delimiter" and known.delimited:
            yield ("parameters", name), f"`{name}` stands beside `algorithm`, not below `parameters`"
        elif name not in names:
            there = f"; there are: {', '.join(names)}" if names else "; it has none"
            hint = did_you_mean(str(name), names)
            yield ("parameters", str(name)), f"{known.name} has no parameter {str(name)[:80]!r}{hint}{there}"
    for path, message in known.faults(parameters):
        yield ("parameters", *path) if path else (), message


class RegistrySection(Section):
    """The model package group of the suite; by default a group of the suite's name."""

    model_package_group_name: EndpointName = Field(description="Name of the model package group.")
    model_package_group_description: str = Field(
        "", max_length=1024, description="Its description, where Assay creates it."
    )


# What a constraint may bound besides scores, and what it is.
MEASURES = {
    "latency_ms": "mean latency",
    "latency_p50_ms": "median latency",
    "latency_p90_ms": "latency that 90 % of the answers keep",
    "latency_p95_ms": "latency that 95 % of the answers keep",
    "latency_p99_ms": "latency that 99 % of the answers keep",
    "cost_usd": "cost of asking the catalog",
    "cost_per_1k_usd": "cost of a thousand answers",
    "tokens_per_second": "output tokens a second",
    "deploy_seconds": "time to deploy",
    "failures": "records without the metric",
    "failed_share": "share of the records without the metric",
}
_CONSTRAINT = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(<=|>=)\s*([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*")


class ConstraintSection(Section):
    """A bound that a model must keep to be chosen; `latency_p95_ms <= 2000` for short."""

    metric: str = Field(
        min_length=1, description=f"A score's name, or one of {', '.join(f'`{name}`' for name in MEASURES)}."
    )
    at_least: float | None = Field(None, description="Smallest value allowed.")
    at_most: float | None = Field(None, description="Largest value allowed.")

    @classmethod
    def short_form(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = _CONSTRAINT.fullmatch(value)
        if found is None:
            message = f"must read like `latency_p95_ms <= 2000`, with <= or >=, found {value[:80]!r}"
            raise PydanticCustomError("rule", "{message}", {"message": message})
        name, sign, bound = found.groups()
        return {"metric": name, "at_most" if sign == "<=" else "at_least": float(bound)}

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        if raw.get("at_least") is None and raw.get("at_most") is None:
            yield (), "a constraint needs `at_least` or `at_most`"

    @property
    def texts(self) -> list[tuple[str, float, bool]]:
        """Each bound as `(text, bound, whether it is the largest value allowed)`."""
        bounds = ((self.at_least, ">=", False), (self.at_most, "<=", True))
        return [(f"{self.metric} {sign} {bound:g}", bound, most) for bound, sign, most in bounds if bound is not None]


class SelectionSection(Section):
    """What decides which model is best: one `metric`, or `weights` over several scores."""

    metric: str | None = Field(
        None,
        min_length=1,
        description="The score that ranks the models: its name, or `<algorithm>.<score>` where two algorithms give the "
        "same. The first algorithm's first score when left out.",
    )
    weights: dict[str, Annotated[float, Field(ge=0)]] | None = Field(
        None,
        min_length=1,
        description="Weight of each score by its name, where several count. Models are ranked by the weighted mean, in "
        "which a score of which less is better counts as one minus it.",
    )
    constraints: list[ConstraintSection] = Field(
        default_factory=list, max_length=50, description="Bounds that drop a model from the choice."
    )
    objective: Criterion | Annotated[list[Criterion], Field(min_length=1, max_length=3)] | None = Field(
        None,
        description="What to favour among the models that keep the constraints: one criterion, or several, of which a "
        "later one decides among models that are equal in the earlier ones. Equal in quality are models with the same "
        "mean, and those that are surely within `gate.margin`. `quality` when left out.",
    )

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        if raw.get("metric") is not None and raw.get("weights") is not None:
            yield ("weights",), "`metric` and `weights` exclude each other; write one of them"
        weights, objective = raw.get("weights"), raw.get("objective")
        if isinstance(weights, dict) and weights and all(value == 0 for value in weights.values()):
            yield ("weights",), "one weight must be above 0"
        if isinstance(objective, list) and len(objective) != len({str(item) for item in objective}):
            yield ("objective",), "a criterion stands twice"


class ThresholdSection(Section):
    """A bound on a winner's mean, whoever the champion is."""

    metric: str = Field(min_length=1, description="A score's name, or `<algorithm>.<score>`.")
    at_least: float | None = Field(None, description="Smallest mean allowed.")
    at_most: float | None = Field(None, description="Largest mean allowed.")

    @classmethod
    def broken_rules(cls, raw: dict[str, Any]) -> Iterator[Broken]:
        if raw.get("at_least") is None and raw.get("at_most") is None:
            yield (), "a threshold needs `at_least` or `at_most`"


DEFAULT_MARGIN = 0.05


class GateSection(Section):
    """What a winner must pass to be registered."""

    baseline: ModelName | None = Field(
        None, description="The model that a winner may not be worse than; the approved champion when left out."
    )
    margin: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="The winner must be shown not to be worse than the baseline by this much, in the score that ranks "
        f"the models: the worst that the interval of the difference allows is less. {DEFAULT_MARGIN} when left out. "
        "Where it is written, models that are surely this close to each other are called equivalent.",
        json_schema_extra={"unit": "of the metric"},
    )
    margins: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="Further scores in which it must not be worse, by their names, each with its own margin.",
    )
    thresholds: list[ThresholdSection] = Field(
        default_factory=list, max_length=50, description="Bounds on its means, on the first run as on every other."
    )
    min_records: Annotated[int, Field(ge=1)] = Field(
        30,
        description="Records in common with the baseline that it takes. Fewer do not pass.",
        json_schema_extra={"unit": "records"},
    )
    approve_at_confidence: Annotated[float, Field(ge=0.9, lt=1)] | None = Field(
        None,
        description="Approve a winner without asking anybody when it passes against a baseline at this level too. "
        "Somebody is always asked when left out, and on the first run.",
        json_schema_extra={"unit": "share"},
    )
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        0.95, description="Level of every interval.", json_schema_extra={"unit": "share"}
    )
    max_failed: Share = Field(
        0.05,
        description="Share of the records that a model may fail to answer and still be ranked.",
        json_schema_extra={"unit": "share"},
    )

    @property
    def margin_or_default(self) -> float:
        """The margin of the score that ranks the models."""
        return DEFAULT_MARGIN if self.margin is None else self.margin


class LimitsSection(Section):
    """Bounds of one evaluation."""

    concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        16, description="Requests in flight to one model.", json_schema_extra={"unit": "requests"}
    )
    request_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        120.0, description="Deadline of one record, with its retries.", json_schema_extra={"unit": "seconds"}
    )
    deploy_seconds: Annotated[int, Field(ge=1, le=86_400)] = Field(
        1800, description="How long an endpoint may take to be in service.", json_schema_extra={"unit": "seconds"}
    )
    evaluate_seconds: Annotated[int, Field(ge=60, le=431_700)] = Field(
        86_400,
        description="How long one model may be asked; scoring comes after it. A judge has as long again.",
        json_schema_extra={"unit": "seconds"},
    )
    endpoints: Annotated[int, Field(ge=1, le=50)] | None = Field(
        None,
        description="Endpoints that may exist at the same time; the account's quota when left out.",
        json_schema_extra={"unit": "endpoints"},
    )
    shards: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None,
        description="Parallel steps that ask a model, each about a part of the catalog with a part of `concurrency`.",
        json_schema_extra={"unit": "steps"},
    )
    budget_usd: Usd | None = Field(
        None,
        description="What an evaluation may cost. One that is predicted to cost more is not started, and asking stops "
        "before a model's part of it is passed.",
        json_schema_extra={"unit": "USD"},
    )
    timeout: Annotated[int, Field(ge=60, le=2_419_200)] | None = Field(
        None,
        description="How long the whole evaluation may take; looked at every 15 minutes, and stopped when it is over.",
        json_schema_extra={"unit": "seconds"},
    )
    keep_winner_hours: Annotated[int, Field(ge=1, le=720)] | None = Field(
        None,
        description="How long the winner's endpoint stays after the decision. Until then every endpoint that was "
        "created stays, and then the others are deleted.",
        json_schema_extra={"unit": "hours"},
    )


class TokenPriceSection(Section):
    """What tokens cost."""

    input_usd: Usd = Field(description="A million tokens of input.", json_schema_extra={"unit": "USD"})
    output_usd: Usd = Field(description="A million tokens of output.", json_schema_extra={"unit": "USD"})


class PricingSection(Section):
    """Your own prices, where the public ones are not yours."""

    instances: dict[InstanceType, Usd] = Field(
        default_factory=dict, description="An hour of each instance type.", json_schema_extra={"unit": "USD"}
    )
    tokens: dict[ModelName, TokenPriceSection] = Field(
        default_factory=dict, description="Tokens, by the name of the model in this config."
    )


class NotifySection(Section):
    """Who hears of this suite, besides those who subscribed to the stack's topic."""

    emails: list[Email] = Field(
        min_length=1,
        max_length=50,
        description="Addresses that get the suite's mails; SNS asks each of them once whether it wants to.",
    )
    occasions: list[Occasion] = Field(
        default_factory=lambda: list[Occasion](get_args(Occasion)),
        min_length=1,
        description="What is told: an evaluation that completed, a model that waits for approval or is decided about, "
        "an evaluation that failed, a file that was refused.",
    )


class ScheduleSection(Section):
    """Evaluate again by the clock, with the newest catalog."""

    expression: str = Field(
        description="EventBridge Scheduler's: `rate(1 day)`, `cron(0 6 ? * MON *)`, or once: `at(2027-01-31T06:00:00)`."
    )
    timezone: str = Field("UTC", description="IANA time zone of `cron` and `at`, such as `Europe/Berlin`.")

    @field_validator("expression")
    @classmethod
    def _is_an_expression(cls, value: str) -> str:
        if not _EXPRESSION.fullmatch(value):
            raise ValueError(
                "must be `rate(1 day)` (minutes, hours, days), `cron(minute hour day month weekday year)` or "
                f"`at(yyyy-mm-ddThh:mm:ss)`, found {value[:80]!r}"
            )
        return value

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        known = _time_zones()
        if known and value not in known:
            raise ValueError(
                f"must be a time zone of the IANA database, found {value[:80]!r}{did_you_mean(value, known)}"
            )
        return value
