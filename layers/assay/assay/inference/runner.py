"""Asks a model every record of a catalog: many at a time, each with its own deadline, and nothing lost on the way."""

from __future__ import annotations

import heapq
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from assay.contracts.catalog import Record
from assay.contracts.results import Failure, Response
from assay.inference.asking import PART_RESPONSES, InterruptedAskError, ResponseStore, answered, failed
from assay.inference.budget import Budget, Tariff
from assay.inference.errors import ModelCallError, ThrottledError, UnavailableError, UnforeseenError
from assay.inference.interruption import Interruption, signals_wait
from assay.inference.model import Answer, Model
from assay.inference.pacing import AdaptiveLimit, Patience, backoff_seconds

__all__ = ["Answer", "AskSummary", "Limits", "Model", "ask_all"]

PART_SECONDS: Final = 2.0
UNWRITTEN_RESPONSES: Final = 2 * PART_RESPONSES
OUTSTANDING: Final = 4
"""Records that were asked and not settled, at most, as a multiple of the concurrency: those in flight, and three times
as many that wait for their next attempt."""
STOP_SECONDS = 20.0
STUCK_SECONDS = 30.0
_POLL_SECONDS: Final = 0.1

logger = logging.getLogger(__name__)


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
        spent_usd: what the budget was charged; None without a budget.
    """

    records: int
    resumed: int
    answered: int
    failed: int
    errors: dict[str, int]
    requests: int
    lowest_concurrency: int
    wall_seconds: float
    spent_usd: float | None = None


def ask_all(
    records: Iterable[Record],
    *,
    model: Model,
    prompt_of: Callable[[Record], str],
    store: ResponseStore,
    limits: Limits,
    tariff: Tariff | None = None,
    budget: Budget | None = None,
    until: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] | None = None,
    rng: random.Random | None = None,
) -> AskSummary:
    """Ask every record that has no answer yet, and keep each response in the store as it comes.

    Every record ends with an answer or with a failure that says why; a failure of one is never an exception here.
    Records are taken from the iterable one by one as there is room, so memory does not grow with the catalog (but for
    what the store needs to know the records answered before).

    What is promised when the process is killed at any point: a record whose answer the store has kept is never asked
    again, and none is lost. Asked again are the requests that were in flight, at most `limits.concurrency`, and the
    answers that were not written yet: none older than 2 s and the time that the store takes to write a part, and at
    most 1,500 (a part of 500 that is being written, and 1,000 after which nobody is asked until it is).

    Args:
        prompt_of: the text to send for a record.
        tariff: prices of the model, by which each response gets its cost.
        budget: what may be spent at these prices; records that it is too small for fail, unasked, with the kind
            `BudgetExceeded`.
        until: by the clock, when asking must be over; `limits.evaluate_seconds` from now when None.
        clock: seconds that only grow.
        sleep: waits between attempts; by default a wait ends early when the run is stopped.
        rng: jitter of the waits.

    Raises:
        InterruptedAskError: SIGTERM or SIGINT came and its handler returned. What was answered is in the store.
        Exception: whatever `records`, `prompt_of` or the store raise, after keeping what was answered.
    """
    started = clock()
    if budget is not None:
        if tariff is None:
            raise ValueError("a budget is held by prices, and there are none")
        budget.begin(started)
    run = _Run(
        records=iter(records),
        resumable=store.answered(),
        model=model,
        prompt_of=prompt_of,
        store=store,
        limits=limits,
        tariff=tariff,
        budget=budget,
        clock=clock,
        sleep=sleep,
        rng=rng or random.Random(),  # noqa: S311 - jitter is no secret
        end=started + limits.evaluate_seconds if until is None else until,
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
        spent_usd=None if budget is None else budget.spent_usd,
    )


@dataclass(slots=True, eq=False)
class _Task:
    """One record on its way: first in flight, then settled with a response, or due again at some time."""

    record: Record
    prompt: str = ""
    attempts: int = 0
    in_vain: int = 0
    begun: float | None = None
    end: float = 0.0
    sent_in: int = 0
    worst_usd: float = 0.0
    ended: Literal["answered", "throttled", "failed", "unsent"] = "unsent"
    answer: Answer | None = None
    last: ModelCallError | None = None
    response: Response | None = None
    due: float = 0.0

    def __lt__(self, other: _Task) -> bool:
        return self.due < other.due


@dataclass
class _Run:
    """Workers ask; each gives back a task and takes the next under one lock. The calling thread alone writes.

    Everything that is marked as shared is read and written under the lock only. A worker that has nothing to do waits
    for `_changed`; the calling thread waits for `_written_next`.
    """

    records: Iterator[Record]
    resumable: Container[str]
    model: Model
    prompt_of: Callable[[Record], str]
    store: ResponseStore
    limits: Limits
    tariff: Tariff | None
    budget: Budget | None
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
        self._patience = Patience()
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        self._written_next = threading.Condition(lock)
        self._stopped = False
        self._exhausted = False
        self._workers = 0
        self._in_flight = 0
        self._waiting = 0
        self._retries: list[_Task] = []
        self._unsettled: dict[str, _Task] = {}
        self._done: list[Response] = []
        self._done_since = 0.0
        self._error: BaseException | None = None

    def carry_out(self, interruption: Interruption) -> None:
        """Run to the end, to an interruption or to an error; in each case everything answered is in the store."""
        self._workers = self.limits.concurrency
        for number in range(self.limits.concurrency):
            threading.Thread(target=self._work, name=f"ask-{number}", daemon=True).start()
        try:
            while self._workers and not interruption and not self._stopped:
                self._keep(self._wait_for_part())
                if self.clock() > self.end + STUCK_SECONDS:
                    self._abandon()
                    break
        finally:
            self._stop()
            self._keep(self._take_done())
            for _ in range(int(STOP_SECONDS / _POLL_SECONDS)):
                with self._changed:
                    if self._workers == 0 or not self._unsettled:
                        break
                    self._written_next.wait(_POLL_SECONDS)
            self._keep(self._take_done())
        if self._error is not None:
            raise self._error

    def _wait_for_part(self) -> list[Response]:
        """Wait a little; the responses to be written, none while they are few and young."""
        with self._changed:
            if self._workers and not self._stopped and len(self._done) < PART_RESPONSES:
                self._written_next.wait(_POLL_SECONDS)
            now = self.clock()
            if len(self._done) < PART_RESPONSES and (not self._done or now - self._done_since < PART_SECONDS):
                return []
            if len(self._done) >= UNWRITTEN_RESPONSES:
                self._changed.notify_all()
            part, self._done = self._done[:PART_RESPONSES], self._done[PART_RESPONSES:]
            self._done_since = now
            return part

    def _take_done(self) -> list[Response]:
        with self._changed:
            done, self._done = self._done, []
            return done

    def _keep(self, responses: list[Response]) -> None:
        """Write responses, in parts, and count them."""
        for start in range(0, len(responses), PART_RESPONSES):
            part = responses[start : start + PART_RESPONSES]
            self.store.append(part)
            for response in part:
                self.requests += response.attempts
                if response.failure is None:
                    self.answered += 1
                else:
                    self.errors[response.failure.kind] += 1

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _abandon(self) -> None:
        """Settle what a model never lets go of, and what was not taken up because of it; a thread cannot be ended."""
        self._stop()
        reason = f"the model gave no sign of life {STUCK_SECONDS:g} s after the time for the evaluation was over"
        failure = Failure(kind="DeadlineExceeded", reason=reason)
        with self._changed:
            left = list(self._unsettled.values())
            self._unsettled.clear()
        self._keep(self._take_done())
        part = []
        for record in (*(task.record for task in left), *iter(self._next_record, None)):
            part.append(_failed(_Task(record), failure))
            if len(part) == PART_RESPONSES:
                self._keep(part)
                part = []
        self._keep(part)

    def _work(self) -> None:
        try:
            task = self._exchange(None)
            while task is not None:
                self._attempt(task)
                task = self._exchange(task)
        except BaseException as error:  # noqa: BLE001 - handed to the calling thread, which raises it
            self._error = error
            self._stop()
        finally:
            with self._changed:
                self._workers -= 1
                self._changed.notify_all()
                self._written_next.notify()

    def _exchange(self, ended: _Task | None) -> _Task | None:
        """Give a task back and take the next, as soon as there is one; None when there will be none."""
        with self._changed:
            if ended is not None:
                self._close(ended)
            while not self._stopped:
                due_in = None
                if self._in_flight < self.pace.limit and len(self._done) < UNWRITTEN_RESPONSES:
                    now = self.clock()
                    task = self._next_task(now)
                    if task is not None:
                        self._in_flight += 1
                        task.sent_in = self.pace.round
                        if self._waiting and self._in_flight < self.pace.limit:
                            self._changed.notify()
                        return task
                    if self._exhausted and not self._retries:
                        return None
                    due_in = self._retries[0].due - now if self._retries else None
                self._wait(due_in)
            return None

    def _wait(self, seconds: float | None) -> None:
        """Let go of the lock until something changes, or the time is over."""
        if seconds is not None and self.sleep is not None:
            self._changed.release()
            try:
                self.sleep(seconds)
            finally:
                self._changed.acquire()
            return
        self._waiting += 1
        try:
            self._changed.wait(seconds)
        finally:
            self._waiting -= 1

    def _next_task(self, now: float) -> _Task | None:
        """What is due to be asked again, or else a new record while not too many are on their way."""
        if self._retries and self._retries[0].due <= now:
            return heapq.heappop(self._retries)
        if self._exhausted or len(self._unsettled) >= OUTSTANDING * self.limits.concurrency:
            return None
        record = self._next_record()
        if record is None:
            return None
        task = _Task(record)
        self._unsettled[record.id] = task
        return task

    def _next_record(self) -> Record | None:
        for record in self.records:
            if record.id not in self.resumable:
                return record
            self.resumed += 1
        self._exhausted = True
        return None

    def _close(self, task: _Task) -> None:
        """Note how an attempt ended: for the pace, for the record, and for who waits."""
        self._in_flight -= 1
        match task.ended:
            case "answered":
                self.pace.answered(task.sent_in)
                if task.answer is not None and task.answer.latency_ms is not None:
                    self._patience.answered(task.answer.latency_ms / 1000)
            case "throttled":
                self.pace.throttled(task.sent_in)
        if task.response is None:
            heapq.heappush(self._retries, task)
        elif self._unsettled.pop(task.record.id, None) is not None:
            now = self.clock()
            if not self._done:
                self._done_since = now
            self._done.append(task.response)
            if len(self._done) == PART_RESPONSES or now - self._done_since >= PART_SECONDS:
                self._written_next.notify()
        if self.budget is not None and self.tariff is not None and task.ended != "unsent":
            free = task.ended == "throttled"
            usd = 0.0 if free else None if task.answer is None else self.tariff.usd(task.answer)
            self.budget.settle(task.worst_usd, usd)
            self._changed.notify_all()

    def _attempt(self, task: _Task) -> None:
        """Send one request, and leave in the task a response or the time to try again."""
        now = self.clock()
        if task.begun is None:
            task.begun = now
            task.prompt = self.prompt_of(task.record)
            task.end = min(self.end, now + self.limits.request_seconds)
        task.ended, task.answer = "unsent", None
        if now >= task.end:
            task.response = _failed(task, self._late(task))
            return
        if self.budget is not None and self.tariff is not None and not self._pay(self.budget, self.tariff, task):
            reason = f"the budget of {self.budget.usd:g} USD for this model does not cover one more request"
            task.response = _failed(task, Failure(kind="BudgetExceeded", reason=reason))
            return
        task.attempts += 1
        outcome = self._send(task, min(task.end - now, self._patience.seconds(task.in_vain)))
        if isinstance(outcome, Answer):
            task.answer = outcome
            task.response = answered(task.record.id, task.prompt, outcome, self.tariff, attempts=task.attempts)
            return
        task.last = outcome
        if not isinstance(outcome, ThrottledError | UnavailableError):
            task.response = _failed(task, Failure(kind=outcome.kind, reason=outcome.reason))
            return
        now = self.clock()
        task.due = now + max(backoff_seconds(task.attempts, self.rng), outcome.retry_after_seconds or 0.0)
        if task.due >= task.end:
            task.response = _failed(task, self._late(task))

    def _pay(self, budget: Budget, tariff: Tariff, task: _Task) -> bool:
        """Set the cost of a request aside, waiting for those under way where theirs may be less than was set aside."""
        task.worst_usd = tariff.worst_usd(task.prompt)
        with self._changed:
            while not self._stopped:
                if budget.reserve(task.worst_usd, task.end):
                    return True
                if budget.idle:
                    return False
                self._changed.wait(_POLL_SECONDS)
        return False

    def _send(self, task: _Task, seconds: float) -> Answer | ModelCallError:
        started = self.clock()
        task.ended = "failed"
        try:
            answer = self.model.ask(task.prompt, deadline_seconds=seconds)
        except ThrottledError as error:
            task.ended = "throttled"
            return error
        except UnavailableError as error:
            task.in_vain += self.clock() - started >= seconds
            return error
        except ModelCallError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one record that trips a provider must not end the evaluation
            # The message and the traceback may quote a prompt or a response, so only the type is kept.
            kind = type(error).__name__
            logger.error("A model's provider raised an unforeseen error", extra={"error": kind})  # noqa: TRY400
            return UnforeseenError(f"the provider raised {kind}")
        task.ended = "answered"
        return answer

    def _late(self, task: _Task) -> Failure:
        if task.last is None:
            reason = f"the evaluation's {self.limits.evaluate_seconds:g} s were over before this record was asked"
            return Failure(kind="DeadlineExceeded", reason=reason)
        return Failure(kind=task.last.kind, reason=f"{task.last.reason} (given up after {task.attempts} requests)")


def _failed(task: _Task, failure: Failure) -> Response:
    request_id = None if task.last is None else task.last.request_id
    return failed(task.record.id, task.prompt, failure, attempts=task.attempts, request_id=request_id)
