"""Asks a model a whole catalog by jobs: everything is handed over at once, and read when the service has done it.

What the runner promises holds here too: every record ends with an answer or with a failure that says why, and what is
kept is not asked again. A process that is killed and started again finds the jobs that it had started by their names.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

from assay.contracts.provider_sections import BATCH_LEAST_RECORDS
from assay.contracts.results import Failure, Response
from assay.inference.asking import PART_RESPONSES, InterruptedAskError, ResponseStore, answered, failed
from assay.inference.budget import Budget, Tariff
from assay.inference.errors import ModelCallError, ThrottledError, UnavailableError
from assay.inference.interruption import Interruption, signals_wait
from assay.inference.model import Answer
from assay.inference.spool import Spool

# What one job may hold: AWS's default quota of records, and well below its 1 GB of input.
JOB_RECORDS: Final = 50_000
JOB_BYTES: Final = 200_000_000
# How long a job that was stopped may take to end; its answers until then are paid for, and are read.
STOP_SECONDS: Final = 900.0
POLL_SECONDS: Final = (1.0, 60.0)
_POLL_SHARE: Final = 0.05

logger = logging.getLogger(__name__)

Ended = Literal["completed", "expired", "failed", "stopped"]


@dataclass(frozen=True)
class JobState:
    """How a job stands.

    Attributes:
        ended: None while it goes on.
        reason: the service's own words, where it gives some.
    """

    ended: Ended | None
    reason: str | None = None


class JobService(Protocol):
    """Runs jobs. Jobs have names that the caller gives; of one name there is never more than one."""

    def find(self, name: str, /) -> str | None:
        """Id of the job of this name; None where there is none."""
        ...

    def start(self, name: str, file: Path, /) -> str:
        """Start the job and return its id; the same one when it was started before.

        Raises:
            ThrottledError, UnavailableError: may be started later.
            ModelCallError: is refused for good.
        """
        ...

    def look(self, job: str, /) -> JobState:
        """Raises ModelCallError, as `start` does."""
        ...

    def stop(self, job: str, /) -> None:
        """Ask a job to stop; nothing when it has ended. Raises ModelCallError, as `start` does."""
        ...

    def line(self, number: int, prompt: str, /) -> bytes:
        """One request, as a job takes it: a line without its end."""
        ...

    def answers(self, name: str, folder: Path, /) -> Iterator[tuple[int, Answer | ModelCallError]]:
        """What a job has said so far, in any order: the number of a request, and its answer or why there is none.

        A job tells no latency.
        """
        ...

    def recall(self, name: str, /) -> bytes | None:
        """A note that was kept under this name."""
        ...

    def note(self, name: str, body: bytes, /) -> None:
        """Keep a note for good."""
        ...


class JobStore(ResponseStore, Protocol):
    """Where responses are kept as they come, and which failures are there already."""

    def failures(self) -> Container[Response]:
        """Every response that is a failure, also of records that have an answer since."""
        ...


@dataclass
class _Job:
    """A part of the spool, from `first` to before `end`."""

    name: str
    first: int
    end: int
    id: str | None = None
    stopped: bool = False


@dataclass
class BatchSummary:
    """How it ended. records = resumed + answered + failed.

    Attributes:
        resumed: records that had an answer before.
        errors: number of failed records by kind of failure.
    """

    records: int
    jobs: int = 0
    resumed: int = 0
    answered: int = 0
    errors: Counter[str] = field(default_factory=Counter)


def ask_by_jobs(
    spool: Spool,
    *,
    service: JobService,
    store: JobStore,
    folder: Path,
    until: float,
    tariff: Tariff | None = None,
    budget: Budget | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> BatchSummary:
    """Ask everything in the spool, and keep each response in the store.

    A budget is held before anything is sent: the records that it covers in the worst case are asked, from the first
    one on. Since they cost less, further jobs follow as long as it covers enough for one; what is left fails with the
    kind `BudgetExceeded`. A record that a job fails is not asked again, and a job that is read again after a restart
    keeps and charges no failure twice.

    Args:
        folder: for the files of the jobs.
        until: by the clock, when asking must be over: jobs are stopped then, and what they have said is kept.
        tariff: prices by which each response gets its cost; the budget is held by them.
        budget: what the store holds is spent from it already.

    Raises:
        InterruptedAskError: SIGTERM or SIGINT came. The jobs were told to stop; asking again keeps what they have said.
    """
    if budget is not None and tariff is None:
        raise ValueError("a budget is held by prices, and there are none")
    resumable = store.answered()
    if all(spool[number][0] in resumable for number in range(len(spool))):
        return BatchSummary(records=len(spool), resumed=len(spool))
    run = _Run(spool, service, store, resumable, store.failures(), folder, until, tariff, budget, clock, sleep)
    with signals_wait() as interruption:
        run.carry_out(interruption)
    if interruption:
        raise InterruptedAskError("told to stop before every job had ended")
    return run.summary


@dataclass
class _Run:
    spool: Spool
    service: JobService
    store: JobStore
    resumable: Container[str]
    known_failures: Container[Response]
    folder: Path
    until: float
    tariff: Tariff | None
    budget: Budget | None
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    summary: BatchSummary = field(init=False)

    def __post_init__(self) -> None:
        self.summary = BatchSummary(records=len(self.spool))
        self._part: list[Response] = []
        self._late = False

    def carry_out(self, interruption: Interruption) -> None:
        """Round by round: what the budget covers in the worst case, and then again, since less was spent."""
        first = 0
        while first < len(self.spool) and not interruption:
            asked, count = self._shares(first)
            if not asked:
                self._fail(first, len(self.spool), self._too_dear())
                break
            cuts = [first + asked * number // count for number in range(count + 1)]
            stem = f"{self.spool.digest}-{first}"
            jobs = [_Job(f"{stem}-{k}", cuts[k], cuts[k + 1]) for k in range(count)]
            logger.info("asking by %d batch inference jobs: %d records from %d on", count, asked, first)
            self.summary.jobs += count
            self._carry_out(jobs, interruption)
            first += asked
        self._keep_part()

    def _carry_out(self, jobs: list[_Job], interruption: Interruption) -> None:
        began = self.clock()
        while jobs and not interruption:
            now = self.clock()
            self._late = self._late or now >= self.until
            given_up = now >= self.until + STOP_SECONDS
            jobs = [job for job in jobs if not self._settle(job, given_up)]
            self._keep_part()
            if jobs:
                least, most = POLL_SECONDS
                self._wait(min(most, max(least, (now - began) * _POLL_SHARE)), interruption)
        for job in jobs:
            self._stop(job)

    def _shares(self, first: int) -> tuple[int, int]:
        """How many records are asked from `first` on, and in how many jobs.

        It is noted before the first job is started, and final with that.
        """
        name = f"{self.spool.digest}-{first}.json"
        if (noted := self.service.recall(name)) is not None:
            found = json.loads(noted)
            return int(found["asked"]), int(found["jobs"])
        left = len(self.spool) - first
        asked = left
        if self.budget is not None and self.tariff is not None:
            asked = _covered(self.spool, first, self.budget, self.tariff)
        if 0 < left - asked < BATCH_LEAST_RECORDS and left >= 2 * BATCH_LEAST_RECORDS:
            asked = left - BATCH_LEAST_RECORDS  # so that the last ones are enough for a job
        if asked < BATCH_LEAST_RECORDS:
            return 0, 0
        size = (self.spool.size // len(self.spool) + len(self.service.line(0, ""))) * asked
        count = min(max(-(-asked // JOB_RECORDS), -(-size // JOB_BYTES)), asked // BATCH_LEAST_RECORDS)
        self.service.note(name, json.dumps({"asked": asked, "jobs": count}).encode())
        return asked, count

    def _too_dear(self) -> Failure:
        usd = 0.0 if self.budget is None else self.budget.usd
        reason = (
            f"what is left of the budget of {usd:g} USD for this model does not cover one more batch job, which takes "
            f"{BATCH_LEAST_RECORDS} records at least"
        )
        return Failure(kind="BudgetExceeded", reason=reason)

    def _settle(self, job: _Job, given_up: bool) -> bool:
        """Take one job a step further; whether it is settled: ended, and all that it said is kept."""
        try:
            if job.id is None:
                job.id = self._begun(job)
            # Without an id the time was over before it was started.
            state = JobState("stopped") if job.id is None else self.service.look(job.id)
        except (ThrottledError, UnavailableError) as error:
            logger.warning("batch inference job %s: %s", job.name, error.reason)
            if not self._late or (job.id is not None and not given_up):
                return False
            self._collect(job, JobState("stopped"))
            return True
        except ModelCallError as error:
            logger.warning("batch inference job %s is not carried out: %s", job.name, error.reason)
            if job.id is None:
                self._fail(job.first, job.end, Failure(kind="BatchRefused", reason=error.reason))
            else:
                self._stop(job)
                self._collect(job, JobState("failed", error.reason))
            return True
        if state.ended is None and not given_up:
            if self._late and not job.stopped:
                job.stopped = self._stop(job)
            return False
        self._collect(job, JobState("stopped") if state.ended is None else state)
        return True

    def _begun(self, job: _Job) -> str | None:
        """The job's id, started now unless it was before; None where the time is over and it never was."""
        found = self.service.find(job.name)
        if found is not None or self._late:
            return found
        file = self.folder / f"{job.name}.jsonl"
        if not file.exists():
            with file.open("wb") as lines:
                for number in range(job.first, job.end):
                    lines.write(self.service.line(number, self.spool[number][1]) + b"\n")
        found = self.service.start(job.name, file)
        file.unlink()
        logger.info("batch inference job %s holds %d records: %s", job.name, job.end - job.first, found)
        return found

    def _stop(self, job: _Job) -> bool:
        """Ask a job to stop, also one that an earlier process started; whether that was heard."""
        try:
            job.id = job.id or self.service.find(job.name)
            if job.id is not None:
                self.service.stop(job.id)
        except ModelCallError as error:
            logger.warning("batch inference job %s could not be stopped: %s", job.name, error.reason)
            return False
        return True

    def _collect(self, job: _Job, state: JobState) -> None:
        """Keep what a job has said, and say of each record that it did not come to why."""
        seen = bytearray(job.end - job.first)
        said = self.service.answers(job.name, self.folder) if job.id is not None else iter(())
        for number, answer in said:
            if job.first <= number < job.end and not seen[number - job.first]:
                seen[number - job.first] = 1
                self._keep(number, answer)
        failure = self._missing(state)
        for place, there in enumerate(seen):
            if not there:
                self._fail(job.first + place, job.first + place + 1, failure)
        logger.info("batch inference job %s: %s, %d of %d records", job.name, state.ended, sum(seen), len(seen))

    def _missing(self, state: JobState) -> Failure:
        words = f": {state.reason}" if state.reason else ""
        if self._late and state.ended == "stopped":
            reason = "the time for asking was over before the batch job got to this record"
            return Failure(kind="DeadlineExceeded", reason=reason)
        if state.ended == "completed":
            return Failure(kind="MalformedReply", reason="the batch job's output holds no readable line of this record")
        if state.ended == "expired":
            return Failure(
                kind="BatchExpired", reason=f"the batch job's time was over before it got to this record{words}"
            )
        if state.ended == "stopped":
            return Failure(kind="BatchStopped", reason=f"the batch job was stopped before it got to this record{words}")
        return Failure(kind="BatchFailed", reason=f"the batch job failed{words}")

    def _keep(self, number: int, answer: Answer | ModelCallError) -> None:
        record_id, prompt = self.spool[number]
        if record_id in self.resumable:
            self.summary.resumed += 1
            return
        if isinstance(answer, Answer):
            response = answered(record_id, prompt, answer, self.tariff, attempts=1)
        else:
            response = failed(record_id, prompt, Failure(kind=answer.kind, reason=answer.reason), attempts=1)
        if self.budget is not None and self.tariff is not None and response not in self.known_failures:
            usd = response.cost_usd
            self.budget.spent_usd += self.tariff.worst_usd(prompt) if usd is None else usd
        self._add(response)

    def _fail(self, first: int, end: int, failure: Failure) -> None:
        """Settle records that no job has asked."""
        for number in range(first, end):
            record_id, prompt = self.spool[number]
            if record_id in self.resumable:
                self.summary.resumed += 1
                continue
            self._add(failed(record_id, prompt, failure, attempts=0))

    def _add(self, response: Response) -> None:
        if response.failure is None:
            self.summary.answered += 1
        else:
            self.summary.errors[response.failure.kind] += 1
            if response in self.known_failures:
                return
        self._part.append(response)
        if len(self._part) >= PART_RESPONSES:
            self._keep_part()

    def _keep_part(self) -> None:
        part, self._part = self._part, []
        self.store.append(part)

    def _wait(self, seconds: float, interruption: Interruption) -> None:
        """Wait in short pieces, so that a signal is soon heeded."""
        while seconds > 0 and not interruption:
            self.sleep(min(1.0, seconds))
            seconds -= 1.0


def _covered(spool: Spool, first: int, budget: Budget, tariff: Tariff) -> int:
    """How many records, from `first` on, the budget covers in the worst case."""
    left = budget.usd - budget.spent_usd
    for number in range(first, len(spool)):
        left -= tariff.worst_usd(spool[number][1])
        if left < 0:
            return number - first
    return len(spool) - first
