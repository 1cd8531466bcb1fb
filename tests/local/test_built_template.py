"""What `sam build` made, against what Lambda allows: its size, its C library, and nothing but runtime and layers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.template_support import load_template

PROJECT = Path(__file__).resolve().parents[2]
BUILT = PROJECT / ".aws-sam/build"
LAMBDA_PYTHON = PROJECT / ".venv/envs/lambda/bin/python"
MIB = 1024 * 1024
UNZIPPED_LIMIT = 250 * MIB
# python3.11 runs on Amazon Linux 2, python3.12 on Amazon Linux 2023.
GLIBC = {"3.11": 26, "3.12": 34}

RESOURCES = load_template(BUILT / "template.yaml")["Resources"]
FUNCTIONS = [name for name, item in RESOURCES.items() if item["Type"] == "AWS::Serverless::Function"]
LAYERS = [name for name, item in RESOURCES.items() if item["Type"] == "AWS::Serverless::LayerVersion"]

IMPORT = """
import importlib.util, json, sys
sys.path[:0] = json.loads(sys.argv[1])
spec = importlib.util.spec_from_file_location("app", sys.argv[2])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert callable(module.lambda_handler)
places = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
print(json.dumps({name: place for name, place in places.items() if place and "." not in name}))
"""


def layers_of(function: str) -> list[str]:
    return [layer["Ref"] for layer in RESOURCES[function]["Properties"]["Layers"]]


def folder(name: str) -> Path:
    properties = RESOURCES[name]["Properties"]
    return BUILT / str(properties.get("CodeUri", properties.get("ContentUri")))


def size(name: str) -> int:
    return sum(file.stat().st_size for file in folder(name).rglob("*") if file.is_file())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_with_its_layers_fits_into_lambda(function: str) -> None:
    parts = {name: size(name) for name in (function, *layers_of(function))}
    print({name: f"{value / MIB:.1f} MiB" for name, value in parts.items()})  # noqa: T201 - the numbers are wanted
    assert sum(parts.values()) < UNZIPPED_LIMIT


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_finds_everything_in_its_artefact_its_layers_and_the_runtime(function: str, tmp_path: Path) -> None:
    path = [str(folder(function)), *(str(folder(layer) / "python") for layer in layers_of(function))]
    command = [str(LAMBDA_PYTHON), "-I", "-c", IMPORT, json.dumps(path), str(folder(function) / "app.py")]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "AWS_DEFAULT_REGION": "eu-west-1"}
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
    assert found["assay"] == str(folder("AssayLayer") / "python/assay/__init__.py")
    allowed = (*path, str(LAMBDA_PYTHON.parents[1]), *_standard_library())
    assert {name: place for name, place in found.items() if not place.startswith(allowed)} == {}


def _standard_library() -> tuple[str, ...]:
    return (str(Path(sys.base_prefix).resolve()), sys.base_prefix)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_runtimes_c_library_can_load_what_a_layer_holds(layer: str) -> None:
    newest = {
        file.name: max((int(found) for found in re.findall(rb"GLIBC_2\.(\d+)", file.read_bytes())), default=0)
        for file in folder(layer).rglob("*.so*")
    }
    limit = GLIBC[f"{sys.version_info.major}.{sys.version_info.minor}"]
    assert {name: version for name, version in newest.items() if version > limit} == {}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_is_compiled_for_this_python_and_stays_so_in_a_zip(layer: str) -> None:
    tag = sys.implementation.cache_tag
    sources = [file for file in folder(layer).rglob("*.py") if file.stat().st_size]
    compiled = [file.parent / "__pycache__" / f"{file.stem}.{tag}.pyc" for file in sources]
    missing = [str(file) for file in compiled if not file.is_file()]
    # A few files of packages are templates, or for other versions of Python, and cannot be compiled.
    assert len(missing) <= len(sources) // 100, missing[:5]
    unchecked = [int.from_bytes(file.read_bytes()[4:8], "little") for file in compiled if file.is_file()]
    assert set(unchecked) == {0b01}


def test_the_layer_of_the_product_holds_its_source_which_pipelines_ship() -> None:
    shipped = folder("AssayLayer") / "python/assay"
    wanted = {
        file.relative_to(PROJECT / "layers/assay/assay")
        for file in (PROJECT / "layers/assay/assay").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert wanted == {
        file.relative_to(shipped) for file in shipped.rglob("*") if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_built_template_has_no_aliases_which_cloudformation_does_not_read() -> None:
    text = (BUILT / "template.yaml").read_text()
    assert [event for event in yaml.parse(text) if isinstance(event, yaml.AliasEvent)] == []
