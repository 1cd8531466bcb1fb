"""What a page shows of scores, failures and answers, and that no text from outside becomes its markup."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assay.contracts.results import DatasetScore, Failure, JudgeUse, Mean, SourceObject, UsedAsset
from assay.report.samples import Excerpt, SampleAnswer
from tests.unit.report_support import EVIL, TWO, Page, comparison, difference, html, ranked, render, sample, suite


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


def test_answers_that_came_through_a_queue_have_no_latency_and_the_page_says_why_and_how_long_all_took() -> None:
    asked = ranked("a", 1, 1.0, latency=None, asynchronous=True, wall_seconds=1234.5)
    text = " ".join(render(comparison([asked, ranked("b", 2, 0.0)])).text.split())
    assert "a asked through a queue, not timed 1,234.5 s" in text
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
