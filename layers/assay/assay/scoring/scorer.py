"""What computes the scores of one algorithm: the interface that fmeval's, ours and plug-ins share."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from assay.contracts.algorithm import Algorithm
from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.scoring.assets import Assets


@dataclass(frozen=True, slots=True)
class Sample:
    """One response to be scored.

    Attributes:
        record: what was asked, with the expected answer.
        text: what the model answered.
        perturbed: its answers to perturbed inputs, in order; for algorithms that need second answers.
        again: its answers to the same input, asked anew; empty for a model that always says the same.
        log_probabilities: of texts that the algorithm asked for, in order.
        judgements: what a judge said of the answer, in order.
    """

    record: Record
    text: str
    perturbed: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    log_probabilities: tuple[float, ...] = ()
    judgements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of one response.

    Attributes:
        values: by name of score.
        evidence: what the algorithm's tally needs of this response; must be small and hashable.
    """

    values: Mapping[str, float]
    evidence: Hashable = None


@dataclass(frozen=True, slots=True)
class Unscored:
    """Why a response has no score. The reason quotes neither prompt nor response."""

    reason: str


class UnscorableError(Exception):
    """Raised by a scorer for a response that it cannot score; the text is its reason, and quotes no response."""


class Tally(Protocol):
    """Gathers the evidence of every response, and computes the scores of the whole catalog."""

    def add(self, evidence: Hashable, /) -> None:
        """Take in one response."""
        ...

    def scores(self) -> Mapping[str, float]:
        """The scores of the catalog by name. Raises whatever keeps it from that."""
        ...


class Scorer(Protocol):
    """Scores responses by one algorithm. Made once a process; used by one thread."""

    def score(self, samples: Sequence[Sample], /) -> Sequence[Scored | Unscored]:
        """A result for each sample, in their order. What it raises fails all of them."""
        ...

    def tally(self) -> Tally | None:
        """A new, empty tally; None for an algorithm without scores of the catalog."""
        ...


@dataclass(frozen=True)
class ScorerRequest:
    """What a scorer is made of.

    Attributes:
        algorithm: with the scores that these settings give, and no others.
        settings: every parameter: as the config sets it, else its default.
        delimiter: what parts alternatives of an expected answer.
        assets: finds the folders that `location` parameters name.
        labels: the different expected answers of the catalog, for algorithms that need the catalog.
    """

    algorithm: Algorithm
    settings: Mapping[str, object]
    delimiter: str
    assets: Assets
    labels: tuple[str, ...] = ()

    def folder(self, parameter: str) -> str | None:
        """The folder that a `location` parameter names; None when it is not set.

        Raises:
            MissingAssetError: it is set, and not there.
        """
        location = self.settings.get(parameter)
        if location is None:
            return None
        return str(self.assets.folder(str(location), f"`{parameter}` of {self.algorithm.name}"))


class OneByOne(ABC):
    """A scorer that looks at one response at a time."""

    @abstractmethod
    def score_one(self, sample: Sample) -> Scored:
        """The scores of one response.

        Raises:
            UnscorableError: it cannot be scored; any other error means the same, and its text is not kept.
        """

    def score(self, samples: Sequence[Sample]) -> Sequence[Scored | Unscored]:
        """Each by `score_one`; an error costs its own response only."""
        return [self._safely(sample) for sample in samples]

    def tally(self) -> Tally | None:
        """None, unless an algorithm has scores of the catalog."""
        return None

    def _safely(self, sample: Sample) -> Scored | Unscored:
        try:
            return self.score_one(sample)
        except Exception as error:  # noqa: BLE001 - whatever a scorer raises is the failure of this response alone
            return unscored(error)


class ByFunction(OneByOne):
    """A scorer made of a function from (expected answer, response) to scores by name."""

    def __init__(self, function: Callable[[str, str], Mapping[str, float]]) -> None:
        self._function = function

    def score_one(self, sample: Sample) -> Scored:
        """The function's values."""
        return Scored(self._function(sample.record.target_output, sample.text))


def unscored(error: Exception) -> Unscored:
    """A failure as a value. Of errors other than UnscorableError the type alone: their text may quote the response."""
    return Unscored(str(error) if isinstance(error, UnscorableError) else type(error).__name__)


def make_scorer(section: AlgorithmSection, assets: Assets, labels: Iterable[str] = ()) -> Scorer:
    """The scorer of an algorithm as a config names it.

    Raises:
        MissingAssetError: a folder or a package that it needs is not there.
        TypeError: its maker gives something else than a scorer.
    """
    algorithm = section.known
    module, _, name = algorithm.scorer.partition(":")
    make: Callable[[ScorerRequest], Scorer] = getattr(importlib.import_module(module), name)
    scorer = make(
        ScorerRequest(
            algorithm=algorithm,
            settings=section.settings,
            delimiter=section.target_output_delimiter or "<OR>",
            assets=assets,
            labels=tuple(labels),
        )
    )
    if not callable(getattr(scorer, "score", None)) or not callable(getattr(scorer, "tally", None)):
        raise TypeError(f"{algorithm.scorer} of {algorithm.name} gives no scorer, but {type(scorer).__name__}")
    return scorer
