"""A judge as something that the runner asks: what it says is read at once, and asked for anew where it cannot be."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from assay.contracts.results import Response
from assay.inference.errors import ModelAnswerError, ThrottledError, UnavailableError
from assay.inference.model import Answer, Model
from assay.inference.store import Objects, PartStore, part_bodies, written_responses

ATTEMPTS = 3
_READERS = 16
_AGAIN = (
    "\n\nYour last reply was not the JSON object that is asked for: {why}. Reply with that object and nothing else."
)


AGAIN_BYTES = 300
"""How much longer a prompt is that asks anew, at most."""


class InvalidJudgementFailure(ModelAnswerError):  # noqa: N818 - its siblings' `Error` is of the request
    """The judge did not give a judgement that can be read, however often it was asked."""

    kind = "InvalidJudgement"


class Judge:
    """A model whose answers are judgements. Safe to share between threads, as the model is.

    Args:
        model: what is asked.
        read: raises ValueError with the reason where an answer is no judgement.
    """

    def __init__(self, model: Model, read: Callable[[str], object]) -> None:
        self._model = model
        self._read = read

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        """One judgement; tokens and costs are those of every reply that it took.

        Raises:
            InvalidJudgementFailure: three replies could not be read.
            ModelCallError: as the model does.
        """
        ends = time.monotonic() + deadline_seconds
        replies: list[Answer] = []
        asked = prompt
        for _ in range(ATTEMPTS):
            left = ends - time.monotonic()
            if left <= 0:
                raise UnavailableError(f"no judgement came within {deadline_seconds:g} s")
            try:
                replies.append(self._model.ask(asked, deadline_seconds=left))
            except ThrottledError as error:
                if not replies:
                    raise
                # A throttle counts as free of charge, and these replies were not.
                raise UnavailableError(
                    f"throttled after {len(replies)} replies that were no judgement",
                    retry_after_seconds=error.retry_after_seconds,
                ) from error
            try:
                self._read(replies[-1].text)
            except ValueError as error:
                asked = prompt + _AGAIN.format(why=error)
                continue
            return _together(replies)
        raise InvalidJudgementFailure(f"{ATTEMPTS} replies of the judge were no judgement")


@dataclass(frozen=True)
class Asked:
    """What a judge was asked by one evaluation.

    Attributes:
        judgements: that it was asked for; `failed` of them came to none.
        requests: sent, retries of the runner included.
        cost_usd: of those that did not fail; None where that of one is not known.
    """

    judgements: int
    failed: int
    requests: int
    cost_usd: float | None


class JudgementStore:
    """Judgements by the hash of what was asked: one object each, shared by models, evaluations and suites.

    Failures are kept for this run alone, so that they are asked anew by the next. What one evaluation asked, failures
    included, it keeps as its own as well: by that its costs are known after a restart.

    Args:
        objects: the bucket.
        prefix: of this judge, ending in `/`.
        own: below which the evaluation keeps what it asked itself, ending in `/`.
    """

    def __init__(self, objects: Objects, prefix: str, own: str) -> None:
        self._objects = objects
        self._prefix = prefix
        self._own_prefix = own
        self._own = PartStore(objects, own)
        self._failed: dict[str, Response] = {}
        self._known: set[str] | None = None

    def asked(self) -> Asked:
        """What the evaluation asked itself, in this run and in those before a restart."""
        failed: dict[str, bool] = {}
        requests, costs = 0, list[float | None]()
        for body in part_bodies(self._objects, self._own_prefix):
            for *_, response in written_responses(body):
                failed[response.record_id] = response.failure is not None
                requests += response.attempts
                if response.failure is None:
                    costs.append(response.cost_usd)
        known = [cost for cost in costs if cost is not None]
        return Asked(len(failed), sum(failed.values()), requests, sum(known) if len(known) == len(costs) else None)

    def append(self, responses: list[Response]) -> None:
        """Keep these judgements."""
        self._own.append(responses)
        self._failed.update({item.record_id: item for item in responses if item.failure is not None})
        judged = [item for item in responses if item.failure is None]
        with ThreadPoolExecutor(_READERS) as pool:
            list(pool.map(self._write, judged))
        self._there().update(item.record_id for item in judged)

    def answered(self) -> Container[str]:
        """What this judge was asked before."""
        return frozenset(self._there())

    def of(self, identifiers: list[str]) -> list[Response | None]:
        """The judgements, or why there is none; None for what was never asked."""
        known = self._there()
        with ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(lambda item: self._of(item, known), identifiers))

    def _of(self, identifier: str, known: Container[str]) -> Response | None:
        if identifier not in known:
            return self._failed.get(identifier)
        return Response.model_validate_json(self._objects.read(f"{self._prefix}{identifier}.json"))

    def _there(self) -> set[str]:
        if self._known is None:
            keys = self._objects.keys(self._prefix)
            self._known = {key.removeprefix(self._prefix).removesuffix(".json") for key in keys}
        return self._known

    def _write(self, response: Response) -> None:
        self._objects.write(f"{self._prefix}{response.record_id}.json", response.model_dump_json().encode())


def _together(replies: list[Answer]) -> Answer:
    def total(name: str) -> Any:
        values = [getattr(item, name) for item in replies]
        return None if any(value is None for value in values) else sum(values)

    return replace(
        replies[-1],
        input_tokens=total("input_tokens"),
        output_tokens=total("output_tokens"),
        cost_usd=total("cost_usd"),
    )
