"""A catalog: prompts with expected answers, one record a line of JSON or a row of CSV."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from assay.contracts.catalog_bytes import BrokenFileError, numbered_lines
from assay.contracts.catalog_faults import MAX_FAULTS_SHOWN, Faults
from assay.contracts.catalog_location import MISSING, Location, LocationError
from assay.contracts.catalog_needs import Need, Needs
from assay.contracts.catalog_rows import Row, csv_rows, json_rows, kind_of
from assay.contracts.dataset import DatasetSection
from assay.contracts.errors import Fault, RejectedError

__all__ = ["MAX_FAULTS_SHOWN", "Record", "read_catalog"]

MAX_ID_CHARACTERS = 256
_CONTEXT = "context"
_HASH_BITS = (1 << 60) - 1


class Record(BaseModel):
    """One line of the normalised catalog that an evaluation keeps.

    Attributes:
        id: given by the catalog, or the first 16 hexadecimal characters of the SHA-256 of the input (and of the context
            after it, where the config says where that lies).
        model_input: text that the prompt template wraps.
        target_output: expected answer; alternatives are parted by the algorithm's delimiter.
        category: group of the record, for slices.
        cluster: what the record shares with others, so that they do not count as independent.
        columns: the other text fields, for named placeholders of a prompt template.
        responses: ready answers by model, of models that are not asked; a model that has none to this record is absent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    model_input: str
    target_output: str
    category: str | None = None
    cluster: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    responses: dict[str, str] = Field(default_factory=dict)


def read_catalog(
    chunks: Iterable[bytes], dataset: DatasetSection, subject: str, needs: Needs | None = None
) -> Iterator[Record]:
    """Read records one by one; memory holds one record, 8 bytes of hash and the line of each id, and the faults.

    Args:
        chunks: the file as it is, newlines included, cut anywhere; gzip is unpacked.
        dataset: where the fields lie.
        subject: the catalog's key: it tells CSV from JSON Lines unless the config does, and is named in errors.
        needs: what the config's models and algorithms need of the records; of that, nothing is checked without it.

    Raises:
        RejectedError: when the file has ended, with every faulty line (the first 100 shown, all counted); of the config
            where the only fault is that no record has what it names.
    """
    yield from _Reader(dataset, subject, needs or Needs()).records(chunks)


