"""What an evaluation will take, before anything is spent: calls, tokens, time and money. Pure.

A prediction for AWS from stated assumptions: it is as good as they are, and each of them is told with the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from assay.contracts.catalog import Record
from assay.contracts.config import ModelSection, SuiteConfig
from assay.contracts.lanes import LaneLimit
from assay.contracts.prices import BATCH_SHARE, Prices
from assay.contracts.second_answers import asks_per_record
from assay.inference.prompts import render_prompt
from assay.pipeline.judge_prediction import judge_cost, predict_judgings
from assay.pipeline.lanes import Branch, Lane, pack
from assay.pipeline.plan import (
    PREPROCESS,
    PlannedEndpoint,
    PlannedModel,
    dependencies,
    plan,
    plan_given,
)
from assay.pipeline.prediction import (
    BATCH_HOURS,
    Assumptions,
    Cost,
    Estimate,
    Measured,
    PredictedEndpoint,
    PredictedJudging,
    PredictedModel,
    PredictedStep,
    TokenCost,
    Workload,
    longest_output,
)
from assay.scoring.judging import comparing_prompt, grading_prompt


def workload(config: SuiteConfig, records: Iterable[Record]) -> Workload:
    """Count a catalog and the prompts that it becomes, one record in memory."""
    called = [model for model in config.models if model.is_asked]
    characters = {model.name: 0 for model in called}
    given = {model.name: 0 for model in config.models if not model.is_asked}
    count = grading = comparing = 0
    for record in records:
        count += 1
        for model in called:
            characters[model.name] += len(render_prompt(model.evaluation_config.prompt_template, record))
        for name in given:
            given[name] += len(record.responses.get(name, ""))
        if config.judge is not None:
            grading += len(grading_prompt(config.judge.rubric, record, ""))
            comparing += len(comparing_prompt(config.judge.rubric, record, "", ""))
    return Workload(count, characters, given, (grading, comparing))


def estimate(
    config: SuiteConfig,
    work: Workload,
    prices: Prices,
    *,
    step_instance_type: str,
    measured: Mapping[str, Measured] | None = None,
    assumptions: Assumptions | None = None,
    limits: Sequence[LaneLimit] = (),
) -> Estimate:
    """Predict an evaluation.

    Args:
        config: a checked config.
        work: the catalog, counted.
        prices: of an hour of each instance type; those of the config come first.
        step_instance_type: instance type of the steps' jobs.
        measured: latencies and training times of earlier evaluations of the suite, by model.
        assumptions: what is taken for granted where nothing is measured.
        limits: endpoints that may exist at the same time; without any, each has a lane of its own.
    """
    given = assumptions or Assumptions()
    prices = prices.overridden(config.pricing)
    asked = _asked(config, work.records)
    times = asks_per_record(config.algorithms)
    called = tuple(
        _model(config.model(model.name), endpoint.name, model, work, asked, measured or {}, given, times)
        for endpoint in plan(config)
        for model in endpoint.models
    )
    models = called + tuple(
        _model(config.model(model.name), None, model, work, asked, measured or {}, given, times)
        if config.model(model.name).is_asked
        else _not_called(model)
        for model in plan_given(config)
    )
    judgings = tuple(predict_judgings(config, work, asked, given))
    lanes = plan_lanes(config, work.records, limits, measured=measured, assumptions=given)
    steps = _steps(config, lanes, {model.step: model for model in models}, judgings, measured or {}, asked, given)
    by_name = {step.name: step for step in steps}
    numbers = {name: number for number, lane in enumerate(lanes, start=1) for name in lane.endpoints}
    endpoints = tuple(_endpoint(numbers.get(planned.name), planned, by_name) for planned in plan(config))
    return Estimate(
        suite=config.suite,
        records=work.records,
        asked=asked,
        steps=steps,
        models=models,
        judgings=judgings,
        endpoints=endpoints,
        lanes=lanes,
        limits=tuple(limits),
        seconds=max(step.ends for step in steps),
        costs=tuple(_costs(config, endpoints, steps, step_instance_type, prices)),
        token_costs=(*_token_costs(config, models, prices), *judge_cost(config, judgings, prices)),
        budget_usd=config.limits.budget_usd,
        prices=prices,
        assumptions=tuple(_told(config, models, measured or {}, given, prices, asked, work.records, limits)),
    )


def plan_lanes(
    config: SuiteConfig,
    records: int,
    limits: Sequence[LaneLimit],
    *,
    measured: Mapping[str, Measured] | None = None,
    assumptions: Assumptions | None = None,
) -> tuple[Lane, ...]:
    """Pack the endpoints that an evaluation creates onto the lanes that there are, by how long each will live.

    Args:
        config: a checked config.
        records: records in the catalog.
        limits: endpoints that may exist at the same time.
        measured: latencies and training times of earlier evaluations of the suite, by model.
        assumptions: what is taken for granted where nothing is measured.
    """
    given = assumptions or Assumptions()
    asked = _asked(config, records)
    start = given.job_start_seconds
    branches = []
    for endpoint in plan(config):
        deployment = endpoint.section.deployment_config
        if deployment is None:
            continue
        latency = max(_latency(item.name, measured or {}, given)[0] for item in endpoint.models)
        asks = asked * asks_per_record(config.algorithms)
        calls = _call_seconds(latency, asks, config.limits.concurrency) + asked * given.scoring_seconds
        branches.append(
            Branch(
                name=endpoint.name,
                seconds=3 * start + given.deploy_seconds + calls + given.cleanup_seconds,
                pool=deployment.preferred_instance_type,
                ready=start + _training_seconds(endpoint, measured or {}, given) if endpoint.finetune_step else 0.0,
                kept=endpoint.keep,
            )
        )
    return pack(branches, limits)


def _asked(config: SuiteConfig, records: int) -> int:
    return min(config.dataset.num_records or records, records)


def _not_called(model: PlannedModel) -> PredictedModel:
    return PredictedModel(
        name=model.name,
        endpoint=None,
        step=model.step,
        calls=0,
        input_tokens=0,
        output_tokens_at_most=0,
        output_limit_from="catalog",
        latency_seconds=0.0,
        latency_from="catalog",
    )


def _model(
    section: ModelSection,
    endpoint: str | None,
    planned: PlannedModel,
    work: Workload,
    asked: int,
    measured: Mapping[str, Measured],
    given: Assumptions,
    times: int,
) -> PredictedModel:
    """`times`: how often it is asked about a record; a perturbed prompt is about as long as the first."""
    longest = longest_output(section)
    share = asked / work.records if work.records else 0.0
    by_batch = section.asked_by_batch(asked // max(1, len(planned.ask_steps)))
    latency_seconds, latency_from = (0.0, "batch") if by_batch else _latency(section.name, measured, given)
    return PredictedModel(
        name=section.name,
        endpoint=endpoint,
        step=planned.step,
        ask_steps=planned.ask_steps,
        calls=asked * times,
        input_tokens=math.ceil(work.characters[section.name] * share * times / given.characters_per_token),
        output_tokens_at_most=asked * times * (given.output_tokens if longest is None else longest),
        output_limit_from="assumption" if longest is None else "config",
        latency_seconds=latency_seconds,
        latency_from=latency_from,
    )


def _latency(name: str, measured: Mapping[str, Measured], given: Assumptions) -> tuple[float, str]:
    """Seconds of one call, and the evaluation id that they were measured in or `assumption`."""
    known = measured.get(name)
    if known is None or known.seconds is None:
        return given.latency_seconds, "assumption"
    return known.seconds, known.evaluation_id


def _training_of(endpoint: PlannedEndpoint, measured: Mapping[str, Measured]) -> tuple[str, int] | None:
    """The longest training that was measured of an endpoint's models, and whose it was."""
    found = [
        (item.name, seconds)
        for item in endpoint.models
        if item.name in measured and (seconds := measured[item.name].training_seconds) is not None
    ]
    return max(found, key=lambda known: known[1], default=None)


