"""`assay validate`, as a person and as CI see it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app

CONFIG = """\
pipeline: {name: capitals}
dataset: {input_data_location: capitals.jsonl, model_input_key: question, target_output_key: answer}
models:
  - name: small
    model_id: some-model
    deployment_config: {instance_type: ml.m5.xlarge}
algorithms: [FactualKnowledge]
"""
CATALOG = '{"question": "Capital of France?", "answer": "Paris"}\n{"question": "Of Japan?", "answer": "Tokyo"}\n'
BROKEN_CATALOG = '{"question": "Capital of France?", "answer": "Paris"}\n{"question": "Of Japan?"}\n{broken\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a config and its catalog beside it."""
    for name, text in (("configs/capitals.yaml", CONFIG), ("catalogs/capitals.jsonl", CATALOG)):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["validate", *arguments])


def test_a_valid_config_is_checked_with_the_catalog_beside_it(folder: Path) -> None:
    result = run("configs/capitals.yaml")
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "valid configs/capitals.yaml: suite capitals, 1 model",
            "valid catalogs/capitals.jsonl: 2 records with configs/capitals.yaml",
            "2 checked: no faults",
        ],
    )


def test_a_config_without_a_catalog_beside_it_is_checked_alone(folder: Path) -> None:
    (folder / "catalogs/capitals.jsonl").unlink()
    result = run("configs/capitals.yaml")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "1 checked: no faults")


def test_the_catalog_is_found_from_inside_the_config_s_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "configs")
    assert "valid ../catalogs/capitals.jsonl: 2 records" in run("capitals.yaml").stdout


def test_faults_are_told_as_a_compiler_does_and_counted_last(folder: Path) -> None:
    (folder / "configs/capitals.yaml").write_text(CONFIG.replace("some-model", "some-model\n    modell: x"))
    result = run("configs/capitals.yaml")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert any(line.startswith("configs/capitals.yaml:6:5: models[0].modell: unknown key") for line in lines)
    assert lines[-1] == "1 checked: 1 fault"


def test_faults_of_the_catalog_have_its_own_lines(folder: Path) -> None:
    (folder / "catalogs/capitals.jsonl").write_text(BROKEN_CATALOG)
    result = run("configs/capitals.yaml")
    assert result.exit_code == 1
    assert "catalogs/capitals.jsonl:2: answer: the key is missing" in result.stdout.splitlines()
    assert any(line.startswith("catalogs/capitals.jsonl:3:2: not JSON") for line in result.stdout.splitlines())


def test_json_is_a_list_of_faults_and_nothing_else(folder: Path) -> None:
    (folder / "catalogs/capitals.jsonl").write_text(BROKEN_CATALOG)
    result = run("configs/capitals.yaml", "--json")
    faults = json.loads(result.stdout)
    assert result.exit_code == 1
    assert faults[0] == {
        "file": "catalogs/capitals.jsonl",
        "line": 2,
        "column": None,
        "key": "answer",
        "message": "the key is missing",
    }
    assert [fault["line"] for fault in faults] == [2, 3]


def test_json_of_valid_files_is_an_empty_list(folder: Path) -> None:
    result = run("configs/capitals.yaml", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_a_catalog_alone_is_read_by_the_default_names_and_that_is_said(folder: Path) -> None:
    result = run("catalogs/capitals.jsonl")
    assert result.exit_code == 1
    assert "catalogs/capitals.jsonl:1: model_input: the key is missing" in result.stdout
    assert "--config FILE" in result.stdout


def test_a_catalog_is_read_by_the_field_names_of_the_config_that_is_named(folder: Path) -> None:
    result = run("catalogs/capitals.jsonl", "--config", "configs/capitals.yaml")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        0,
        "valid catalogs/capitals.jsonl: 2 records with configs/capitals.yaml",
    )


def test_a_catalog_that_is_named_beside_its_config_is_checked_once(folder: Path) -> None:
    (folder / "catalogs/capitals.jsonl").write_text(BROKEN_CATALOG)
    result = run("configs/capitals.yaml", "catalogs/capitals.jsonl")
    assert result.stdout.count("catalogs/capitals.jsonl:2: ") == 1
    assert result.stdout.splitlines()[-1] == "2 checked: 2 faults"


def test_a_catalog_whose_config_is_at_fault_is_not_read_by_names_that_are_not_its_own(folder: Path) -> None:
    (folder / "configs/capitals.yaml").write_text("pipeline: [\n")
    result = run("configs/capitals.yaml", "catalogs/capitals.jsonl")
    assert result.exit_code == 1
    assert not any(line.startswith("catalogs/capitals.jsonl:") for line in result.stdout.splitlines())
    assert "not checked catalogs/capitals.jsonl: a config is at fault" in result.stdout


