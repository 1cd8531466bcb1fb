"""Asks a model every record of a catalog: many at a time, each with its own deadline, and nothing lost on the way."""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from assay.contracts.catalog import Record
from assay.contracts.errors import AssayError
from assay.contracts.results import Failure, Response
from assay.inference.errors import ModelCallError, ThrottledError, UnavailableError, UnforeseenError
from assay.inference.interruption import Interruption, signals_wait
from assay.inference.pacing import AdaptiveLimit, Permit, backoff_seconds

PART_RESPONSES = 200
PART_SECONDS = 5.0
STOP_SECONDS = 20.0
STUCK_SECONDS = 30.0
_POLL_SECONDS = 0.1

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What a model said to one request. What its service does not tell is None, and is never guessed.

    Attributes:
        latency_ms: milliseconds that this one request took.
        input_tokens, output_tokens: as the service counted them.
        cost_usd: only where the service itself tells the price; else the runner's prices make it of the tokens.
        finish_reason: why the model stopped, in the service's word.
        request_id: the service's id of the request.
    """

    text: str
    latency_ms: float
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    finish_reason: str | None = None
    request_id: str | None = None


class Model(Protocol):
    """A model that can be asked, from many threads at once."""

    def ask(self, prompt: str, *, deadline_seconds: float) -> Answer:
        """Send one request; do not try again.

        Raises:
            ThrottledError: the service has too much to do.
            UnavailableError: asking again may help; also when `deadline_seconds` pass with no answer.
            ModelCallError: any other; asking again would not help.
        """
        ...


class ResponseStore(Protocol):
    """Where responses are kept as they come."""

    def append(self, responses: list[Response], /) -> None:
        """Keep these responses, for good."""
        ...

    def answered(self) -> set[str]:
        """Ids of the records that have an answer already."""
        ...


class Limits(Protocol):
    """Bounds of one run; `LimitsSection` of a config is one.

    Attributes:
        concurrency: requests in flight, at most.
        request_seconds: time of one record with its retries, from its first request.
        evaluate_seconds: time of the whole run.
    """

    @property
    def concurrency(self) -> int: ...
    @property
    def request_seconds(self) -> float: ...
    @property
    def evaluate_seconds(self) -> float: ...


@dataclass(frozen=True)
class AskSummary:
    """How a run ended. records = resumed + answered + failed.

    Attributes:
        resumed: records that an earlier run had answered.
        errors: number of failed records by kind of failure.
        requests: requests sent, retries included.
        lowest_concurrency: where throttling pushed the requests in flight to.
    """

    records: int
    resumed: int
    answered: int
    failed: int
    errors: dict[str, int]
    requests: int
    lowest_concurrency: int
    wall_seconds: float


class InterruptedAskError(AssayError):
    """The process was told to stop and has kept every response that it had; ask again to go on from there."""


def ask_all(
    records: Iterable[Record],
    *,
    model: Model,
    prompt_of: Callable[[Record], str],
    store: ResponseStore,
    limits: Limits,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] | None = None,
    rng: random.Random | None = None,
) -> AskSummary:
    """Ask every record that has no answer yet, and keep each response in the store as it comes.

    Every record ends with an answer or with a failure that says why; a failure of one is never an exception here.
    Records are taken from the iterable one by one as there is room, so memory does not grow with the catalog (but for
    the ids of those answered before).

    Args:
        prompt_of: the text to send for a record.
        clock: seconds that only grow.
        sleep: waits between attempts; by default it ends early when the run is stopped.
        rng: jitter of the waits.

    Raises:
        InterruptedAskError: SIGTERM or SIGINT came and its handler returned. What was answered is in the store.
        Exception: whatever `records`, `prompt_of` or the store raise, after keeping what was answered.
    """
    started = clock()
    run = _Run(
        records=iter(records),
        resumable=store.answered(),
        model=model,
        prompt_of=prompt_of,
        store=store,
        limits=limits,
        clock=clock,
        sleep=sleep,
        rng=rng or random.Random(),  # noqa: S311 - jitter is no secret
        end=started + limits.evaluate_seconds,
    )
    with signals_wait() as interruption:
        run.carry_out(interruption)
    if interruption:
        raise InterruptedAskError("told to stop before every record was asked")
    return AskSummary(
        records=run.resumed + run.answered + sum(run.errors.values()),
        resumed=run.resumed,
        answered=run.answered,
        failed=sum(run.errors.values()),
        errors=dict(run.errors),
        requests=run.requests,
        lowest_concurrency=run.pace.lowest,
        wall_seconds=clock() - started,
    )


@dataclass
class _Run:
    """Workers take records, ask, and queue responses; the calling thread alone counts them and writes them."""

    records: Iterator[Record]
    resumable: set[str]
    model: Model
    prompt_of: Callable[[Record], str]
    store: ResponseStore
    limits: Limits
    clock: Callable[[], float]
    sleep: Callable[[float], None] | None
    rng: random.Random
    end: float
    resumed: int = 0
    answered: int = 0
    requests: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    pace: AdaptiveLimit = field(init=False)

    def __post_init__(self) -> None:
        self.pace = AdaptiveLimit(self.limits.concurrency)
        self._stop = threading.Event()
        self._pause: Callable[[float], object] = self.sleep or self._stop.wait
        self._lock = threading.Lock()
        # None says that a worker has ended. The bound makes workers wait for a slow store instead of filling memory.
        self._results: queue.Queue[Response | None] = queue.Queue(maxsize=2 * PART_RESPONSES)
        self._unsettled: dict[str, Record] = {}
        self._pending: list[Response] = []
        self._pending_since = 0.0
        self._error: BaseException | None = None

    def carry_out(self, interruption: Interruption) -> None:
        """Run to the end, to an interruption or to an error; in each case everything answered is in the store."""
        for number in range(self.limits.concurrency):
            threading.Thread(target=self._work, name=f"ask-{number}", daemon=True).start()
        running = self.limits.concurrency
        try:
            while running and not interruption and not self._stop.is_set():
                running -= self._receive()
                if self.clock() > self.end + STUCK_SECONDS:
                    self._abandon()
                    running = 0
        finally:
            self._stop.set()
            self.pace.close()
            self._flush()
            for _ in range(int(STOP_SECONDS / _POLL_SECONDS)):
                if not running:
                    break
                running -= self._receive()
            self._flush()
        if self._error is not None:
            raise self._error

    def _receive(self) -> bool:
        """Wait a little for one result. Whether it was the end of a worker."""
        try:
            result = self._results.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            result, ended = None, False
        else:
            ended = result is None
        if result is not None:
            self._settle(result)
        if len(self._pending) >= PART_RESPONSES or self.clock() - self._pending_since >= PART_SECONDS:
            self._flush()
        return ended

    def _settle(self, response: Response) -> None:
        with self._lock:
            if self._unsettled.pop(response.record_id, None) is None:
                return
        if not self._pending:
            self._pending_since = self.clock()
        self._pending.append(response)
        self.requests += response.attempts
        if response.failure is None:
            self.answered += 1
        else:
            self.errors[response.failure.kind] += 1

    def _flush(self) -> None:
        if self._pending:
            self.store.append(list(self._pending))
            self._pending.clear()

    def _abandon(self) -> None:
        """Settle what a model never lets go of, and what was not taken up because of it; a thread cannot be ended."""
        while not self._results.empty():
            self._receive()
        reason = f"the model gave no sign of life {STUCK_SECONDS:g} s after the time for the evaluation was over"
        for record in chain(list(self._unsettled.values()), iter(self._next_record, None)):
            self._settle(_failed(record, "", 0, Failure(kind="DeadlineExceeded", reason=reason)))
            if len(self._pending) >= PART_RESPONSES:
                self._flush()

    def _work(self) -> None:
        try:
            while not self._stop.is_set() and (record := self._next_record()) is not None:
                if (response := self._ask(record)) is not None:
                    self._results.put(response)
        except BaseException as error:  # noqa: BLE001 - handed to the calling thread, which raises it
            self._error = error
            self._stop.set()
            self.pace.close()
        finally:
            self._results.put(None)

    def _next_record(self) -> Record | None:
        with self._lock:
            for record in self.records:
                if record.id in self.resumable:
                    self.resumed += 1
                    continue
                self._unsettled[record.id] = record
                return record
        return None

    def _ask(self, record: Record) -> Response | None:
        """Ask until there is an answer or a reason; None when the run is stopped first."""
        prompt = self.prompt_of(record)
        attempts = 0
        end = self.end
        last: ModelCallError | None = None
        while True:
            with self.pace.permit() as permit:
                if permit is None:
                    return None
                now = self.clock()
                if attempts == 0:
                    end = min(self.end, now + self.limits.request_seconds)
                if now >= end:
                    return _failed(record, prompt, attempts, self._late(last, attempts))
                attempts += 1
                outcome = self._send(prompt, end - now, permit)
            if isinstance(outcome, Answer):
                return Response(
                    record_id=record.id,
                    text=outcome.text,
                    latency_ms=outcome.latency_ms,
                    attempts=attempts,
                    prompt=prompt,
                    input_tokens=outcome.input_tokens,
                    output_tokens=outcome.output_tokens,
                    cost_usd=outcome.cost_usd,
                    finish_reason=outcome.finish_reason,
                    request_id=outcome.request_id,
                )
            last = outcome
            if not isinstance(outcome, ThrottledError | UnavailableError):
                return _failed(record, prompt, attempts, Failure(kind=outcome.kind, reason=outcome.reason))
            pause = backoff_seconds(attempts, self.rng)
            if self.clock() + pause >= end:
                return _failed(record, prompt, attempts, self._late(last, attempts))
            self._pause(pause)

    def _send(self, prompt: str, seconds: float, permit: Permit) -> Answer | ModelCallError:
        try:
            answer = self.model.ask(prompt, deadline_seconds=seconds)
        except ThrottledError as error:
            permit.ended = "throttled"
            return error
        except ModelCallError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one record that trips a provider must not end the evaluation
            # The message and the traceback may quote a prompt or a response, so only the type is kept.
            kind = type(error).__name__
            logger.error("A model's provider raised an unforeseen error", extra={"error": kind})  # noqa: TRY400
            return UnforeseenError(f"the provider raised {kind}")
        permit.ended = "answered"
        return answer

    def _late(self, last: ModelCallError | None, attempts: int) -> Failure:
        if last is None:
            reason = f"the evaluation's {self.limits.evaluate_seconds:g} s were over before this record was asked"
            return Failure(kind="DeadlineExceeded", reason=reason)
        return Failure(kind=last.kind, reason=f"{last.reason} (given up after {attempts} requests)")


def _failed(record: Record, prompt: str, attempts: int, failure: Failure) -> Response:
    return Response(record_id=record.id, text=None, latency_ms=None, attempts=attempts, prompt=prompt, failure=failure)
