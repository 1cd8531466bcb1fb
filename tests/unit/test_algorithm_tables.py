"""What Assay says of an algorithm is what fmeval says; plug-ins bring their own; parameters are checked early."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assay.contracts import algorithms
from assay.contracts.algorithms import ALGORITHMS, known_algorithms
from assay.contracts.algorithms_of_fmeval import FMEVAL
from assay.contracts.config import AlgorithmSection, SuiteConfig
from assay.scoring.fmeval.deferred import SCIPY, imports_deferred
from tools.algorithms_page import PLUGINS

SMALL = {
    "pipeline": {"name": "suite"},
    "dataset": {"input_data_location": "x.jsonl"},
    "models": [{"name": "m", "provider": "endpoint", "endpoint_name": "e"}],
}
KINDS: dict[Any, tuple[str, ...]] = {str: ("text",), int: ("integer",), float: ("number",), bool: ("flag",)}


def of_fmeval(module: str) -> Any:
    with imports_deferred(first=SCIPY):
        return importlib.import_module(module)


def test_every_algorithm_of_fmeval_is_here_under_its_name() -> None:
    mapping = of_fmeval("fmeval.eval_algorithms")
    kinds = {member.value for member in mapping.EvalAlgorithm}
    assert {item.module.rpartition(".")[2] for item in FMEVAL} == kinds - {"accuracy"}


@pytest.mark.parametrize("algorithm", FMEVAL, ids=lambda item: item.name)
def test_names_fields_defaults_and_choices_are_those_of_fmevals_dataclass(algorithm: Any) -> None:
    module = of_fmeval(algorithm.module)
    assert inspect.isclass(getattr(module, algorithm.name))
    declared = {item.name: item for item in algorithm.parameters if item.of_fmeval}
    if not algorithm.config:
        assert not declared
        return
    config = getattr(module, algorithm.config)
    theirs = {item.name: item for item in fields(config) if item.name != "converter_fn"}
    assert ("target_output_delimiter" in theirs) == algorithm.delimited
    theirs.pop("target_output_delimiter", None)
    assert set(theirs) == set(declared)
    for name, item in declared.items():
        default = theirs[name].default
        if name == "model_type_for_bertscore":
            # Opt-in: theirs would load the larger of the two.
            assert (item.default, default) == (None, item.choices[0])
        else:
            assert item.default == default
        if default is not None:
            assert item.kind in KINDS[type(default)]
        for choice in item.choices:
            config(**{name: choice})
    for name in {"model_type", "model_type_for_bertscore", "perturbation_type", "rouge_type", "logical_operator"} & set(
        declared
    ):
        with pytest.raises(Exception, match=r"(?i)invalid"):
            config(**{name: "no such thing"})


def refused(**section: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        SuiteConfig.model_validate(SMALL | section)
    return str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"logical_operator": "XOR"}, "`logical_operator` of FactualKnowledge must be one of 'OR', 'AND', found 'XOR'"),
        ({"logicaloperator": "OR"}, "has no parameter 'logicaloperator'; did you mean `logical_operator`?"),
        ({"target_output_delimiter": "|"}, "`target_output_delimiter` stands beside `algorithm`, not below"),
    ],
)
def test_a_wrong_parameter_is_told_when_the_config_is_checked(parameters: dict[str, Any], message: str) -> None:
    assert message in refused(algorithms=[{"algorithm": "FactualKnowledge", "parameters": parameters}])


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("Toxicity", {}, "Toxicity needs `toxicity_model`: a folder with the detector"),
        ("JsonSchema", {"schema": "x"}, "`schema` of JsonSchema must be a mapping, found 'x'"),
        ("Contains", {"texts": []}, "`texts` of Contains must be a list of texts, found '[]'"),
        ("Regex", {"seconds": 0}, "`seconds` of Regex must be at least 0.001, found 0"),
        ("NumericTolerance", {"absolute": True}, "`absolute` of NumericTolerance must be a number, found 'True'"),
        ("GeneralSemanticRobustness", {"num_baseline_samples": 1}, "must be at least 2, found 1"),
        ("GeneralSemanticRobustness", {"num_perturbations": 2.0}, "must be a whole number, found '2.0'"),
    ],
)
def test_a_parameter_of_another_kind_or_out_of_bounds_or_missing_is_told(
    name: str, parameters: dict[str, Any], message: str
) -> None:
    assert message in refused(algorithms=[{"algorithm": name, "parameters": parameters}])


def test_a_score_that_needs_a_folder_is_given_only_with_it_and_cannot_rank_without() -> None:
    plain = AlgorithmSection(algorithm="QAAccuracy")
    with_model = AlgorithmSection(algorithm="QAAccuracy", parameters={"bertscore_model": "s3://b/minilm"})
    assert set(with_model.known.scores) - set(plain.known.scores) == {"bertscore"}
    told = refused(algorithms=["QAAccuracy"], selection={"metric": "bertscore"})
    assert "QAAccuracy gives 'bertscore' only with `bertscore_model` or `model_type_for_bertscore`" in told
    toxigen: dict[str, Any] = {"toxicity_model": "x", "model_type": "toxigen"}
    assert set(AlgorithmSection(algorithm="Toxicity", parameters=toxigen).known.scores) == {"toxicity"}
    labels = refused(algorithms=["ClassificationAccuracy"], selection={"metric": "precision_score"})
    assert "'precision_score' of ClassificationAccuracy belongs to the whole catalog" in labels


def install(folder: Path) -> Path:
    """The example of docs/algorithms.md as an installed distribution."""
    [toml] = [part for part in PLUGINS.split("```") if part.startswith("toml")]
    [code] = [part for part in PLUGINS.split("```") if part.startswith("python")]
    points = toml.partition('"assay.algorithms"]\n')[2].replace('"', "")
    (folder / "acme_scores.py").write_text(code.removeprefix("python\n"))
    about = folder / "acme_scores-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-scores\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[assay.algorithms]\n{points}")
    return folder


def test_the_documented_plug_in_is_found_checked_and_scores_in_several_processes(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import json
        from assay.contracts.catalog import Record
        from assay.contracts.config import AlgorithmSection
        from assay.contracts.results import Response
        from assay.scoring.scoring import Scoring

        def main():
            section = AlgorithmSection(algorithm="acme.CitesItsSource", parameters={"mark": "(see"})
            pairs = [
                (Record(id=text, model_input="q", target_output="x"),
                 Response(record_id=text, text=text, latency_ms=1, attempts=1, prompt="p"))
                for text in ("so (see here)", "so it is")
            ]
            with Scoring([section]) as scoring:
                print(json.dumps(scoring.score(pairs).to_pylist()))

        if __name__ == "__main__":
            main()
        """)
    (tmp_path / "program.py").write_text(program)
    path = os.pathsep.join([str(install(tmp_path)), *sys.path])
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    assert [(row["algorithm"], row["score"], row["value"], row["direction"]) for row in rows] == [
        ("acme.CitesItsSource", "cites", 1.0, "higher"),
        ("acme.CitesItsSource", "cites", 0.0, "higher"),
    ]


