"""Assertions about a response: each is met or not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from assay.scoring.scorer import ByFunction, OneByOne, Sample, Scored, Scorer, ScorerRequest, UnscorableError

# Digits with a sign, groups of thousands, a fraction and an exponent.
_NUMBER = re.compile(
    r"[-+\u2212]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+\u2212]?\.\d+(?:[eE][-+]?\d+)?"
)
_FENCE = re.compile(r"^\s*```[A-Za-z0-9]*[ \t]*\n(.*)\n[ \t]*```\s*$", re.DOTALL)


def exact_match(request: ScorerRequest) -> Scorer:
    """`exact_match`: the response is one of the alternatives of the expected answer."""
    fold, trim, delimiter = request.settings["ignore_case"], request.settings["trim"], request.delimiter

    def plain(text: str) -> str:
        text = text.strip() if trim else text
        return text.casefold() if fold else text

    def score(target: str, text: str) -> dict[str, float]:
        return {"exact_match": float(plain(text) in {plain(part) for part in target.split(delimiter)})}

    return ByFunction(score)


def contains(request: ScorerRequest) -> Scorer:
    """`contains`: an alternative of the expected answer stands in the response, or every one; or the config's texts."""
    fold, texts, delimiter = request.settings["ignore_case"], request.settings["texts"], request.delimiter
    enough = all if request.settings["every"] else any

    def plain(text: str) -> str:
        return text.casefold() if fold else text

    def score(target: str, text: str) -> dict[str, float]:
        wanted: Sequence[str] = texts if isinstance(texts, list) else [part.strip() for part in target.split(delimiter)]
        given = plain(text)
        return {"contains": float(enough(plain(part) in given for part in wanted))}

    return ByFunction(score)


def regex(request: ScorerRequest) -> Scorer:
    """`regex_match`; a match that takes too long, or an expected answer that is no expression, is a failure."""
    return _Regex(request)


class _Regex(OneByOne):
    def __init__(self, request: ScorerRequest) -> None:
        # The standard library's `re` cannot be told to give up.
        import regex as engine

        self._engine = engine
        settings = request.settings
        self._flags = engine.IGNORECASE if settings["ignore_case"] else 0
        self._pattern = None if settings["pattern"] is None else str(settings["pattern"])
        self._whole = bool(settings["whole"])
        self._seconds = float(str(settings["seconds"]))

    def score_one(self, sample: Sample) -> Scored:
        pattern = self._pattern if self._pattern is not None else sample.record.target_output
        try:
            compiled = self._engine.compile(pattern, self._flags)
        except self._engine.error as error:
            raise UnscorableError("the expected answer is no regular expression") from error
        match = compiled.fullmatch if self._whole else compiled.search
        try:
            return Scored({"regex_match": float(match(sample.text, timeout=self._seconds) is not None)})
        except TimeoutError as error:
            raise UnscorableError(f"the match took longer than {self._seconds:g} s") from error


def json_schema(request: ScorerRequest) -> Scorer:
    """`json_valid`, and `json_matches`, which is 0 for what is no JSON. Nothing outside of the schema is looked up."""
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    schema: Any = request.settings["schema"]
    validator = validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())
    fenced = bool(request.settings["fenced"])

    def score(_target: str, text: str) -> dict[str, float]:
        fence = _FENCE.match(text) if fenced else None
        try:
            value = json.loads(fence[1] if fence else text, parse_constant=_no_json)
        except (ValueError, RecursionError):
            return {"json_valid": 0.0, "json_matches": 0.0}
        return {"json_valid": 1.0, "json_matches": float(validator.is_valid(value))}

    return ByFunction(score)


def numeric_tolerance(request: ScorerRequest) -> Scorer:
    """`numeric_match`: the number of the response is an alternative of the expected one, within the tolerance.

    A response without a number does not match. Numbers are decimal, so that 0.1 is off from 0.3 by 0.2 exactly.
    """
    absolute, relative = (Decimal(str(request.settings[name])) for name in ("absolute", "relative"))
    which, delimiter = request.settings["which"], request.delimiter

    def is_near(found: Decimal, wanted: Decimal) -> bool:
        return abs(found - wanted) <= max(absolute, relative * abs(wanted))

    def score(target: str, text: str) -> dict[str, float]:
        wanted = [next(_numbers(part), None) for part in target.split(delimiter)]
        if None in wanted:
            raise UnscorableError("the expected answer holds no number")
        numbers = list(_numbers(text))
        counted = numbers if which == "any" else numbers[:1] if which == "first" else numbers[-1:]
        return {"numeric_match": float(any(is_near(n, w) for n in counted for w in wanted if w is not None))}

    return ByFunction(score)


def _numbers(text: str) -> Iterator[Decimal]:
    for match in _NUMBER.finditer(text):
        try:
            yield Decimal(match[0].replace(",", "").replace("\u2212", "-"))
        except InvalidOperation:
            continue


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
