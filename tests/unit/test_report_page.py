from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.contracts.config import SuiteConfig
from assay.contracts.results import (
    CategorySlice,
    Comparison,
    ConstraintResult,
    DatasetScore,
    Failure,
    JudgeUse,
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
    UsedAsset,
    WeightRange,
    WorstCase,
)
from assay.report.chart import Scale
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


def test_a_page_tells_the_verdict_the_numbers_and_how_it_was_made() -> None:
    text = render(comparison(TWO), [sample()]).text
    for part in (
        "a is the best of 2 models",
        "It leads by 12.5 points.",
        "75.0",
        "[69.0, 81.0]",
        "+12.5 [4.1, 20.9]",
        "100 ms",
        "12.3 s",
        "9.9 ms",
        "33.2 s",
        "Capital of France?",
        "s3://bucket/catalogs/faq.jsonl",
        "9f86d081",
        "fmeval",
        "1.2.3",
        "ml.g5.xlarge",
        "Every model answered every record",
    ):
        assert part in text, part


def test_scores_of_the_whole_catalog_and_what_made_them_are_shown() -> None:
    whole = [
        DatasetScore(algorithm="Bleu", score="corpus_bleu", direction="higher", value=0.374, n=1200),
        DatasetScore(algorithm="PromptStereotyping", score="prompt_stereotyping", direction=None, value=None, n=0,
                     error="NoAnswer: no response was scored"),
    ]  # fmt: skip
    judge = JudgeUse(judge="grader", identity="0", asked=1200, cached=3, failed=2, requests=1210, cost_usd=0.125)
    asset = UsedAsset(location="s3://b/assets/minilm", sha256="f" * 64)
    page = html(comparison([ranked("a", dataset_scores=whole, judge=judge, assets=[asset])]))
    for text in ("Scores of the whole catalog", "corpus_bleu", "37.4", "1,200", "NoAnswer: no response was scored"):
        assert text in page
    for text in (
        "s3://b/assets/minilm",
        "f" * 64,
        "was asked for 1,200 judgements, 2 failed, 3 were known; 0.1250 USD",
    ):
        assert text in page
    assert "Scores of the whole catalog" not in html(comparison([ranked("a")]))


def test_a_page_stands_alone() -> None:
    found = render(comparison(TWO), [sample()])
    assert not set(found.tags) & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "a"}
    names = {name for name, _ in found.attributes}
    assert not names & {"src", "href", "style", "srcset", "action"}
    assert not [name for name in names if name.startswith("on")]
    policy = [value for name, value in found.attributes if name == "content" and "default-src" in value]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert "url(" not in html(comparison(TWO))
    assert "@import" not in html(comparison(TWO))


def test_no_text_from_outside_becomes_markup() -> None:
    evil = sample(
        EVIL,
        record_id=EVIL,
        category=EVIL,
        prompt=Excerpt(EVIL),
        expected=Excerpt(EVIL),
        answers=[
            SampleAnswer(model="a", answer=Excerpt(EVIL, 7), value=0.5, mark="partly"),
            SampleAnswer(model="b", answer=None, value=None, mark="failed", reason=EVIL),
        ],
    )
    models = [
        ranked("a", 1, 0.75, errors={EVIL: 3}, endpoint_name=EVIL, model_version=EVIL),
        ranked("b", None, None, ineligible=EVIL, failure=Failure(kind=EVIL, reason=EVIL), latency=None),
    ]
    source = SourceObject(uri=EVIL, version_id=EVIL, sha256=EVIL)
    page = html(
        comparison(models, explanation=EVIL, verdict=None),
        [evil],
        config=suite("a", "b", template=f"{EVIL} $model_input"),
        versions={EVIL: EVIL},
        requested_by={EVIL: EVIL},
        evaluation_id=EVIL,
        catalog=source,
    )
    found = Page(page)
    assert "script" not in found.tags
    assert "<script" not in page
    assert found.text.count(EVIL) >= 15
    assert "49" not in found.text.replace("9f86d081", "")


