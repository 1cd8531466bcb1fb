"""A catalog: prompts with expected answers, one record a line of JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from assay.contracts.dataset import DatasetSection
from assay.contracts.errors import Fault, RejectedError

MAX_FAULTS_SHOWN = 100


class Record(BaseModel):
    """One line of the normalised catalog that an evaluation keeps.

    Attributes:
        id: given by the catalog, or the first 16 hexadecimal characters of the SHA-256 of the input.
        model_input: text that the prompt template wraps.
        target_output: expected answer; alternatives are parted by the algorithm's delimiter.
        category: group of the record, for slices.
        columns: the other text fields, for named placeholders of a prompt template.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    model_input: str
    target_output: str
    category: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)


def read_catalog(lines: Iterable[bytes], dataset: DatasetSection, subject: str) -> Iterator[Record]:
    """Read records one by one; memory holds one line, the ids seen and the faults.

    Args:
        lines: the file by lines, UTF-8.
        dataset: where the fields lie.
        subject: the catalog's key, to name in errors.

    Raises:
        RejectedError: when the file has ended, with every faulty line (the first 100 shown, all counted).
    """
    faults: list[Fault] = []
    total = 0
    seen: dict[str, int] = {}
    for number, raw in enumerate(lines, start=1):
        if not raw.strip():
            continue
        record, found = _record(raw, dataset, number)
        if record is not None and record.id in seen:
            found = [Fault(f"the id {record.id!r} stands already on line {seen[record.id]}", line=number, key="id")]
        total += len(found)
        faults.extend(found[: MAX_FAULTS_SHOWN - len(faults)])
        if record is not None and not found:
            seen[record.id] = number
            yield record
    if faults:
        raise RejectedError(subject, faults, total)
    if not seen:
        raise RejectedError(subject, [Fault("the catalog has no records", line=1)])


def _record(raw: bytes, dataset: DatasetSection, number: int) -> tuple[Record | None, list[Fault]]:
    try:
        line = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        return None, [Fault("the line is not UTF-8", line=number)]
    except json.JSONDecodeError as error:
        return None, [Fault(f"not JSON: {error.msg}", line=number, column=error.colno)]
    except (ValueError, RecursionError) as error:
        return None, [Fault(f"not JSON: {error}", line=number)]
    if not isinstance(line, dict):
        return None, [Fault(f"a record is a JSON object, found {_kind(line)}", line=number)]
    faults: list[Fault] = []
    model_input = _text(line, dataset.model_input_key, number, faults)
    target_output = _text(line, dataset.target_output_key, number, faults)
    category = _text(line, dataset.category_key, number, faults) if dataset.category_key else None
    given = line.get("id")
    if given is not None and (not isinstance(given, str | int) or isinstance(given, bool) or not str(given).strip()):
        faults.append(Fault(f"an id is text or a whole number, found {_kind(given)}", line=number, key="id"))
    if faults or model_input is None or target_output is None:
        return None, faults
    used = {dataset.model_input_key, dataset.target_output_key, dataset.category_key, "id"}
    columns = {key: value for key, value in line.items() if key not in used and isinstance(value, str)}
    identifier = str(given) if given is not None else hashlib.sha256(model_input.encode()).hexdigest()[:16]
    record = Record(
        id=identifier, model_input=model_input, target_output=target_output, category=category, columns=columns
    )
    return record, []


def _text(line: dict[str, Any], key: str, number: int, faults: list[Fault]) -> str | None:
    if key not in line:
        faults.append(Fault("the key is missing", line=number, key=key))
        return None
    value = line[key]
    if not isinstance(value, str):
        faults.append(Fault(f"must be text, found {_kind(value)}", line=number, key=key))
        return None
    if not value.strip():
        faults.append(Fault("must not be empty", line=number, key=key))
        return None
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number", str: "text"}
    return names[type(value)]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
