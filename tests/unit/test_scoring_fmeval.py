from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import assay
from assay.contracts.algorithms import ALGORITHMS
from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.contracts.results import Failure, Response, ScoreRow
from assay.scoring.fmeval_algorithms import Scorer, fmeval_scorer, score_responses

BOTH = [AlgorithmSection(algorithm="FactualKnowledge"), AlgorithmSection(algorithm="QAAccuracy")]

# expected answer, response
TRICKY = [
    ("Paris", "Paris"),
    ("Paris", "the capital is PARIS."),
    ("Paris", "Lyon"),
    ("Paris", ""),
    ("UK<OR>England", "It is England, of course."),
    ("UK<OR>England", "U.K."),
    ("UK <OR> England", "england"),
    ("UK<or>England", "england"),
    ("Paris<OR>", "anything"),
    ("the", "anything"),
    ("...", "anything"),
    ("A man, a plan", "man plan"),
    ("Zürich", "zu\u0308rich"),
    ("Straße", "STRASSE"),
    ("東京", "答えは東京です"),
    ("القاهرة", "القاهرة هي العاصمة"),
    ("new\nyork", "new york"),
    ("  Paris  ", "Paris"),
    ("3.14", "314"),
    ("yes", "yes yes yes no"),
    ("<script>", "script"),
    ("a b c d", "d c b a e f"),
]


# fmeval makes an S3 client when it is imported; without keys botocore would ask the instance's metadata service.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}


