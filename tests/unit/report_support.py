"""Comparisons, manifests and answers to make a report of, and a reader of its page."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from assay.contracts.config import SuiteConfig
from assay.contracts.results import (
    CategorySlice,
    Comparison,
    ConstraintResult,
    Latency,
    Manifest,
    Mean,
    ModelCost,
    ModelOutcome,
    PairedDifference,
    RankedModel,
    ScoreSummary,
    Selection,
    SourceObject,
    WeightRange,
    WorstCase,
)
from assay.report.page import render_report
from assay.report.samples import Excerpt, Sample, SampleAnswer, Samples

EVIL = "<script>alert('x')</script>\"'&{{ 7 * 7 }}"
VOID = {"meta", "br", "wbr"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; refuses tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data


def suite(*models: str, template: str = "$model_input") -> SuiteConfig:
    deployment = {"instance_type": "ml.g5.xlarge", "num_instances": 1}
    evaluation = {"prompt_template": template, "inference_parameters": {"temperature": 0.0, "stop": ["\n"]}}
    return SuiteConfig.model_validate(
        {
            "pipeline": {"name": "demo"},
            "dataset": {"input_data_location": "faq.jsonl"},
            "models": [
                {"name": name, "model_id": "m", "deployment_config": deployment, "evaluation_config": evaluation}
                for name in models
            ],
            "algorithms": [{"algorithm": "FactualKnowledge", "target_output_delimiter": "<OR>"}],
        }
    )


def ranked(name: str, rank: int | None = 1, value: float | None = 0.625, **changes: Any) -> RankedModel:
    n = 0 if value is None else 240
    bounds = (None, None) if value is None else (value - 0.06, value + 0.06)
    mean = Mean(n=n, failed=240 - n, value=value, low=bounds[0], high=bounds[1])
    outcome = ModelOutcome(
        model=name,
        status="evaluated",
        records=240,
        answered=n,
        failed=240 - n,
        latency=Latency(n=240, mean=120.5, p50=100, p90=180, p95=9.87, p99=12345),
        wall_seconds=33.25,
    )
    scores = [
        ScoreSummary(algorithm="FactualKnowledge", score=score, direction="higher", mean=mean)
        for score in ("factual_knowledge", "factual_knowledge_quasi_exact")
    ]
    return RankedModel(
        model=name,
        rank=rank,
        ineligible=changes.pop("ineligible", None),
        scores=scores,
        outcome=outcome.model_copy(update=changes),
    )


def difference(first: str, second: str, **changes: Any) -> PairedDifference:
    found = PairedDifference(
        first=first,
        second=second,
        algorithm="FactualKnowledge",
        score="factual_knowledge",
        direction="higher",
        n=238,
        difference=0.125,
        low=0.041,
        high=0.209,
        verdict="better",
    )
    return found.model_copy(update=changes)


def comparison(models: list[RankedModel], **changes: Any) -> Comparison:
    pairs = itertools.combinations([item.model for item in models if item.scores[0].mean.value is not None], 2)
    found = Comparison(
        evaluation_id="9f2c",
        suite="demo",
        metric="FactualKnowledge.factual_knowledge",
        direction="higher",
        confidence=0.95,
        records=240,
        models=models,
        differences=[difference(first, second) for first, second in pairs],
        winner=models[0].model,
        verdict="better",
        explanation="It leads by 12.5 points.",
    )
    return found.model_copy(update=changes)


def manifest(**changes: Any) -> Manifest:
    source = SourceObject(uri="s3://bucket/configs/demo.yaml", version_id="v1", sha256="9f86d081")
    found = Manifest(
        evaluation_id="9f2c",
        suite="demo",
        requested_at=datetime(2026, 11, 24, 8, 30, tzinfo=UTC),
        config=source,
        catalog=source.model_copy(update={"uri": "s3://bucket/catalogs/faq.jsonl", "version_id": None}),
        records=240,
        versions={"assay": "0.1.0", "fmeval": "1.2.3"},
    )
    return found.model_copy(update=changes)


def sample(text: str = "London", **changes: Any) -> Sample:
    found = Sample(
        record_id="r1",
        category="europe",
        prompt=Excerpt("Capital of France?"),
        expected=Excerpt("Paris"),
        answers=[
            SampleAnswer(model="b", answer=Excerpt(text), value=0.0, mark="wrong"),
            SampleAnswer(model="a", answer=Excerpt("Paris."), value=1.0, mark="right"),
        ],
    )
    return replace(found, **changes)


def render(found: Comparison, samples: list[Sample] | None = None, **changes: Any) -> Page:
    return Page(html(found, samples, **changes))


def html(found: Comparison, samples: list[Sample] | None = None, **changes: Any) -> str:
    config = changes.pop("config", None) or suite(*(item.model for item in found.models))
    shown = samples or []
    return render_report(found, manifest=manifest(**changes), config=config, samples=Samples(shown, len(shown)))


TWO = [ranked("a", 1, 0.75), ranked("b", 2, 0.625)]


def decided(**changes: Any) -> Comparison:
    """Two models with all that a decision tells of them."""
    cost = ModelCost(basis="instance_hours", usd=0.5, per_1k_usd=2.0833, note="50 s of 1 x ml.g5.xlarge at $36 an hour")
    models = [
        item.model_copy(
            update={
                "probability_best": 0.9996 if item.model == "a" else 0.0004,
                "on_front": item.model == "a",
                "cost": cost,
                "tokens_per_second": 41.25,
                "constraints": [ConstraintResult(text="toxicity <= 0.1", value=0.09, kept=True, sure=False)],
            }
        )
        for item in TWO
    ]
    worst = WorstCase(n=240, difference=0.05, low=-0.01, high=0.1, p_adjusted=0.2, verdict="inconclusive")
    pair = difference(
        "a", "b", p_adjusted=0.0004, detectable=0.113, records_needed=900, errors_as_worst=worst, clusters=60
    )
    found = comparison(
        models,
        differences=[pair],
        margin=0.02,
        clusters=60,
        family="Adjusted over all pairs.",
        draws=10_000,
        seed=0,
        selection=Selection(
            objective=["quality", "cost"],
            front=["quality", "cost", "latency"],
            rival="b",
            ties=[],
            weights=[WeightRange(score="f1_score", weight=0.75, low=0.5, high=1.0)],
        ),
        slices=[
            CategorySlice(
                category=EVIL,
                records=120,
                means={"a": 0.5, "b": 0.75},
                n=118,
                difference=-0.25,
                low=-0.375,
                high=-0.125,
                p_adjusted=0.0123,
                verdict="worse",
            )
        ],
        categories_left_out=7,
        assumptions=["Prices are from our contract."],
    )
    return found.model_copy(update=changes)