class Point:
    def __init__(self, name: str, offers: Any) -> None:
        self.name = name
        self._offers = offers

    def load(self) -> Any:
        return self._offers


@pytest.mark.parametrize(
    ("offers", "message"),
    [
        (["x"], "is str, which is no assay.contracts.algorithm.Algorithm"),
        ([ALGORITHMS["Rouge"]], "a plug-in's algorithm is called `package.Name`, found 'Rouge'"),
    ],
)
def test_a_plug_in_that_offers_no_algorithm_of_its_own_is_refused(
    monkeypatch: pytest.MonkeyPatch, offers: list[Any], message: str
) -> None:
    points = [Point(str(index), item) for index, item in enumerate(offers)]
    monkeypatch.setattr(algorithms, "entry_points", lambda group: points)
    algorithms._plugins.cache_clear()
    try:
        with pytest.raises((TypeError, ValueError), match=message):
            known_algorithms()
    finally:
        algorithms._plugins.cache_clear()


def test_an_unknown_plug_in_says_where_it_must_be_installed() -> None:
    assert "a plug-in must be installed where configs are checked and run" in refused(algorithms=["acme.NotHere"])


def test_stereotyping_needs_to_know_where_each_model_tells_log_probabilities() -> None:
    told = refused(algorithms=["PromptStereotyping"])
    assert "PromptStereotyping needs `evaluation_config.log_probability` of each model" in told
    model = SMALL["models"][0] | {"evaluation_config": {"log_probability": "[0].total"}}  # type: ignore[index]
    found = SuiteConfig.model_validate(SMALL | {"models": [model], "algorithms": ["PromptStereotyping"]})
    assert found.metric()[1:] == ("absolute_log_probability_difference", "lower")