def _training_seconds(endpoint: PlannedEndpoint, measured: Mapping[str, Measured], given: Assumptions) -> float:
    known = _training_of(endpoint, measured)
    return given.finetune_seconds if known is None else float(known[1])


def _steps(
    config: SuiteConfig,
    lanes: Iterable[Lane],
    models: Mapping[str, PredictedModel],
    judgings: Iterable[PredictedJudging],
    measured: Mapping[str, Measured],
    asked: int,
    given: Assumptions,
) -> tuple[PredictedStep, ...]:
    """Every step of the plan, each after those it depends on."""
    seconds = {PREPROCESS: ("preprocess", given.preprocess_seconds)}
    for endpoint in plan(config):
        exists = endpoint.section.provider == "endpoint"
        if endpoint.finetune_step is not None:
            seconds[endpoint.finetune_step] = ("finetune", _training_seconds(endpoint, measured, given))
        seconds[endpoint.deploy_step] = ("deploy", given.existing_seconds if exists else given.deploy_seconds)
        seconds[endpoint.cleanup_step] = ("cleanup", given.cleanup_seconds)
    for name, model in models.items():
        calls = _call_seconds(model.latency_seconds, model.calls, config.limits.concurrency)
        if model.by_batch:
            calls = min(BATCH_HOURS * 3600.0, config.limits.evaluate_seconds)
        scoring = asked * given.scoring_seconds
        seconds[name] = ("evaluate", scoring if model.ask_steps else calls + scoring)
        seconds |= dict.fromkeys(model.ask_steps, ("ask", calls))
    if config.judge is not None:
        for judging in judgings:
            calls = _call_seconds(given.latency_seconds, judging.calls, config.judge.concurrency)
            seconds[judging.step] = ("judge", calls + asked * given.scoring_seconds)
    ends: dict[str, float] = {}
    steps: list[PredictedStep] = []
    for name, after in dependencies(config, [lane.endpoints for lane in lanes]).items():
        kind, takes = seconds[name]
        begins = max((ends[earlier] for earlier in after), default=0.0)
        steps.append(PredictedStep(name, kind, after, begins, given.job_start_seconds + takes))
        ends[name] = steps[-1].ends
    return tuple(steps)