@pytest.fixture(scope="module", autouse=True)
def _credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def reference() -> dict[str, Callable[[str, str, str], dict[str, float]]]:
    """fmeval's own `evaluate_sample`, with a metric in place of BERTScore that always says 0.5."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import evaluate
        from fmeval.eval_algorithms.factual_knowledge import FactualKnowledge, FactualKnowledgeConfig

        class Half:
            def compute(self, **_: object) -> dict[str, list[float]]:
                return {"f1": [0.5]}

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluate, "load", lambda _name: Half())
            from fmeval.eval_algorithms.qa_accuracy import QAAccuracy, QAAccuracyConfig

            def factual(target: str, output: str, delimiter: str) -> dict[str, float]:
                algorithm = FactualKnowledge(FactualKnowledgeConfig(target_output_delimiter=delimiter))
                return {score.name: score.value for score in algorithm.evaluate_sample(target, output)}

            made = {d: QAAccuracy(QAAccuracyConfig(target_output_delimiter=d)) for d in ("<OR>", "|")}

    def answers(target: str, output: str, delimiter: str) -> dict[str, float]:
        return {score.name: score.value for score in made[delimiter].evaluate_sample(target, output)}

    return {"FactualKnowledge": factual, "QAAccuracy": answers}


@pytest.mark.parametrize("algorithm", ["FactualKnowledge", "QAAccuracy"])
@pytest.mark.parametrize(("target", "output"), TRICKY)
def test_scores_equal_those_of_fmeval(
    reference: dict[str, Callable[[str, str, str], dict[str, float]]], algorithm: str, target: str, output: str
) -> None:
    scores = fmeval_scorer(AlgorithmSection(algorithm=algorithm))(target, output)
    expected = reference[algorithm](target, output, "<OR>")
    expected.pop("bertscore", None)
    assert scores == expected
    assert list(scores) == list(ALGORITHMS[algorithm].scores)


@pytest.mark.parametrize("algorithm", ["FactualKnowledge", "QAAccuracy"])
def test_the_delimiter_of_the_config_is_used(
    reference: dict[str, Callable[[str, str, str], dict[str, float]]], algorithm: str
) -> None:
    section = AlgorithmSection(algorithm=algorithm, target_output_delimiter="|")
    for target in ("UK|England", "UK<OR>England"):
        expected = reference[algorithm](target, "england", "|")
        expected.pop("bertscore", None)
        assert fmeval_scorer(section)(target, "england") == expected


def test_the_direction_and_the_binary_scores_of_each_algorithm_are_as_fmeval_gives_them(
    reference: dict[str, Callable[[str, str, str], dict[str, float]]],
) -> None:
    for name, algorithm in ALGORITHMS.items():
        for target, output in TRICKY:
            scores = reference[name](target, output, "<OR>")
            assert all(scores[score] in (0, 1) for score in algorithm.binary)
        assert reference[name]("a b", "a b", "<OR>")[next(iter(algorithm.scores))] == 1


def record(identifier: str, target: str = "Paris") -> Record:
    return Record(id=identifier, model_input=f"question {identifier}", target_output=target)


def answer(identifier: str, text: str) -> Response:
    return Response(record_id=identifier, text=text, latency_ms=1.0, attempts=1, prompt="p")


def test_every_record_gets_every_score_or_the_reason_that_it_has_none() -> None:
    failure = Failure(kind="Throttled", reason="too many requests")
    responses = [
        answer("1", "Paris"),
        Response(record_id="2", text=None, latency_ms=None, attempts=4, prompt="p", failure=failure),
    ]
    rows = list(score_responses([record("1"), record("2"), record("3")], responses, BOTH))
    assert len(rows) == 3 * 7
    assert {row.record_id: row.error for row in rows} == {
        "1": None,
        "2": "NoAnswer: Throttled: too many requests",
        "3": "NoAnswer: the record was not asked",
    }
    assert all((row.value is None) == (row.error is not None) for row in rows)
    assert all(row.value == 1 for row in rows if row.record_id == "1")
    assert all(row.direction == "higher" for row in rows)


def test_an_empty_answer_is_scored_and_not_an_error() -> None:
    rows = list(score_responses([record("1")], [answer("1", "")], BOTH))
    assert [row.value for row in rows] == [0.0] * 7


def given(scorer: Scorer) -> list[ScoreRow]:
    records = [record("1"), record("2")]
    responses = [answer("1", "bad"), answer("2", "good")]
    return list(score_responses(records, responses, BOTH[:1], scorer_of=lambda _section: scorer))


def test_an_algorithm_that_raises_costs_only_its_record() -> None:
    def scorer(_target: str, output: str) -> dict[str, float]:
        if output == "bad":
            raise ZeroDivisionError("division\nby zero" + "!" * 500)
        return {"factual_knowledge": 1.0, "factual_knowledge_quasi_exact": 0.0}

    first, _, third, fourth = given(scorer)
    assert first.value is None
    assert first.error == "ScoringFailed: ZeroDivisionError"
    assert (third.value, third.error, fourth.value) == (1.0, None, 0.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_an_error(value: float) -> None:
    first, second, *_ = given(lambda _target, _output: {"factual_knowledge": value})
    assert first.error == f"ScoringFailed: FactualKnowledge gave {value} for factual_knowledge"
    assert second.error == "ScoringFailed: FactualKnowledge gave None for factual_knowledge_quasi_exact"


@pytest.mark.parametrize("identifiers", [["9"], ["1", "1"]])
def test_a_response_to_no_record_and_a_second_response_are_refused(identifiers: list[str]) -> None:
    responses = [answer(identifier, "Paris") for identifier in identifiers]
    with pytest.raises(ValueError, match="which is no record or has a response already"):
        list(score_responses([record("1")], responses, BOTH[:1]))


def test_a_fresh_process_scores_without_network_without_ray_and_without_writing(tmp_path: Path) -> None:
    program = """
import json, socket
calls = []
def refuse(*args, **kwargs):
    calls.append(repr(args))
    raise OSError("no network here")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from assay.contracts.config import AlgorithmSection
from assay.scoring.fmeval_algorithms import fmeval_scorer
names = ("QAAccuracy", "FactualKnowledge")
scores = {name: fmeval_scorer(AlgorithmSection(algorithm=name))("a cat", "the cat sat") for name in names}
import evaluate, ray
found = {"scores": scores, "ray": ray.is_initialized(), "load": evaluate.load.__module__, "calls": calls}
print(json.dumps(found))
"""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
        "PYTHONPATH": str(Path(assay.__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
        **CREDENTIALS,
    }
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["scores"]["QAAccuracy"]["recall_over_words"] == 1.0
    assert found["scores"]["FactualKnowledge"]["factual_knowledge_quasi_exact"] == 1.0
    assert found["calls"] == []
    assert found["ray"] is False
    assert found["load"] == "evaluate.loading"
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parts[-2] != "matplotlib"] == []
