"""From the lines of a catalog to its rows, as mappings: JSON Lines, and CSV by RFC 4180."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from assay.contracts.catalog_bytes import MAX_LINE_BYTES
from assay.contracts.catalog_faults import shown
from assay.contracts.errors import Fault

MAX_DEPTH = 100

Lines = Iterator[tuple[int, bytes | None]]

# UTF-8 cannot hold half of a surrogate pair, but an escape in JSON can spell it.
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_HALF = re.compile("[\ud800-\udfff]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')

_TOO_LONG = f"the line is longer than {MAX_LINE_BYTES:,} bytes"
_NOT_UTF8 = "the line is not UTF-8"

# What Python's reader says, in words that say what to do.
_CSV_FAULTS = {
    "unexpected end of data": "the quote that opens in this record is not closed before the file ends",
    "new-line character seen in unquoted field": "a carriage return stands outside of quotes; lines end with LF",
    "expected after '\"'": "a closing quote is followed by more text; a quote inside of quotes is doubled",
    "field larger than field limit": f"a field is longer than {MAX_LINE_BYTES:,} characters",
}


class Row(NamedTuple):
    """One record as it stands in the file: values by name, or what is wrong with the whole of it.

    Attributes:
        line: where it begins, from 1.
    """

    line: int
    values: dict[str, Any] | None
    fault: Fault | None = None


def json_rows(lines: Lines) -> Iterator[Row]:
    """A JSON object a line; empty lines are passed over."""
    for number, raw in lines:
        if raw is None:
            yield Row(number, None, Fault(_TOO_LONG, line=number))
            continue
        text = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
        if text and not text.isspace():
            yield _json_row(number, text)


def csv_rows(lines: Lines, on_header: Callable[[int, list[str]], list[Fault]]) -> Iterator[Row]:
    """A record a row, below a header that names the columns; a quoted field may hold newlines.

    Args:
        lines: the file's.
        on_header: called once with the header's line and names; with faults, no row is read.
    """
    # A limit of the whole process, which is 128 KiB unless it is raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    header: list[str] | None = None
    for line, fields, fault in _csv_records(lines):
        if fault is not None:
            yield Row(line, None, fault)
            if header is None:
                return
        elif header is None:
            header = fields
            faults = [*_header_faults(line, header)] or on_header(line, header)
            yield from (Row(line, None, fault) for fault in faults)
            if faults:
                return
        elif len(fields) != len(header):
            message = f"the record has {len(fields)} fields, and the header names {len(header)}"
            yield Row(line, None, Fault(message, line=line))
        else:
            yield Row(line, dict(zip(header, fields, strict=True)))


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number", str: "text"}
    return names.get(type(value), "something else")


def _json_row(number: int, raw: bytes) -> Row:
    fault = None
    try:
        values = _decoded(raw)
        if not isinstance(values, dict):
            fault = Fault(f"a record is a JSON object, found {kind_of(values)}", line=number)
        elif _SURROGATE_ESCAPE.search(raw) is not None:
            fault = _half_a_character(number, values)
    except UnicodeDecodeError:
        fault = Fault(_NOT_UTF8, line=number)
    except json.JSONDecodeError as error:
        fault = Fault(f"not JSON: {error.msg}", line=number, column=error.colno)
    except ValueError as error:
        fault = Fault(f"not JSON: {error}", line=number)
    return Row(number, values) if fault is None else Row(number, None, fault)


def _decoded(raw: bytes) -> Any:
    # The parser recurses, and how deep it may is a limit of the whole process that other libraries raise.
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _depth(raw) > MAX_DEPTH:
        raise ValueError(f"nested too deeply, at most {MAX_DEPTH} levels are allowed")
    return _DECODER.decode(raw.decode())


def _depth(raw: bytes) -> int:
    """How deep lists and objects nest, texts left out."""
    depth = deepest = 0
    for byte in _STRING.sub(b"", raw):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _half_a_character(number: int, values: dict[str, Any]) -> Fault | None:
    for name, value in values.items():
        if _HALF.search(name) or _HALF.search(json.dumps(value, ensure_ascii=False)):
            return Fault("holds half of a surrogate pair, which is no character", line=number, key=shown(name))
    return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!a} stands twice")
    return values


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_once)


def _header_faults(line: int, header: list[str]) -> Iterator[Fault]:
    named = [name for name in header if name]
    for name in dict.fromkeys(named):
        if named.count(name) > 1:
            yield Fault("the header names the column twice", line=line, key=name[:80])
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        yield Fault("the header names one column; columns are parted by commas", line=line)


class _RecordTooLongError(Exception):
    """A record has more bytes than a line may have."""


class _Feed(Iterator[str]):
    """Hands lines to Python's reader, and knows where it is."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """A new record begins on the next line."""
        self.size = 0
        self.not_utf8: int | None = None

    def __next__(self) -> str:
        self.number, raw = next(self._lines)
        self.size += MAX_LINE_BYTES + 1 if raw is None else len(raw) + 1
        if raw is None or self.size > MAX_LINE_BYTES + 1:
            raise _RecordTooLongError
        try:
            return raw.decode("utf-8-sig" if self.number == 1 else "utf-8") + "\n"
        except UnicodeDecodeError:
            self.not_utf8 = self.not_utf8 or self.number
            return raw.decode("utf-8", "replace") + "\n"


def _csv_records(lines: Lines) -> Iterator[tuple[int, list[str], Fault | None]]:
    feed = _Feed(lines)
    reader = csv.reader(feed, strict=True)
    while True:
        feed.begin()
        line = feed.number + 1
        fields: list[str] = []
        fault = None
        try:
            fields = next(reader)
        except StopIteration:
            return
        except _RecordTooLongError:
            if feed.number > line:
                message = f"the quote that opens in this record is not closed within {MAX_LINE_BYTES:,} bytes"
                yield line, [], Fault(f"{message}; what follows was not read", line=line)
                return
            fault = Fault(_TOO_LONG, line=line)
        except csv.Error as error:
            told = str(error)
            message = next((words for part, words in _CSV_FAULTS.items() if part in told), f"not CSV: {told}")
            fault = Fault(message, line=line)
        if feed.not_utf8 is not None:
            fault = Fault(_NOT_UTF8, line=feed.not_utf8)
        if fields or fault is not None:
            yield line, fields, fault
