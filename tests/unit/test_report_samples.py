from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from assay.contracts.catalog import Record
from assay.contracts.results import Failure, Response
from assay.report.samples import MAX_CHARACTERS, Excerpt, Samples, select_samples

NAN = math.nan


@dataclass(frozen=True)
class Column:
    record_ids: list[str]
    values: list[float]


@dataclass(frozen=True)
class Table:
    found: Column | None

    def column(self, algorithm: str, score: str) -> Column | None:
        return self.found if (algorithm, score) == ("QAAccuracy", "f1_score") else None


def record(identifier: str) -> Record:
    return Record(id=identifier, model_input=f"question {identifier}", target_output="a", category="c")


def answer(identifier: str, text: str = "said") -> Response:
    return Response(record_id=identifier, text=text, latency_ms=1.0, attempts=1, prompt="p")


def failure(identifier: str) -> Response:
    reason = Failure(kind="Throttled", reason="too many requests")
    return Response(record_id=identifier, text=None, latency_ms=None, attempts=1, prompt="p", failure=reason)


def select(values: dict[str, dict[str, float]], limit: int = 50, direction: str = "higher") -> Samples:
    ids = list(dict.fromkeys(identifier for found in values.values() for identifier in found))
    return select_samples(
        map(record, ids),
        {
            name: [failure(i) if math.isnan(value) else answer(i, f"{name} {i}") for i, value in found.items()]
            for name, found in values.items()
        },
        {name: Table(Column(list(found), list(found.values()))) for name, found in values.items()},
        ("QAAccuracy", "f1_score", direction),  # type: ignore[arg-type]
        limit,
    )


def shown(samples: Samples) -> list[str]:
    return [sample.record_id for sample in samples.shown]


def test_records_that_every_model_got_right_are_not_shown() -> None:
    found = select({"a": {"1": 1, "2": 0, "3": 1}, "b": {"1": 1, "2": 0, "3": 1}})
    assert shown(found) == ["2"]
    assert found.faulty == 1


def test_disagreements_come_first_and_then_the_order_of_the_catalog() -> None:
    found = select({"a": {"1": 0, "2": 1, "3": 0, "4": 0}, "b": {"1": 0, "2": 0, "3": 0, "4": 1}})
    assert shown(found) == ["2", "4", "1", "3"]


def test_the_limit_keeps_disagreements_and_counts_the_others() -> None:
    values = {str(number): 0.0 for number in range(200)}
    found = select({"a": values, "b": values | {"7": 1.0, "150": 1.0}}, limit=5)
    assert shown(found)[:2] == ["7", "150"]
    assert len(found.shown) == 5
    assert found.faulty == 200


def test_the_choice_is_the_same_each_time_whatever_the_order_of_the_scores() -> None:
    values = {f"id-{number}": 0.0 for number in range(200)}
    turned = dict(reversed(values.items()))
    assert set(shown(select({"a": values}, limit=5))) == set(shown(select({"a": turned}, limit=5)))
    assert set(shown(select({"a": values}, limit=5))) != {f"id-{number}" for number in range(5)}


def test_each_answer_is_marked() -> None:
    values = {"right": {"1": 1.0}, "partly": {"1": 0.25}, "wrong": {"1": 0.0}, "failed": {"1": NAN}}
    sample = select(values).shown[0]
    assert [(item.model, item.mark, item.value) for item in sample.answers] == [
        ("right", "right", 1.0),
        ("partly", "partly", 0.25),
        ("wrong", "wrong", 0.0),
        ("failed", "failed", None),
    ]
    assert sample.answers[0].answer == Excerpt("right 1")
    assert sample.answers[3].reason == "Throttled: too many requests"
    assert (sample.prompt.text, sample.expected.text, sample.category) == ("question 1", "a", "c")


def test_a_failure_alone_is_no_reason_to_show_a_record() -> None:
    assert select({"a": {"1": NAN, "2": 1}, "b": {"1": 1, "2": 1}}).faulty == 0


@pytest.mark.parametrize(("value", "mark"), [(0.0, "right"), (0.4, "partly"), (1.0, "wrong"), (3.0, "wrong")])
def test_less_is_better_where_the_direction_says_so(value: float, mark: str) -> None:
    found = select({"a": {"1": value}, "b": {"1": 0.5}}, direction="lower")
    assert found.shown[0].answers[0].mark == mark


def test_models_without_a_score_without_an_answer_and_without_an_evaluation_are_told_apart() -> None:
    found = select_samples(
        [record("1")],
        {"a": [answer("1")], "b": [answer("1")], "c": [], "never-evaluated": []},
        {"a": Table(Column(["1"], [0.0])), "b": Table(None), "c": Table(Column(["1"], [NAN]))},
        ("QAAccuracy", "f1_score", "higher"),
    )
    reasons = [(item.model, item.mark, item.reason) for item in found.shown[0].answers]
    assert reasons == [("a", "wrong", None), ("b", "failed", "could not be scored"), ("c", "failed", "not asked")]


def test_long_texts_are_cut_and_the_rest_is_counted() -> None:
    text = "x" * (MAX_CHARACTERS + 7)
    assert Excerpt.of(text) == Excerpt("x" * MAX_CHARACTERS, left_out=7)
    assert Excerpt.of("") == Excerpt("")


def test_records_and_responses_are_read_once() -> None:
    def once() -> Iterator[Record]:
        yield from [record("1"), record("2")]

    found = select_samples(
        once(),
        {"a": iter([answer("2"), answer("1")])},
        {"a": Table(Column(["1", "2"], [0.0, 1.0]))},
        ("QAAccuracy", "f1_score", "higher"),
    )
    assert shown(found) == ["1"]


def test_without_models_there_is_nothing_to_show() -> None:
    assert select_samples([record("1")], {}, {}, ("QAAccuracy", "f1_score", "higher")) == Samples([], 0)