@given(text=st.text(max_size=80))
def test_any_answer_is_shown_as_it_is(text: str) -> None:
    text = text.replace("\r", "").replace("\0", "")
    found = render(comparison(TWO), [sample(f"|{text}|")])
    assert f"|{text}|" in found.text


def test_an_empty_answer_is_named() -> None:
    assert "(the answer is empty)" in render(comparison(TWO), [sample("  \n")]).text


def test_what_is_left_out_of_a_long_text_is_told() -> None:
    long = sample(answers=[SampleAnswer(model="a", answer=Excerpt("x" * 50, 12_345), value=0.0, mark="wrong")])
    assert "… 12,345 more characters" in render(comparison(TWO), [long]).text


def test_texts_find_their_own_direction() -> None:
    found = render(comparison(TWO), [sample("لا أعرف")])
    assert ("dir", "auto") in found.attributes
    assert "لا أعرف" in found.text


def test_answers_stand_in_the_order_of_the_ranking() -> None:
    text = render(comparison(TWO), [sample()]).text
    answers = text[text.index("Capital of France?") :]
    assert answers.index("Paris.") < answers.index("London")


def test_without_failing_prompts_the_page_says_so() -> None:
    assert "No model got a scored record wrong" in render(comparison(TWO)).text


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({"verdict": "better"}, "a is the best of 2 models"),
        ({"verdict": "inconclusive"}, "a is chosen, within the noise"),
        ({"verdict": "equivalent"}, "a is chosen among equals"),
        ({"verdict": None, "winner": None}, "No model is chosen"),
    ],
)
def test_the_headline_is_no_surer_than_the_verdict(changes: dict[str, Any], headline: str) -> None:
    assert headline in render(comparison(TWO, **changes)).text


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


def test_a_page_tells_what_the_choice_rests_on() -> None:
    text = " ".join(render(decided()).text.split())
    for part in (
        "The choice by quality, then cost",
        "> 99.9 %",
        "< 0.1 %",
        "$2.08",
        "41.2",
        "toxicity <= 0.1 perhaps by chance",
        "10,000 catalogs drawn from this one",
        "Points against cost of 1,000 answers",
        "$0.50 for the catalog, 50 s of 1 x ml.g5.xlarge at $36 an hour.",
        "Prices are from our contract.",
        "f1_score75.0 %50.0 %100.0 %",
        "< 0.001",
        "with failures as the worst score: ≈ within the noise",
        "This catalog can tell differences of 11.3 points. A lead as small as this takes about 660 more records.",
        "robust to the 60 clusters",
        "Adjusted over all pairs.",
        "less than the margin of 2.0 points",
        "Categories a minus b",
        "\N{MINUS SIGN}25.0 [\N{MINUS SIGN}37.5, \N{MINUS SIGN}12.5]",
        "0.012",
        "7 smaller categories are not shown",
    ):
        assert part in text, part
    assert EVIL in render(decided()).text
    assert "The choice" not in render(comparison(TWO)).text


def test_the_best_of_all_is_better_than_each() -> None:
    models = [*TWO, ranked("c", 3, 0.5)]
    selection = Selection(objective=["quality"], front=["quality"], rival="b", ties=[])
    sure = comparison(models, selection=selection)
    assert "a is the best of 3 models" in render(sure).text
    unsure = [
        item.model_copy(update={"verdict": "inconclusive"}) if item.second == "c" else item for item in sure.differences
    ]
    assert (
        "a is better than b, and not surely than all"
        in render(comparison(models, differences=unsure, selection=selection)).text
    )


def test_models_that_are_equal_to_the_chosen_one_are_named() -> None:
    selection = Selection(objective=["quality", "cost"], front=["quality"], rival="b", ties=["b"])
    assert "Equal to a in quality and cost: b." in render(decided(selection=selection)).text
    assert "Equal to a" not in render(decided()).text