class _Reader:
    def __init__(self, dataset: DatasetSection, subject: str, needs: Needs) -> None:
        self._dataset = dataset
        self._subject = subject
        self._needs = needs
        self._input = Location(dataset.model_input_key)
        self._target = Location(dataset.target_output_key)
        self._context = Location(dataset.context_key) if dataset.context_key else None
        self._category = Location(dataset.category_key) if dataset.category_key else None
        self._cluster = Location(dataset.cluster_key) if dataset.cluster_key else None
        self._id = Location(dataset.id_key or "id")
        self._responses = [(need.model, Location(need.name)) for need in needs.responses]
        self._columns = [need.name for need in needs.columns]
        self._hidden = {dataset.target_output_key, *(need.name for need in needs.responses)}
        # Fields with a place of their own in a record are no columns, but for those that a template names.
        self._placed = {dataset.model_input_key, dataset.category_key, dataset.cluster_key, self._id.key, *self._hidden}
        self._seen: dict[int, int] = {}
        self._answered: set[str] = set()
        self._faults = Faults(self._columns)

    def records(self, chunks: Iterable[bytes]) -> Iterator[Record]:
        lines = numbered_lines(chunks)
        rows = csv_rows(lines, self._header) if self._dataset.is_csv(self._subject) else json_rows(lines)
        line = 0
        try:
            for row in rows:
                line = row.line
                record = self._record(row)
                if record is not None:
                    yield record
        except BrokenFileError as error:
            self._faults.add(Fault(f"{error}; what follows was not read", line=line + 1))
        self._end()

    def _record(self, row: Row) -> Record | None:
        line, values, fault = row
        if values is None:
            self._faults.add(fault or Fault("the line cannot be read", line=line))
            return None
        before = self._faults.total
        model_input = self._text(self._input, values, line)
        target_output = self._target_output(values, line)
        context = self._text(self._context, values, line) if self._context is not None else None
        category = self._label(self._category, values, line) if self._category is not None else None
        cluster = self._label(self._cluster, values, line) if self._cluster is not None else None
        identifier = self._label(self._id, values, line, needed=self._dataset.id_key is not None)
        responses = self._given(values, line) if self._responses else {}
        placed = self._placed
        columns = {name: value for name, value in values.items() if name not in placed and isinstance(value, str)}
        if context is not None:
            columns[_CONTEXT] = context
        lacking = self._complete(columns, values, line) if self._columns else []
        if self._faults.total > before or model_input is None or target_output is None:
            return None
        given = identifier is not None
        if identifier is None:
            identifier = _hash_of(model_input, context)
        if not self._is_new(identifier, line, given=given):
            return None
        if self._columns:
            self._faults.read(lacking, line)
        if lacking or len(responses) < len(self._responses):
            self._faults.saw(values)
        if lacking:
            return None
        return Record(
            id=identifier,
            model_input=model_input,
            target_output=target_output,
            category=category,
            cluster=cluster,
            columns=columns,
            responses=responses,
        )

    def _is_new(self, identifier: str, line: int, *, given: bool) -> bool:
        # Two different ids among a million have the same 60 bits once in two million catalogs.
        first = self._seen.setdefault(hash(identifier) & _HASH_BITS, line)
        if first == line:
            return True
        if given:
            fault = Fault(f"the id {identifier[:80]!a} stands already on line {first}", line=line, key=self._id.key)
        else:
            same = "input" if self._context is None else "input with the same context"
            fault = Fault(f"the same {same} stands already on line {first}", line=line, key=self._input.key)
        self._faults.add(fault)
        return False

    def _find(self, location: Location, values: dict[str, Any], line: int) -> Any:
        try:
            value = location.find(values)
        except LocationError as error:
            self._faults.add(Fault(str(error), line=line, key=location.key))
            return None
        if value is MISSING:
            self._faults.add(Fault(location.absent(), line=line, key=location.key))
            return None
        return value

    def _text(self, location: Location, values: dict[str, Any], line: int) -> str | None:
        before = self._faults.total
        value = self._find(location, values, line)
        if self._faults.total > before:
            return None
        if not isinstance(value, str):
            self._faults.add(Fault(f"must be text, found {kind_of(value)}", line=line, key=location.key))
            return None
        if not value or value.isspace():
            self._faults.add(Fault("must not be empty", line=line, key=location.key))
            return None
        return value

    def _target_output(self, values: dict[str, Any], line: int) -> str | None:
        target = self._text(self._target, values, line)
        if target is None:
            return None
        for delimiter in self._needs.delimiters:
            if delimiter in target and not all(part.strip() for part in target.split(delimiter)):
                # An empty text is contained in every response, so each would be right.
                message = f"an alternative is empty: nothing stands beside one {delimiter!a}"
                self._faults.add(Fault(message, line=line, key=self._target.key))
                return None
        return target

    def _label(self, location: Location, values: dict[str, Any], line: int, *, needed: bool = True) -> str | None:
        """Text or a whole number, as text. One that is not needed may be missing or null."""
        if not needed and values.get(location.key) is None:
            return None
        before = self._faults.total
        value = self._find(location, values, line)
        if self._faults.total > before:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            message = f"must be text or a whole number, found {kind_of(value)}"
        elif not (label := str(value)).strip():
            message = "must not be empty (text or a whole number)"
        elif len(label) > MAX_ID_CHARACTERS:
            message = f"has {len(label):,} characters; at most {MAX_ID_CHARACTERS} are allowed"
        else:
            return label
        self._faults.add(Fault(message, line=line, key=location.key))
        return None

    def _given(self, values: dict[str, Any], line: int) -> dict[str, str]:
        """The ready answers. One that is missing or null is no fault of the line: the model did not answer."""
        found = {}
        for model, location in self._responses:
            try:
                value = location.find(values)
            except LocationError as error:
                self._faults.add(Fault(str(error), line=line, key=location.key))
                continue
            if isinstance(value, str):
                found[model] = value
                self._answered.add(model)
            elif value is not MISSING and value is not None:
                self._faults.add(Fault(f"must be text, found {kind_of(value)}", line=line, key=location.key))
        return found

    def _complete(self, columns: dict[str, str], values: dict[str, Any], line: int) -> list[str]:
        """Add the columns that templates name, and tell which of them this record lacks."""
        lacking = []
        for name in self._columns:
            if name in columns:
                continue
            value = MISSING if name in self._hidden else values.get(name, MISSING)
            if isinstance(value, str):
                columns[name] = value
            elif value is MISSING:
                lacking.append(name)
            else:
                message = f"a prompt template names it, so it must be text, found {kind_of(value)}"
                self._faults.add(Fault(message, line=line, key=name))
        return lacking

    def _header(self, line: int, names: list[str]) -> list[Fault]:
        """What a header lacks of the fields of every record; what templates and models need is told at the end."""
        row = dict.fromkeys(names, "x")
        wanted = [self._input, self._target, self._context, self._category, self._cluster]
        wanted.append(self._id if self._dataset.id_key is not None else None)
        faults = []
        for location in filter(None, wanted):
            try:
                found = location.find(row)
            except LocationError as error:
                faults.append(Fault(str(error), line=line, key=location.key))
                continue
            if found is MISSING:
                hint = self._faults.among(location.key, names)
                faults.append(Fault(f"the column is missing{hint}", line=line, key=location.key))
        return faults

    def _end(self) -> None:
        unmet: list[Fault] = []
        if self._seen:
            columns = (need for need in self._needs.columns if self._faults.nowhere(need.name))
            responses = (need for need in self._needs.responses if need.model not in self._answered)
            unmet = [
                *(need.fault(self._no_column(need)) for need in columns),
                *(need.fault(self._no_response(need)) for need in responses),
            ]
        total = self._faults.total + self._faults.lacking_total
        if total:
            raise RejectedError(self._subject, self._faults.in_order(), total)
        if unmet:
            raise RejectedError(self._needs.subject or self._subject, unmet)
        if not self._seen:
            raise RejectedError(self._subject, [Fault("the catalog has no records", line=1)])

    def _no_column(self, need: Need) -> str:
        if need.name in self._hidden:
            return f"the prompt template of model {need.model!r} names ${need.name}, which no model may see: an answer"
        hint = self._faults.among(need.name, self._faults.names - self._hidden)
        return (
            f"the prompt template of model {need.model!r} names ${need.name}, and no record of {self._subject} "
            f"has it{hint}; write $$ for a dollar sign"
        )

    def _no_response(self, need: Need) -> str:
        hint = self._faults.among(need.name, self._faults.names)
        return f"no record of {self._subject} has a response of model {need.model!r} at {need.name!r}{hint}"


def _hash_of(model_input: str, context: str | None) -> str:
    text = model_input if context is None else f"{model_input}\x1f{context}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