def test_a_template_that_names_what_the_catalog_does_not_have_is_a_fault_of_the_config(folder: Path) -> None:
    text = (folder / "configs/capitals.yaml").read_text()
    assert "models:\n" in text
    asked = "models:\n  - name: asked\n    provider: endpoint\n    endpoint_name: e\n"
    asked += '    evaluation_config: {prompt_template: "$prompt in $contxt"}\n'
    (folder / "configs/capitals.yaml").write_text(text.replace("models:\n", asked))
    result = run("configs/capitals.yaml")
    assert result.exit_code == 1
    assert "names $contxt, and no record of catalogs/capitals.jsonl has it" in result.stdout
    assert any(line.startswith("configs/capitals.yaml:") for line in result.stdout.splitlines())
    assert "valid configs/capitals.yaml" not in result.stdout


def test_a_csv_is_read_by_the_names_of_its_header(folder: Path) -> None:
    (folder / "more.csv").write_text('question,answer\n"a\nb",c\nd\n')
    result = run("more.csv", "--config", "configs/capitals.yaml")
    assert "more.csv:4: the record has 1 fields, and the header names 2" in result.stdout


def test_a_packed_catalog_is_read(folder: Path) -> None:
    (folder / "more.jsonl.gz").write_bytes(gzip.compress(CATALOG.encode()))
    assert run("more.jsonl.gz", "--config", "configs/capitals.yaml").exit_code == 0


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(CATALOG.encode())[:-9]], ids=["text", "cut off"])
def test_a_file_that_only_says_that_it_is_packed_is_a_fault(folder: Path, body: bytes) -> None:
    (folder / "more.jsonl.gz").write_bytes(body)
    result = run("more.jsonl.gz", "--config", "configs/capitals.yaml")
    assert result.exit_code == 1
    assert "more.jsonl.gz: not a whole gzip file" in result.stdout


@pytest.mark.parametrize(("text", "kind"), [(CONFIG, "suite capitals"), (CATALOG, "2 records")])
def test_files_of_other_endings_are_told_apart_by_what_is_in_them(folder: Path, text: str, kind: str) -> None:
    (folder / "configs/upload").write_text(text)
    arguments = ["--config", "configs/capitals.yaml"] if kind == "2 records" else []
    assert f"valid configs/upload: {kind}" in run("configs/upload", *arguments).stdout


@pytest.mark.parametrize("name", ["no-such.yaml", "no-such.jsonl", "no-such", "configs"])
def test_what_cannot_be_read_is_told_in_one_line_and_is_no_fault(folder: Path, name: str) -> None:
    result = run(name, "configs/capitals.yaml")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"error: {name}: ")
    assert result.stdout.splitlines()[-1] == "2 checked: no faults"


def test_a_config_for_field_names_that_is_at_fault_is_told_once(folder: Path) -> None:
    (folder / "configs/capitals.yaml").write_text("pipeline: [\n")
    result = run("configs/capitals.yaml", "catalogs/capitals.jsonl", "--config", "configs/capitals.yaml")
    assert result.exit_code == 1
    assert len([line for line in result.stdout.splitlines() if line.startswith("configs/")]) == 1


def test_no_file_is_a_wrong_usage() -> None:
    assert run().exit_code == 2


def test_help_tells_the_exit_codes() -> None:
    assert "1 faults found" in " ".join(run("--help").stdout.split())


FINETUNED = CONFIG.replace(
    "    model_id: some-model\n",
    "    model_id: some-model\n    finetuning:\n      train_data_path: training/chats\n"
    "      parameters: {instance_type: ml.g5.xlarge, chat_dataset: true}\n",
)
CHAT = '{"dialog": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'


def test_training_data_beside_a_config_are_counted_and_their_faults_told_with_it(folder: Path) -> None:
    (folder / "configs/capitals.yaml").write_text(FINETUNED)
    assert "valid configs/capitals.yaml: suite capitals, 1 model\n" in run("configs/capitals.yaml").stdout
    data = folder / "training/chats/more/train.jsonl"
    data.parent.mkdir(parents=True)
    data.write_text(CHAT * 3)
    assert "1 model, 3 examples to train on and to validate with\n" in run("configs/capitals.yaml").stdout
    data.write_text(CHAT + "{}\n")
    result = run("configs/capitals.yaml")
    assert result.exit_code == 1
    assert "models[0].finetuning_config.train_data_path: more/train.jsonl, line 2: must have `dialog`" in result.stdout
