"""Whatever bytes are dropped as a config, the reader gives a config or our own error with every fault's place.

`make fuzz` puts more examples than the default, which only keeps this file honest.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.contenders import contenders, dump_config
from assay.contracts.errors import RejectedError
from assay.contracts.section import spellings
from assay.pipeline.plan import dependencies
from tools.generate_docs import sections

ROOT = Path(__file__).resolve().parents[2]
FUZZ = settings(
    max_examples=int(os.environ.get("ASSAY_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
GOOD = [
    path.read_bytes()
    for folder in ("tests/seed_configs", "examples/configs")
    for path in sorted((ROOT / folder).glob("*.yaml"))
]
KEYS = sorted(
    {name for section, _ in sections() for field in section.model_fields for name in spellings(section, field)}
)
NASTY = [
    *(b"&a", b"*a", b"<<: ", b"!!int ", b"!!binary ", b"? ", b"- ", b": ", b"{", b"}", b"[", b"]", b"'", b'"', b"#"),
    *(b"\\ud800", b"\\U00ffffff", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\n", b"\n---\n", b"%YAML 1.2\n", b"\t"),
    *(
        b".nan",
        b".inf",
        b"1e999",
        b"010",
        b"1:30",
        b"0x" + b"f" * 5000,
        b"9" * 5000,
        b"2024-13-45",
        b"null",
        b"~",
        b"yes",
    ),
    *(b"|\n", b">-\n", b"$", b"${", b"PROMPT_PLACEHOLDER", b"responses", b"bedrock"),
    b"prompt_templates: {a: $prompt, b: $prompt}\n",
]


def check(text: bytes) -> None:
    """Read; anything but a config that works or a told refusal is a failure of the test."""
    refusal = None
    try:
        config = load_config(text, "configs/fuzz.yaml")
    except RejectedError as error:
        refusal = error
    if refusal is not None:
        assert 0 < len(refusal.faults) <= refusal.total
        assert all(fault.message and fault.line is not None for fault in refusal.faults)
        str(refusal).encode()
        return
    expanded = contenders(config)
    assert load_config(dump_config(expanded), "configs/fuzz.yaml") == expanded
    assert "preprocess" in dependencies(expanded)


def mutated(seed: int, base: bytes) -> bytes:
    """`base` after one to six small accidents: bytes and lines lost, doubled, swapped, indented or replaced."""
    chance = random.Random(seed)
    text = base
    for _ in range(chance.randint(1, 6)):
        lines = text.splitlines(keepends=True) or [b""]
        at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        place = chance.randrange(len(text) + 1)
        match chance.randrange(9):
            case 0:
                text = text[:place] + chance.choice(NASTY) + text[place:]
            case 1:
                text = text[:place] + text[place + chance.randint(1, 20) :]
            case 2:
                text = text[:place] + bytes([chance.randrange(256)]) + text[place + 1 :]
            case 3:
                text = b"".join(lines[:at] + lines[at + 1 :])
            case 4:
                text = b"".join([*lines[:at], lines[other], *lines[at:]])
            case 5:
                lines[at], lines[other] = lines[other], lines[at]
                text = b"".join(lines)
            case 6:
                lines[at] = b" " * chance.randint(1, 4) + lines[at]
                text = b"".join(lines)
            case 7:
                head, colon, _ = lines[at].partition(b":")
                lines[at] = head + (colon or b":") + b" " + chance.choice(NASTY) + b"\n"
                text = b"".join(lines)
            case _:
                indent = len(lines[at]) - len(lines[at].lstrip())
                lines.insert(at, b" " * indent + chance.choice(KEYS).encode() + b": " + chance.choice(NASTY) + b"\n")
                text = b"".join(lines)
    return text


@FUZZ
@given(seed=st.integers(0, 2**64), base=st.sampled_from(GOOD))
def test_a_damaged_config_is_read_or_refused(seed: int, base: bytes) -> None:
    check(mutated(seed, base))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["endpoint", "responses", "FactualKnowledge", "ml.m5.xlarge", "PROMPT_PLACEHOLDER", "$prompt", "a"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=30,
)
SHAPED = st.fixed_dictionaries({}, optional=dict.fromkeys(SuiteConfig.model_fields, VALUES))


@FUZZ
@given(value=VALUES | SHAPED)
def test_a_config_of_random_values_is_read_or_refused(value: object) -> None:
    check(yaml.dump(value, allow_unicode=True).encode("utf-8", "surrogatepass"))


@FUZZ
@given(text=st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_random_bytes_are_read_or_refused(text: bytes) -> None:
    check(text)


@FUZZ
@given(expression=st.text(st.sampled_from(list("ab0-9[]{}().,:*@&|!<>='`\"\\? ")), max_size=60))
def test_a_jmespath_is_understood_or_refused(expression: str) -> None:
    parts = {"name": "m", "provider": "responses", "response_key": expression}
    values = {
        "pipeline": {"name": "s"},
        "dataset": {"input_data_location": "x"},
        "models": [parts],
        "algorithms": ["QAAccuracy"],
    }
    check(yaml.dump(values).encode())
