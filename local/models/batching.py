"""Requests that wait are answered together: one pass over the weights serves many rows.

The oldest request is never passed over. Others join it when that does not make the pass longer: those that begin as it
does first (a shared few-shot prompt is computed once), then those of a similar length.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from local.models.payload import Completion, Parameters

LARGEST_BATCH = 16
GATHER_SECONDS = 0.01
CHEAP_TOKENS = 64
MOST_TOKENS = 16_384


@dataclass(frozen=True)
class Work:
    """One text to continue, as token ids."""

    tokens: tuple[int, ...]
    parameters: Parameters
    answer: Future[Completion] = field(default_factory=Future, compare=False)


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two texts begin with in common."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))


def choose_batch(waiting: Sequence[Work], largest: int = LARGEST_BATCH) -> list[Work]:
    """Return what is answered next: the oldest of `waiting`, and what goes well with it.

    A pass reads (rows x (longest text - common beginning)) tokens. Another text joins when it adds little to that,
    compared with what it would cost among those that begin as it does.
    """
    oldest, *others = waiting
    own = _own_lengths(waiting)
    shared = {id(work): shared_length(oldest.tokens, work.tokens) for work in others}
    others.sort(key=lambda work: (-shared[id(work)], abs(len(work.tokens) - len(oldest.tokens))))
    batch, longest = [oldest], len(oldest.tokens)
    prefix = longest - own[id(oldest)]
    for work in others:
        if len(batch) == largest:
            break
        next_prefix = min(prefix, shared[id(work)])
        next_longest = max(longest, len(work.tokens))
        added = (len(batch) + 1) * (next_longest - next_prefix) - len(batch) * (longest - prefix)
        room = next_longest + max(item.parameters.max_new_tokens for item in (*batch, work))
        if added > own[id(work)] + CHEAP_TOKENS or room * (len(batch) + 1) > MOST_TOKENS:
            continue
        batch.append(work)
        prefix, longest = next_prefix, next_longest
    return batch


def _own_lengths(waiting: Sequence[Work]) -> dict[int, int]:
    """Return how much of each text no other one begins with. In sorted order the most alike stand side by side."""
    ordered = sorted(waiting, key=lambda work: work.tokens)
    own = {id(work): len(work.tokens) for work in ordered}
    for left, right in itertools.pairwise(ordered):
        shared = shared_length(left.tokens, right.tokens)
        for work in (left, right):
            own[id(work)] = min(own[id(work)], len(work.tokens) - shared)
    return own


class Batcher:
    """A queue in front of `generate`, which takes a batch and returns one text for each of its rows, in order."""

    def __init__(self, generate: Callable[[list[Work]], list[Completion]]) -> None:
        self._generate = generate
        self._waiting: list[Work] = []
        self._arrived = threading.Condition()
        threading.Thread(target=self._serve, name="generate", daemon=True).start()

    def submit(self, work: Work) -> Future[Completion]:
        with self._arrived:
            self._waiting.append(work)
            self._arrived.notify()
        return work.answer

    def _serve(self) -> None:
        while True:
            batch = self._next()
            try:
                answers = self._generate(batch)
            except Exception as error:  # noqa: BLE001 - whoever asked is told; the server goes on
                for work in batch:
                    work.answer.set_exception(error)
                continue
            for work, answer in zip(batch, answers, strict=True):
                work.answer.set_result(answer)

    def _next(self) -> list[Work]:
        with self._arrived:
            self._arrived.wait_for(lambda: self._waiting)
            deadline = time.monotonic() + GATHER_SECONDS
            while len(self._waiting) < LARGEST_BATCH and time.monotonic() < deadline:
                if self._arrived.wait(deadline - time.monotonic()):
                    deadline = time.monotonic() + GATHER_SECONDS
            batch = choose_batch(self._waiting)
            chosen = {id(work) for work in batch}
            self._waiting = [work for work in self._waiting if id(work) not in chosen]
        return batch
