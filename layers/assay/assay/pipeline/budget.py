"""`limits.budget_usd`: whether an evaluation may start, and what asking each model may then cost. Pure."""

from __future__ import annotations

from assay.contracts.config import ModelSection, SuiteConfig
from assay.contracts.errors import Fault
from assay.contracts.judge_section import JUDGE
from assay.contracts.prices import Prices
from assay.inference.budget import Tariff
from assay.pipeline.prediction import MAX_TOKENS_KEYS, Assumptions, Estimate, longest_output

KEY = "limits.budget_usd"


def over_budget(prediction: Estimate) -> Fault | None:
    """Why an evaluation is not started; None when it has no budget or keeps it by the prediction.

    What has no known price, or no known end, cannot be held to a budget, so it is a fault as well.
    """
    budget = prediction.budget_usd
    if budget is None:
        return None
    if prediction.known_usd > budget:
        found = f"the evaluation would cost about {prediction.known_usd:.2f} USD, and the budget is {budget:g} USD"
        return Fault(f"{found}; `assay plan` shows what costs how much", key=KEY)
    if prediction.unpriced:
        missing = ", ".join(prediction.unpriced)
        message = f"a budget needs the price of everything, and there is none of {missing}; `pricing` gives one"
        return Fault(message, key=KEY)
    paid = {cost.model for cost in prediction.token_costs}
    endless = [m.name for m in prediction.models if m.name in paid and m.output_limit_from == "assumption"]
    if JUDGE in paid and any(item.output_limit_from == "assumption" for item in prediction.judgings):
        endless.append(f"the section `{JUDGE}`")
    if endless:
        message = f"a budget needs to know how long an answer may be: set {MAX_TOKENS_KEYS[1]!r} or its like of"
        return Fault(f"{message} {', '.join(endless)}", key=KEY)
    return None


def allotments(config: SuiteConfig, prediction: Estimate) -> dict[str, float]:
    """What asking each model may cost, in USD by its name; nothing without a budget.

    Everything that the prediction names may cost as much more than predicted as the budget is larger than the
    prediction. A model's part is that of its tokens, and of its endpoint's hours while it is asked.
    """
    scale = _scale(config, prediction)
    if scale is None:
        return {}
    tokens = {cost.model: cost.usd or 0.0 for cost in prediction.token_costs}
    seconds = {step.name: step.seconds for step in prediction.steps}
    found = {}
    for model in prediction.models:
        asking = sum(seconds[step] for step in model.ask_steps[:1] or (model.step,))
        hours = _hourly_usd(config.model(model.name), prediction.prices) * asking / 3600
        if model.calls and (model.name in tokens or hours > 0):
            found[model.name] = scale * (tokens.get(model.name, 0.0) + hours)
    return found


def judge_allotments(config: SuiteConfig, prediction: Estimate) -> dict[str, float]:
    """What asking a judge about each model's answers may cost, in USD by the model's name, as in `allotments`."""
    scale = _scale(config, prediction)
    cost = next((cost for cost in prediction.token_costs if cost.model == JUDGE), None)
    if scale is None or cost is None or cost.price is None:
        return {}
    return {
        item.model: scale * cost.price.usd(item.input_tokens, item.output_tokens_at_most)
        for item in prediction.judgings
    }


def _scale(config: SuiteConfig, prediction: Estimate) -> float | None:
    """How much more than predicted everything may cost; None without a budget, or where nothing costs anything."""
    budget = config.limits.budget_usd
    return None if budget is None or prediction.known_usd <= 0 else budget / prediction.known_usd


def tariff_of(config: SuiteConfig, model: ModelSection, prices: Prices, *, by_batch: bool = False) -> Tariff | None:
    """What asking a model costs; None where nothing is known of it.

    Args:
        prices: those of the config come first.
        by_batch: whether batch inference jobs ask it.
    """
    known = prices.overridden(config.pricing)
    tokens = known.of_tokens(model.name, model.model_id, by_batch=by_batch)
    hourly = _hourly_usd(model, known)
    if tokens is None and hourly == 0:
        return None
    longest = longest_output(model)
    return Tariff(
        input_usd=0.0 if tokens is None else tokens.input_usd,
        output_usd=0.0 if tokens is None else tokens.output_usd,
        longest_output=Assumptions().output_tokens if longest is None else longest,
        wrapping=len(model.evaluation_config.model_dump_json()),
        hourly_usd=hourly,
    )


def _hourly_usd(model: ModelSection, prices: Prices) -> float:
    """An hour of the endpoint that an evaluation creates for the model."""
    deployment = model.deployment_config
    if deployment is None:
        return 0.0
    return (prices.of(deployment.preferred_instance_type) or 0.0) * deployment.num_instances
