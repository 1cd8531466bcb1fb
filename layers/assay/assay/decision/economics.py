"""What it cost to ask a model, and how fast it spoke."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from assay.contracts.config import DeploymentSection, ModelSection, SuiteConfig
from assay.contracts.prices import BATCH_SHARE, Prices
from assay.contracts.results import ModelCost, ModelOutcome, RankedModel


def model_cost(section: ModelSection, outcome: ModelOutcome, prices: Prices) -> ModelCost:
    """Tokens times price where the service counted every answer's tokens and their price is known, else hours times
    price.

    The hours are those in which the records were asked; deploying, waiting and scoring are not among them. What is not
    known is not taken for nothing.
    """
    if outcome.status == "failed" or not outcome.answered:
        return _unknown("it answered nothing")
    by_tokens = _of_tokens(section, outcome, prices)
    if by_tokens is not None:
        return by_tokens
    if section.deployment_config is not None:
        return _of_hours(section.deployment_config, outcome, prices)
    if section.provider == "responses":
        return _unknown("its answers were ready")
    return _unknown("its tokens, or their price, are not known, and no instance of ours serves it")


def _of_tokens(section: ModelSection, outcome: ModelOutcome, prices: Prices) -> ModelCost | None:
    tokens, price = outcome.tokens, prices.of_tokens(section.name, section.model_id, by_batch=outcome.by_batch)
    if tokens is None or tokens.n < outcome.answered:
        return None
    if price is not None:
        rates = f" at ${price.input_usd:g} and ${price.output_usd:g} a million"
        usd: float | None = price.usd(tokens.input, tokens.output)
    else:
        rates, usd = ", by its service's word", tokens.usd
    note = f"{tokens.input:,} tokens in and {tokens.output:,} out{rates}"
    return None if usd is None else _known("tokens", usd, outcome, note)


def _of_hours(deployment: DeploymentSection, outcome: ModelOutcome, prices: Prices) -> ModelCost:
    kind = deployment.preferred_instance_type
    hourly = prices.of(kind)
    if hourly is None:
        return _unknown(f"there is no price of {kind}")
    if outcome.wall_seconds is None:
        return _unknown("the time in which it was asked was not measured")
    usd = hourly * outcome.wall_seconds / 3600 * deployment.num_instances
    note = f"{outcome.wall_seconds:,.0f} s of {deployment.num_instances} x {kind} at ${hourly:g} an hour"
    return _known("instance_hours", usd, outcome, note)


def tokens_per_second(outcome: ModelOutcome) -> float | None:
    """Output tokens for each second of the answering requests: how fast one answer comes, not how many at once."""
    tokens = outcome.tokens
    if tokens is None or not tokens.seconds:
        return None
    return tokens.output / tokens.seconds


def assumptions(config: SuiteConfig, prices: Prices, models: Sequence[RankedModel]) -> Iterator[str]:
    """What cost and latency of these models rest on, in sentences."""
    bases = {item.cost.basis for item in models if item.cost is not None}
    if bases != {None}:
        yield f"Prices are on demand in {prices.region}, approximate, as of {prices.as_of}: {prices.source}."
    if prices.own:
        yield f"Prices of {', '.join(sorted(prices.own))} are the config's own."
    if "instance_hours" in bases:
        yield (
            "Instance hours are those in which the records were asked, "
            f"at most {config.limits.concurrency} at a time; deploying, waiting and scoring are not among them, and an "
            "endpoint that is less busy costs more for each answer. Models that share an endpoint are each charged "
            "the time of their own requests."
        )
    if "tokens" in bases:
        yield "Tokens are as the service counted them, of the answering requests; retries are not among them."
    if batched := [item.model for item in models if item.outcome.by_batch]:
        yield (
            f"{', '.join(batched)}: asked by batch inference jobs, whose tokens are taken to cost "
            f"{BATCH_SHARE:.0%} of the price on demand, unless the config has a price of its own; such answers have no "
            "latency."
        )
    if any(item.outcome.latency for item in models):
        yield "Latency is that of the answering request, without retries and waits."
    if queued := [item.model for item in models if item.outcome.asynchronous and item.outcome.answered]:
        yield f"Answers of {', '.join(queued)} came through the queue of an asynchronous endpoint: no latency is known."


def _known(basis: Literal["tokens", "instance_hours"], usd: float, outcome: ModelOutcome, note: str) -> ModelCost:
    return ModelCost(basis=basis, usd=usd, per_1k_usd=1000 * usd / outcome.answered, note=note)


def _unknown(note: str) -> ModelCost:
    return ModelCost(basis=None, usd=None, per_1k_usd=None, note=note)
