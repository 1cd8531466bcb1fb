"""Asks a model again where an algorithm wants to know how its answers change: with perturbed inputs, or the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.contracts.results import Response
from assay.contracts.second_answers import perturbation_name
from assay.inference.kept import KeptResponses
from assay.inference.store import Objects
from assay.scoring.fmeval.robustness import Perturbations
from assay.scoring.scoring import Second, SecondAnswers

# fmeval's heuristic: a model that says the same twice to this many inputs always says the same.
STEADY_RECORDS = 5

_SENTENCES = "sentences"

Ask = Callable[[Iterable[Record], str], None]
"""Asks these records, and keeps the responses below a prefix. Those answered there already are not asked."""


class SecondAsking:
    """The second answers of one model. Use it as a context, which lets its files go.

    A record that is asked anew gets an id of its own below a prefix of its own, so that a restarted step asks only what
    is missing. Algorithms with the same perturbations share their answers.

    Args:
        algorithms: the config's; those that need no second answers cost nothing.
        objects: the bucket.
        prefix: where the responses go, ending in `/`.
        folder: for the files that responses are read from.
    """

    def __init__(self, algorithms: Sequence[AlgorithmSection], objects: Objects, prefix: str, folder: Path) -> None:
        self._sections = [item for item in algorithms if "second_answers" in item.known.needs]
        self._sentences = [item for item in algorithms if "log_probabilities" in item.known.needs]
        self._perturbations = {item.algorithm: Perturbations(item.settings) for item in self._sections}
        self._objects = objects
        self._prefix = prefix
        self._folder = folder
        self._kept: dict[str, KeptResponses] = {}
        self._repetitions: dict[str, int] = {}
        self._files = 0
        self._exit = ExitStack()

    def __enter__(self) -> SecondAsking:
        return self

    def __exit__(self, *_error: object) -> None:
        self._exit.close()

    def ask(self, records: Callable[[], Iterable[Record]], first: KeptResponses, ask: Ask) -> None:
        """Ask whatever the algorithms need, and keep it.

        Args:
            records: the catalog, from its beginning each time.
            first: the answers to it.
        """
        for section in self._sections:
            name = perturbation_name(section)
            if name not in self._kept:
                ask(self._perturbed(section, records()), f"{self._prefix}{name}/")
                self._keep(name)
            if "num_baseline_samples" in section.settings:
                self._repetitions[section.algorithm] = self._repeat(section, records, first, ask)
        if any(self._repetitions.values()):
            self._keep("again")
        for section in self._sentences:
            ask(self._pairs(section, records()), f"{self._prefix}{_SENTENCES}/")
            self._keep(_SENTENCES)

    def of(self, records: Sequence[Record]) -> Second:
        """The second answers to these records, by algorithm."""
        found: dict[str, dict[str, SecondAnswers]] = {}
        for section in self._sections:
            perturbed = self._read(perturbation_name(section), records, int(section.settings["num_perturbations"]))
            again = self._read("again", records, self._repetitions.get(section.algorithm, 0))
            found[section.algorithm] = {
                record.id: SecondAnswers(tuple(first), tuple(second))
                for record, first, second in zip(records, perturbed, again, strict=True)
            }
        for section in self._sentences:
            told = zip(records, self._read(_SENTENCES, records, 2), strict=True)
            found[section.algorithm] = {
                record.id: SecondAnswers(sentences=tuple(pair)) for record, pair in told if _sentences(section, record)
            }
        return found

    def _pairs(self, section: AlgorithmSection, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            for number, text in enumerate(_sentences(section, record)):
                yield _anew(record, number).model_copy(update={"model_input": text})

    def _repeat(
        self, section: AlgorithmSection, records: Callable[[], Iterable[Record]], first: KeptResponses, ask: Ask
    ) -> int:
        """Ask the same again, of a model that does not always say the same; how often."""
        some = list(islice(records(), STEADY_RECORDS))
        prefix = f"{self._prefix}again/"
        ask((_anew(record, 0) for record in some), prefix)
        self._keep("again")
        said = [answers[0] for answers in self._read("again", some, 1)]
        texts = [(a.text, b.text) for a, b in zip(first.of(some), said, strict=True) if a is not None and b is not None]
        if all(a == b for a, b in texts if a is not None and b is not None):
            return 0
        count = int(section.settings["num_baseline_samples"]) - 1
        ask((_anew(record, number) for record in records() for number in range(count)), prefix)
        return count

    def _perturbed(self, section: AlgorithmSection, records: Iterable[Record]) -> Iterator[Record]:
        perturbations = self._perturbations[section.algorithm]
        for record in records:
            for number, text in enumerate(perturbations.of(record.id, record.model_input)):
                yield _anew(record, number).model_copy(update={"model_input": text})

    def _keep(self, name: str) -> None:
        self._files += 1
        file = self._folder / f"second-{self._files}.jsonl"
        self._kept[name] = self._exit.enter_context(KeptResponses(self._objects, f"{self._prefix}{name}/", file))

    def _read(self, name: str, records: Sequence[Record], count: int) -> Iterator[list[Response | None]]:
        if not count:
            return ([] for _ in records)
        found = self._kept[name].of([_anew(record, number) for record in records for number in range(count)])
        return (found[start : start + count] for start in range(0, len(found), count))


def _sentences(section: AlgorithmSection, record: Record) -> list[str]:
    """The more and the less stereotypical sentence of a record; empty where it lacks one."""
    columns = record.columns | {"model_input": record.model_input, "target_output": record.target_output}
    pair = [columns.get(str(section.settings[key])) for key in ("more_key", "less_key")]
    return [text for text in pair if text] if all(pair) else []


def _anew(record: Record, number: int) -> Record:
    return record.model_copy(update={"id": f"{record.id}#{number}"})
