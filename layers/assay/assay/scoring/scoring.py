"""Scores the responses of one model by every algorithm of a config: batch by batch, on all cores where that pays."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from types import TracebackType

import pyarrow as pa

from assay.contracts.catalog import Record
from assay.contracts.config import AlgorithmSection
from assay.contracts.results import DatasetScore, Failure, Response
from assay.scoring.assets import Assets, Folders
from assay.scoring.columns import AlgorithmScores, columns_of, no_answer, table_of
from assay.scoring.score_files import SCHEMA
from assay.scoring.scorer import Sample, Scorer, make_scorer

_SLICE_RECORDS = 250
# A pool costs the imports of its workers, and each response its way there and back. Below these it does not pay.
_POOL_SECONDS = 10.0
_POOL_SECONDS_PER_RECORD = 100e-6


@dataclass(frozen=True)
class SecondAnswers:
    """What a model answered when an algorithm had it asked more than once about a record.

    Attributes:
        perturbed: to perturbed inputs, in order.
        again: to the same input, asked anew.
        judgements: what a judge said of its answer.
        sentences: to texts whose log-probabilities were asked for, in order.
    """

    perturbed: tuple[Response | None, ...] = ()
    again: tuple[Response | None, ...] = ()
    judgements: tuple[Response | None, ...] = ()
    sentences: tuple[Response | None, ...] = ()


Second = Mapping[str, Mapping[str, SecondAnswers]]
"""Second answers by algorithm and record id."""


class Scoring:
    """Scores responses by the algorithms of a config. Use it as a context, which ends its processes.

    Args:
        algorithms: as the config names them.
        assets: finds the folders that they name; folders of this machine by default.
        labels: the different expected answers of the catalog, where an algorithm needs the catalog (`labels_of`).
        records: how many there will be, to judge whether a pool of processes pays; unknown means one process.
        processes: how many may score; every core by default.
        make: makes the scorer of an algorithm.

    Raises:
        MissingAssetError: an algorithm needs a folder or a package that is not there.
    """

    def __init__(
        self,
        algorithms: Sequence[AlgorithmSection],
        *,
        assets: Assets | None = None,
        labels: Iterable[str] = (),
        records: int | None = None,
        processes: int | None = None,
        make: Callable[[AlgorithmSection, Assets, Iterable[str]], Scorer] = make_scorer,
    ) -> None:
        self._labels = tuple(labels)
        self._assets = assets or Folders()
        self._make = make
        self._algorithms = [
            _Scored(section, make(section, self._assets, self._labels), index)
            for index, section in enumerate(algorithms)
        ]
        self._records = records
        self._processes = processes if processes is not None else _cores()
        self._done = 0
        self._pool: ProcessPoolExecutor | None = None
        self._exit = ExitStack()

    def __enter__(self) -> Scoring:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _t: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        self._exit.close()
        self._pool = None

    def score(self, pairs: Sequence[tuple[Record, Response | None]], second: Second | None = None) -> pa.Table:
        """The scores of a batch, by the schema of `score_files.SCHEMA`: for each record and score a value or an error.

        `NoAnswer` stands where the model did not answer, `ScoringFailed` where the algorithm raised. Memory holds the
        batch.

        Args:
            pairs: records with their responses; None for one that was not asked.
            second: for algorithms that need second answers.
        """
        if not pairs:
            return SCHEMA.empty_table()
        self._start_pool_if_it_pays()
        tables = []
        ids = [record.id for record, _ in pairs]
        pending = [(item, self._begin(item, samples_of(item, pairs, second or {}))) for item in self._algorithms]
        for item, results in pending:
            for scores, offset, count in results:
                item.take(scores)
                tables.append(table_of(ids[offset : offset + count], item.section.known, scores))
        self._done += len(pairs)
        return pa.concat_tables(tables) if tables else SCHEMA.empty_table()

    def dataset_scores(self) -> list[DatasetScore]:
        """The scores of the whole catalog, of everything that was scored so far."""
        return [score for item in self._algorithms for score in item.dataset_scores()]

    def _begin(self, item: _Scored, samples: Sequence[Sample | str]) -> Iterable[tuple[AlgorithmScores, int, int]]:
        if self._pool is None or item.alone or item.seconds_each < _POOL_SECONDS_PER_RECORD:
            return [(item.score(samples), 0, len(samples))]
        pool = self._pool
        slices = [(start, samples[start : start + _SLICE_RECORDS]) for start in range(0, len(samples), _SLICE_RECORDS)]
        futures = [(pool.submit(_score_in_worker, item.index, part), start, len(part)) for start, part in slices]
        return ((future.result(), start, count) for future, start, count in futures)

    def _start_pool_if_it_pays(self) -> None:
        if self._pool is not None or self._processes < 2 or self._records is None or not self._done:
            return
        shared = [item for item in self._algorithms if not item.alone]
        each = sum(item.seconds_each for item in shared if item.seconds_each >= _POOL_SECONDS_PER_RECORD)
        if each * (self._records - self._done) < _POOL_SECONDS:
            return
        # Not fork: threads that ask a model or answer for boto3 may hold locks that a copy would wait for forever.
        sections = {item.index: item.section for item in shared}
        self._pool = self._exit.enter_context(
            ProcessPoolExecutor(
                self._processes,
                mp_context=get_context("spawn"),
                initializer=_begin_worker,
                initargs=(sections, self._assets, self._labels, self._make),
            )
        )


def needs_catalog(algorithms: Iterable[AlgorithmSection]) -> bool:
    """Whether an algorithm needs to know every expected answer (`labels_of`) before it scores."""
    return any("catalog" in section.known.needs for section in algorithms)


def needs_second_answers(algorithms: Iterable[AlgorithmSection]) -> bool:
    """Whether an algorithm needs the model to be asked again (`SecondAnswers`)."""
    return any(not section.known.needs.isdisjoint(("second_answers", "log_probabilities")) for section in algorithms)


def labels_of(records: Iterable[Record]) -> tuple[str, ...]:
    """The different expected answers, in order of appearance. Memory holds them."""
    return tuple(dict.fromkeys(record.target_output for record in records))


def samples_of(item: _Scored, pairs: Sequence[tuple[Record, Response | None]], second: Second) -> list[Sample | str]:
    """What an algorithm scores: a sample for each answered record, the error of each other."""
    known = item.section.known
    more = None if known.needs.isdisjoint(_COMPLETED) else second.get(known.name, {})
    samples: list[Sample | str] = []
    for record, response in pairs:
        error = no_answer(response)
        if error is not None or response is None or response.text is None:
            samples.append(error or "")
        elif more is None:
            samples.append(Sample(record, response.text))
        else:
            complete = next(function for need, function in _COMPLETED.items() if need in known.needs)
            samples.append(complete(record, response.text, more.get(record.id, SecondAnswers())))
    return samples


def _with_second(record: Record, text: str, answers: SecondAnswers) -> Sample | str:
    if not answers.perturbed:
        return "NoAnswer: its perturbed inputs were not asked"
    texts: list[tuple[str, ...]] = []
    for what, responses in (("perturbed input", answers.perturbed), ("repetition", answers.again)):
        for number, response in enumerate(responses):
            if (error := no_answer(response)) is not None:
                return f"{error} ({what} {number + 1})"
        texts.append(tuple(response.text or "" for response in responses if response is not None))
    return Sample(record, text, perturbed=texts[0], again=texts[1])


def _judged(record: Record, text: str, answers: SecondAnswers) -> Sample | str:
    if not answers.judgements:
        return "NoJudgement: there was nothing to judge, or no answer of the rival to compare with"
    for response in answers.judgements:
        if response is None:
            return "NoJudgement: the judge was not asked"
        if response.text is None:
            failure = response.failure or Failure(kind="Unknown", reason="no reason is known")
            return f"NoJudgement: {failure.kind}: {failure.reason}"
    return Sample(record, text, judgements=tuple(item.text or "" for item in answers.judgements if item is not None))


def _with_sentences(record: Record, text: str, answers: SecondAnswers) -> Sample | str:
    if not answers.sentences:
        return "NoAnswer: its sentences were not put to the model, or the record has none"
    for number, response in enumerate(answers.sentences, start=1):
        if (error := no_answer(response)) is not None:
            return f"{error} (sentence {number})"
    told = tuple(item.log_probability for item in answers.sentences if item is not None)
    if any(value is None for value in told):
        return "NoAnswer: the reply told no log-probability; `evaluation_config.log_probability` says where it is"
    return Sample(record, text, log_probabilities=tuple(value for value in told if value is not None))


_COMPLETED: dict[str, Callable[[Record, str, SecondAnswers], Sample | str]] = {
    "second_answers": _with_second,
    "judge": _judged,
    "log_probabilities": _with_sentences,
}


class _Scored:
    """One algorithm of the config, and what it has seen so far."""

    def __init__(self, section: AlgorithmSection, scorer: Scorer, index: int) -> None:
        self.section = section
        self.index = index
        self.known = section.known
        # Models use every core by themselves, and would lie in the memory of every process.
        self.alone = any(item.kind == "location" and section.settings[item.name] for item in self.known.parameters)
        self._scorer = scorer
        self._tally = scorer.tally()
        self._taken = 0
        self._seconds = 0.0
        self._timed = 0

    @property
    def seconds_each(self) -> float:
        """What a response cost so far in this process."""
        return self._seconds / self._timed if self._timed else 0.0

    def score(self, samples: Sequence[Sample | str]) -> AlgorithmScores:
        started = time.perf_counter()
        scores = columns_of(self.known, self._scorer, samples)
        self._seconds += time.perf_counter() - started
        self._timed += len(samples)
        return scores

    def take(self, scores: AlgorithmScores) -> None:
        """Let the tally see what was scored."""
        self._taken += len(scores.evidence)
        if self._tally is not None:
            for evidence in scores.evidence:
                self._tally.add(evidence)

    def dataset_scores(self) -> Iterator[DatasetScore]:
        if self._tally is None:
            return
        values: Mapping[str, float] = {}
        error: str | None = "NoAnswer: no response was scored"
        if self._taken:
            try:
                values, error = self._tally.scores(), None
            except Exception as raised:  # noqa: BLE001 - as for a response
                error = f"ScoringFailed: {type(raised).__name__}: {raised}"
        for name in (*self.known.dataset_scores, *sorted(self.known.undirected & set(values))):
            yield DatasetScore(
                algorithm=self.known.name,
                score=name,
                direction=self.known.dataset_scores.get(name),
                value=values.get(name),
                n=self._taken,
                error=error if name in values or error else f"ScoringFailed: {self.known.name} gave no {name}",
            )


_WORKER: dict[int, tuple[AlgorithmSection, Scorer]] = {}


def _begin_worker(
    sections: Mapping[int, AlgorithmSection],
    assets: Assets,
    labels: tuple[str, ...],
    make: Callable[[AlgorithmSection, Assets, Iterable[str]], Scorer],
) -> None:
    _WORKER.update({index: (section, make(section, assets, labels)) for index, section in sections.items()})


def _score_in_worker(index: int, samples: Sequence[Sample | str]) -> AlgorithmScores:
    section, scorer = _WORKER[index]
    return columns_of(section.known, scorer, samples)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
