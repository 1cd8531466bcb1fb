"""fmeval's per-sample code, imported without the libraries that it does not call, gives fmeval's own scores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import assay
from assay.contracts.algorithms import ALGORITHMS
from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.scoring.assets import Folders
from assay.scoring.fmeval.deferred import imports_deferred
from assay.scoring.fmeval.normalizing import NAME, normalize_quickly
from assay.scoring.scorer import Sample, Scored, make_scorer

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


# fmeval as it is, in a process of its own; its import asks a hub for BERTScore's metric, which gets a stand-in.
REFERENCE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import evaluate
class Half:
    def compute(self, **_):
        return {"f1": [0.5]}
evaluate.load = lambda _name: Half()
from fmeval.eval_algorithms.factual_knowledge import FactualKnowledge, FactualKnowledgeConfig
from fmeval.eval_algorithms.qa_accuracy import QAAccuracy, QAAccuracyConfig
found = {}
for delimiter in ("<OR>", "|"):
    for algorithm in (
        FactualKnowledge(FactualKnowledgeConfig(target_output_delimiter=delimiter)),
        QAAccuracy(QAAccuracyConfig(target_output_delimiter=delimiter)),
    ):
        scores = [
            {score.name: score.value for score in algorithm.evaluate_sample(*pair) if score.name != "bertscore"}
            for pair in json.loads(sys.argv[1])
        ]
        found.setdefault(delimiter, {})[type(algorithm).__name__] = scores
print(json.dumps(found))
"""
DELIMITED = [("UK|England", "england"), ("UK<OR>England", "england")]
SAME = ("a b", "a b")
# It makes an S3 client as it is imported; without keys botocore would ask the instance's metadata service.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}
Reference = Callable[[str, tuple[str, str], str], dict[str, float]]


@pytest.fixture(scope="module")
def reference() -> Reference:
    pairs = [*TRICKY, *DELIMITED, SAME]
    command = [sys.executable, "-c", REFERENCE, json.dumps(pairs)]
    done = subprocess.run(command, env=os.environ | CREDENTIALS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])

    def scores(algorithm: str, pair: tuple[str, str], delimiter: str = "<OR>") -> dict[str, float]:
        values: dict[str, float] = found[delimiter][algorithm][pairs.index(pair)]
        return values

    return scores


def scores_of(section: AlgorithmSection, target: str, output: str) -> dict[str, float]:
    record = Record(id="1", model_input="q", target_output=target)
    [result] = make_scorer(section, Folders()).score([Sample(record, output)])
    assert isinstance(result, Scored)
    return dict(result.values)


@pytest.mark.parametrize("algorithm", ["FactualKnowledge", "QAAccuracy"])
@pytest.mark.parametrize(("target", "output"), TRICKY)
def test_scores_equal_those_of_fmeval(reference: Reference, algorithm: str, target: str, output: str) -> None:
    section = AlgorithmSection(algorithm=algorithm)
    expected = reference(algorithm, (target, output), "<OR>")
    assert scores_of(section, target, output) == expected
    assert list(expected) == list(section.known.scores)


@pytest.mark.parametrize("algorithm", ["FactualKnowledge", "QAAccuracy"])
@pytest.mark.parametrize("pair", DELIMITED)
def test_the_delimiter_of_the_config_is_used(reference: Reference, algorithm: str, pair: tuple[str, str]) -> None:
    section = AlgorithmSection(algorithm=algorithm, target_output_delimiter="|")
    assert scores_of(section, *pair) == reference(algorithm, pair, "|")


@pytest.mark.parametrize("name", ["FactualKnowledge", "QAAccuracy"])
def test_scores_that_are_called_binary_are_so(reference: Reference, name: str) -> None:
    for pair in TRICKY:
        assert all(reference(name, pair, "<OR>")[score] in (0, 1) for score in ALGORITHMS[name].binary)
    assert reference(name, SAME, "<OR>")[next(iter(ALGORITHMS[name].scores))] == 1


def test_every_alternative_must_be_there_where_the_config_says_and() -> None:
    section = AlgorithmSection(algorithm="FactualKnowledge", parameters={"logical_operator": "AND"})
    assert scores_of(section, "red<OR>blue", "red and blue")["factual_knowledge"] == 1
    assert scores_of(section, "red<OR>blue", "red and green")["factual_knowledge"] == 0


def test_a_fresh_process_scores_without_network_and_without_what_fmeval_imports_in_vain(tmp_path: Path) -> None:
    program = """
import json, socket, sys
calls = []
def refuse(*args, **kwargs):
    calls.append(repr(args))
    raise OSError("no network here")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.scoring.assets import Folders
from assay.scoring.scorer import Sample, make_scorer
sample = Sample(Record(id="1", model_input="q", target_output="a cat"), "the cat sat")
found = {}
for name in ("QAAccuracy", "FactualKnowledge", "SummarizationAccuracy"):
    [result] = make_scorer(AlgorithmSection(algorithm=name), Folders()).score([sample])
    found[name] = result.values
heavy = {"ray", "torch", "transformers", "pandas", "sagemaker", "boto3", "evaluate"} & set(sys.modules)
import pandas
rows = len(pandas.DataFrame({"a": [1]}))
print(json.dumps({"scores": found, "heavy": sorted(heavy), "calls": calls, "pandas": rows}))
"""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
        "PYTHONPATH": str(Path(assay.__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["scores"]["QAAccuracy"]["recall_over_words"] == 1.0
    assert found["scores"]["FactualKnowledge"]["factual_knowledge_quasi_exact"] == 1.0
    assert 0 <= found["scores"]["SummarizationAccuracy"]["rouge"] < 1
    assert found["heavy"] == []
    assert found["calls"] == []
    assert found["pandas"] == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parts[-2] != "matplotlib"] == []


@given(st.text() | st.text(st.sampled_from("aAn the.,!?\"'()\t\n\u00a0éßİ中_-")))
def test_text_is_normalized_as_fmeval_does(text: str) -> None:
    with imports_deferred():
        from fmeval.eval_algorithms import util
    module = ModuleType("theirs")
    setattr(module, NAME, None)
    normalize_quickly(module)
    assert getattr(module, NAME)(text) == util.normalize_text_quac_protocol(text)


def test_a_module_that_has_no_normalization_is_not_passed_over() -> None:
    with imports_deferred(), pytest.raises(AttributeError, match="written for fmeval"):
        normalize_quickly(ModuleType("other"))
