"""What a judge will be asked and cost, before anything is spent. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from assay.contracts.config import SuiteConfig
from assay.contracts.judge_section import JUDGE
from assay.contracts.prices import Prices
from assay.pipeline.plan import planned_models
from assay.pipeline.prediction import Assumptions, PredictedJudging, TokenCost, Workload, longest_output
from assay.scoring.judging import GRADES


def predict_judgings(config: SuiteConfig, work: Workload, asked: int, given: Assumptions) -> Iterable[PredictedJudging]:
    """What a judge is asked about each model's answers, which are taken to be as long as they may be.

    Args:
        work: the catalog, counted; it has the length of the answers that it holds itself.
        asked: records that are asked.
    """
    if config.judge is None:
        return
    share = asked / work.records if work.records else 0.0
    grading, comparing = (characters * share / given.characters_per_token for characters in work.judge_characters)
    limit = longest_output(config.judge.model)
    longest, limit_from = (given.output_tokens, "assumption") if limit is None else (limit, "config")
    grades = any(item.known.name == GRADES for item in config.judged_algorithms)

    def answers(name: str) -> float:
        if (held := work.given_characters.get(name)) is not None:
            return held * share / given.characters_per_token
        return asked * (longest_output(config.model(name)) or given.output_tokens)

    for planned in planned_models(config).values():
        calls, tokens = 0, 0.0
        if grades:
            calls, tokens = asked, grading + answers(planned.name)
        if planned.rival is not None:
            times = 2 if config.judge.swap_positions else 1
            calls += times * asked
            tokens += times * (comparing + answers(planned.name) + answers(planned.rival))
        yield PredictedJudging(
            planned.name, planned.judge_step or "", calls, math.ceil(tokens), calls * longest, limit_from
        )


def judge_cost(config: SuiteConfig, judgings: Sequence[PredictedJudging], prices: Prices) -> Iterable[TokenCost]:
    """As of a model: of a judge that somebody else serves, or that the config has a price for."""
    if config.judge is None or (config.judge.provider == "endpoint" and JUDGE not in prices.own_tokens):
        return
    tokens = sum(item.input_tokens for item in judgings), sum(item.output_tokens_at_most for item in judgings)
    yield TokenCost(JUDGE, *tokens, prices.of_tokens(JUDGE, config.judge.model_id))