def test_a_model_that_is_chosen_for_its_cost_is_not_called_the_best() -> None:
    selection = Selection(objective=["cost"], front=["quality", "cost"], rival="b", ties=[])
    assert "a is chosen for its cost" in render(decided(selection=selection)).text


def test_one_model_alone_is_a_page_without_differences() -> None:
    text = render(comparison([ranked("a")], verdict=None)).text
    assert "a is the only model" in text
    assert "Differences between models" not in text


def test_a_page_without_any_number_still_says_why() -> None:
    failure = Failure(kind="EndpointFailed", reason="no capacity")
    lost = [
        ranked(name, None, None, status="failed", failure=failure, latency=None, ineligible="no capacity", records=0)
        for name in "ab"
    ]
    text = render(comparison(lost, winner=None, verdict=None, explanation="No model is chosen: none eligible.")).text
    assert "No model is chosen: none eligible." in text
    assert "EndpointFailed" in text
    assert "no answers" in text


def test_ready_responses_have_answers_and_no_latency() -> None:
    text = render(comparison([ranked("a", 1, 1.0, latency=None), ranked("b", 2, 0.0)])).text
    assert "ready responses, not timed" in text
    assert "no answers" not in text


def test_answers_of_a_batch_job_have_no_latency_and_the_page_says_why() -> None:
    text = render(comparison([ranked("a", 1, 1.0, latency=None, by_batch=True), ranked("b", 2, 0.0)])).text
    assert "asked by batch inference, not timed" in text
    assert "ready responses" not in text


def test_a_mean_without_an_interval_and_a_pair_without_a_difference_are_shown_as_that() -> None:
    models = [ranked("a", 1, 1.0), ranked("b", 2, 0.0)]
    lone = Mean(n=1, failed=0, value=1.0)
    models[0] = models[0].model_copy(
        update={"scores": [item.model_copy(update={"mean": lone}) for item in models[0].scores]}
    )
    pair = difference("a", "b", n=0, difference=None, low=None, high=None, verdict="inconclusive")
    text = render(comparison(models, differences=[pair], verdict="inconclusive")).text
    assert "100.0" in text
    assert "none" in text


def test_failures_are_counted_by_kind_and_unscored_answers_beside_them() -> None:
    odd = ranked("a", 1, 0.5, errors={"Throttled": 4}, answered=236, failed=4)
    mean = odd.scores[0].mean.model_copy(update={"n": 230, "failed": 10})
    odd = odd.model_copy(update={"scores": [item.model_copy(update={"mean": mean}) for item in odd.scores]})
    text = render(comparison([odd, ranked("b", 2, 0.4)])).text
    assert "Throttled" in text
    assert "Answered, not scored" in text
    assert "236 of 240" in " ".join(text.split())


def test_many_pairs_are_cut_to_those_of_the_first_model() -> None:
    models = [ranked(f"m{number}", number + 1, 0.9 - number / 100) for number in range(30)]
    found = comparison(models)
    text = " ".join(render(found).text.split())
    assert "390 more pairs are in comparison.json" in text
    assert all(f"m0 minus m{number} " in text for number in range(1, 30))


@given(st.lists(st.floats(-2, 2), max_size=12))
def test_an_axis_holds_every_value(values: list[float]) -> None:
    scale = Scale.around(values)
    assert 2 <= len(scale.ticks) <= 12
    assert list(scale.ticks) == sorted(scale.ticks)
    for value in values:
        assert -0.01 <= float(scale.at(value).removesuffix("%")) <= 100.01


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([], (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ([0.0, 1.0], (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ([0.61, 0.74], (0.6, 0.65, 0.7, 0.75)),
        ([-0.03, 0.1], (-0.05, 0.0, 0.05, 0.1)),
    ],
)
def test_ticks_are_round_numbers(values: list[float], ticks: tuple[float, ...]) -> None:
    assert Scale.around(values).ticks == pytest.approx(ticks)