def _call_seconds(latency_seconds: float, calls: int, concurrency: int) -> float:
    """Calls in rounds of `concurrency`; steps that share the work share that too."""
    return math.ceil(calls / concurrency) * latency_seconds


def _endpoint(lane: int | None, planned: PlannedEndpoint, steps: Mapping[str, PredictedStep]) -> PredictedEndpoint:
    deployment = planned.section.deployment_config
    bills = deployment is not None
    # One that awaits the decision lives until the whole pipeline has ended.
    ends = max(step.ends for step in steps.values()) if planned.awaits_decision else steps[planned.cleanup_step].ends
    lives = ends - steps[planned.deploy_step].begins
    return PredictedEndpoint(
        name=planned.name,
        lane=lane,
        instance_type=None if deployment is None else deployment.preferred_instance_type,
        instances=0 if deployment is None else deployment.num_instances,
        models=tuple(model.name for model in planned.models),
        seconds=lives if bills else 0.0,
        kept=bills and not planned.section.cleanup_endpoint,
    )


def _costs(
    config: SuiteConfig,
    endpoints: Iterable[PredictedEndpoint],
    steps: Iterable[PredictedStep],
    step_instance_type: str,
    prices: Prices,
) -> Iterable[Cost]:
    steps = list(steps)
    tuning = {planned.finetune_step: planned.section.finetuning_config for planned in plan(config)}
    for step in steps:
        if (section := tuning.get(step.name)) is not None:
            parameters = section.parameters
            yield Cost(
                what=step.name,
                instance_type=parameters.instance_type,
                instances=parameters.num_instances,
                hours=step.seconds / 3600,
                hourly_usd=prices.of(parameters.instance_type),
            )
    for endpoint in endpoints:
        if endpoint.instance_type is not None:
            yield Cost(
                what=f"endpoint {endpoint.name}",
                instance_type=endpoint.instance_type,
                instances=endpoint.instances,
                hours=endpoint.seconds / 3600,
                hourly_usd=prices.of(endpoint.instance_type),
            )
    hours = sum(step.seconds for step in steps) / 3600
    yield Cost("steps", step_instance_type, 1, hours, prices.of(step_instance_type))


