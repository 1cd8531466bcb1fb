"""What an algorithm declares of itself: its scores, what it needs, and what a config may set."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Direction = Literal["higher", "lower"]
Need = Literal["target_output", "catalog", "judge", "log_probabilities", "second_answers"]
Kind = Literal["text", "texts", "integer", "number", "flag", "mapping", "location"]

_IN_WORDS: dict[str, str] = {
    "text": "text",
    "texts": "a list of texts",
    "integer": "a whole number",
    "number": "a number",
    "flag": "true or false",
    "mapping": "a mapping",
    "location": "a folder's path or an s3:// URI",
}


@dataclass(frozen=True)
class Parameter:
    """Something that a config may set below `parameters`.

    Attributes:
        kind: type of its value; a `location` is a folder, or the prefix of one in S3, with a model or data.
        default: its value when left out, None where that means "none".
        choices: the values that a text may have; any when empty.
        least, most: bounds of a number, included.
        required: whether nothing can be computed without it.
        of_fmeval: whether it is a field of fmeval's dataclass, under this name.
    """

    name: str
    kind: Kind
    meaning: str
    default: Any = None
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    required: bool = False
    of_fmeval: bool = False

    def fault(self, value: Any) -> str | None:
        """What is wrong with a value, as a sentence without its subject; None when nothing is."""
        if not self._is_of_kind(value):
            return f"must be {_IN_WORDS[self.kind]}, found {str(value)[:80]!r}"
        if self.choices and value not in self.choices:
            return f"must be one of {', '.join(map(repr, self.choices))}, found {str(value)[:80]!r}"
        if self.least is not None and value < self.least:
            return f"must be at least {self.least:g}, found {value:g}"
        if self.most is not None and value > self.most:
            return f"must be at most {self.most:g}, found {value:g}"
        return None

    def _is_of_kind(self, value: Any) -> bool:
        match self.kind:
            case "text" | "location":
                return isinstance(value, str) and bool(value)
            case "texts":
                return isinstance(value, list) and bool(value) and all(isinstance(item, str) and item for item in value)
            case "integer":
                return isinstance(value, int) and not isinstance(value, bool)
            case "number":
                return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            case "flag":
                return isinstance(value, bool)
            case "mapping":
                return isinstance(value, dict)


@dataclass(frozen=True)
class Algorithm:
    """A known algorithm.

    Attributes:
        name: what a config writes, such as `FactualKnowledge`; that of a plug-in holds a dot: `acme.CitesItsSource`.
        module: fmeval's module; a config that repeats it must repeat this one. Empty where it is not fmeval's.
        config: the class of its parameters; likewise.
        scores: name of each score of a response, and the direction in which it is better.
        binary: the scores that are only ever 0 or 1.
        delimited: whether expected answers may hold alternatives, parted by `target_output_delimiter`.
        meaning: what it says about a response, in a sentence.
        scorer: where it is computed, `module:function`: the function makes a `Scorer` of a `ScorerRequest`.
        parameters: what a config may set.
        optional: scores that are computed only where one of these parameters is set.
        only_with: scores that are computed only where a parameter has this value.
        undirected: scores of a response of which neither more nor less is better; written, and never compared.
        dataset_scores: scores of the whole catalog that are no mean of those of its records.
        needs: what it needs of the evaluation, beside the response.
    """

    name: str
    module: str
    config: str
    scores: Mapping[str, Direction]
    binary: frozenset[str] = frozenset()
    delimited: bool = False
    meaning: str = ""
    scorer: str = ""
    parameters: tuple[Parameter, ...] = ()
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    only_with: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    undirected: frozenset[str] = frozenset()
    dataset_scores: Mapping[str, Direction] = field(default_factory=dict)
    needs: frozenset[Need] = frozenset({"target_output"})

    def gives(self, score: str, parameters: Mapping[str, Any]) -> bool:
        """Whether a score is computed with these parameters."""
        if score in self.only_with:
            name, value = self.only_with[score]
            return bool(self.values(parameters)[name] == value)
        return score not in self.optional or any(parameters.get(name) is not None for name in self.optional[score])

    def with_parameters(self, parameters: Mapping[str, Any]) -> Algorithm:
        """This algorithm with the scores that it computes with these parameters, and no others."""
        return replace(self, scores={name: way for name, way in self.scores.items() if self.gives(name, parameters)})

    def values(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Every parameter: as set, else its default."""
        return {item.name: item.default for item in self.parameters} | dict(parameters)

    def faults(self, parameters: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
        """What is wrong with parameters, as (path, sentence)."""
        known = {item.name: item for item in self.parameters}
        for name, value in parameters.items():
            if name in known and (fault := known[name].fault(value)) is not None:
                yield (name,), f"`{name}` of {self.name} {fault}"
        for item in self.parameters:
            if item.required and item.name not in parameters:
                yield (), f"{self.name} needs `{item.name}`: {item.meaning}"