def _token_costs(config: SuiteConfig, models: Iterable[PredictedModel], prices: Prices) -> Iterable[TokenCost]:
    """Of models that somebody else serves, and of others that the config has a price for."""
    for model in models:
        price = prices.of_tokens(model.name, config.model(model.name).model_id, by_batch=model.by_batch)
        if model.calls and (model.endpoint is None or model.name in prices.own_tokens):
            yield TokenCost(model.name, model.input_tokens, model.output_tokens_at_most, price)


def _told(
    config: SuiteConfig,
    models: Iterable[PredictedModel],
    measured: Mapping[str, Measured],
    given: Assumptions,
    prices: Prices,
    asked: int,
    records: int,
    limits: Iterable[LaneLimit],
) -> Iterable[str]:
    models = list(models)
    called = [model for model in models if model.latency_from != "catalog" and not model.by_batch]
    if batched := [model.name for model in models if model.by_batch]:
        yield (
            f"batch inference jobs ask {', '.join(batched)}: they may take {BATCH_HOURS} h and mostly end sooner, and "
            f"tokens cost {BATCH_SHARE:.0%} of the price on demand (a price of the config's own is taken as it is)"
        )
    yield (
        f"a job starts in {given.job_start_seconds:.0f} s, an endpoint in {given.deploy_seconds:.0f} s "
        f"({given.existing_seconds:g} s where it exists already); "
        f"preprocess takes {given.preprocess_seconds:.0f} s and cleanup {given.cleanup_seconds:.0f} s"
    )
    tuned = [planned for planned in plan(config) if planned.finetune_step is not None]
    known = [known for planned in tuned if (known := _training_of(planned, measured)) is not None]
    if len(known) < len(tuned):
        yield f"fine-tuning takes {given.finetune_seconds:.0f} s of its instances where it was not measured yet"
    for known_model, seconds in known:
        place, identifier = measured[known_model].place, measured[known_model].evaluation_id
        yield f"fine-tuning takes {seconds} s of its instances, measured in {place}, {identifier}: {known_model}"
    if unmeasured := [model.name for model in called if model.latency_from == "assumption"]:
        yield f"a call takes {given.latency_seconds:g} s, not measured yet: {', '.join(unmeasured)}"
    for model in called:
        if model.latency_from != "assumption":
            place = measured[model.name].place
            yield f"a call takes {model.latency_seconds:.3g} s, measured in {place}, {model.latency_from}: {model.name}"
    yield (
        f"{config.limits.concurrency} calls at a time to each model, none repeated; "
        f"scoring a response takes {given.scoring_seconds:g} s"
    )
    yield (
        f"a token is {given.characters_per_token:g} characters of the prompt; what content template and system prompt "
        "add is not counted; output is the most that the config allows"
    )
    if unlimited := [model.name for model in models if model.output_limit_from == "assumption"]:
        yield f"an answer has at most {given.output_tokens} tokens, with no maximum set: {', '.join(unlimited)}"
    if config.judge is not None:
        yield (
            f"the judge takes {given.latency_seconds:g} s for a judgement, {config.judge.concurrency} at a time for "
            "each model, none repeated and none known from before; the answers that it reads are as long as they may be"
        )
    if asked < records:
        yield f"{asked} of {records} records are drawn; their prompts are taken to be of mean length"
    yield from (limit.reason for limit in limits)
    if (hours := config.limits.keep_winner_hours) is not None:
        yield f"every endpoint stays until the decision; the {hours} h that the winner's stays after it are left out"
    yield f"prices: on demand in {prices.region}, approximate, as of {prices.as_of}, {prices.source}"
    if prices.own:
        yield f"prices of the config's own: {', '.join(sorted(prices.own))}"
    yield "an endpoint costs from the start of its deploy step to the end of its cleanup step; storage is left out"
