"""What of a run is kept, whatever ends it: an error, a signal, a restart."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import assay
from assay.contracts.catalog import Record
from assay.contracts.results import Response
from assay.inference import runner
from assay.inference.asking import InterruptedAskError
from assay.inference.errors import (
    ModelAnswerError,
)
from assay.inference.runner import AskSummary
from tests.unit.inference_support import Clock, FakeModel, Kept, Limits, ask, catalog


def test_a_second_run_asks_only_what_has_no_answer() -> None:
    store = Kept()
    broken = FakeModel(script={f"q{number}": [ModelAnswerError("400")] for number in range(0, 30, 3)})
    first, _ = ask(catalog(30), broken, store)
    assert (first.answered, first.failed) == (20, 10)
    mended = FakeModel()
    second, _ = ask(catalog(30), mended, store)
    assert (second.records, second.resumed, second.answered, second.failed) == (30, 20, 10, 0)
    assert set(mended.asked) == {f"q{number}" for number in range(0, 30, 3)}
    assert store.answered() == {str(number) for number in range(30)}


def test_responses_are_kept_in_parts_of_five_hundred() -> None:
    _, store = ask(catalog(1230), FakeModel())
    assert [len(part) for part in store.parts] == [500, 500, 230]


def test_responses_are_kept_after_two_seconds_at_the_latest() -> None:
    clock = Clock()

    def slowly(_prompt: str) -> None:
        clock.sleep(1)
        time.sleep(0.01)

    _, store = ask(catalog(10), FakeModel(during=slowly), clock=clock, limits=Limits(concurrency=1))
    assert len(store.parts) >= 3
    assert max(len(part) for part in store.parts) <= 5


def test_records_are_taken_only_as_there_is_room() -> None:
    taken = 0
    ahead: list[int] = []

    def lazy() -> Iterator[Record]:
        nonlocal taken
        for record in catalog(2000):
            taken += 1
            yield record

    class Slow(Kept):
        def append(self, responses: list[Response]) -> None:
            time.sleep(0.02)
            super().append(responses)
            ahead.append(taken - sum(len(part) for part in self.parts))

    summary, _ = ask(lazy(), FakeModel(), Slow(), Limits(concurrency=8))
    assert summary.answered == 2000
    assert max(ahead) <= runner.UNWRITTEN_RESPONSES + 4 * 8


def test_an_error_of_the_catalog_is_raised_after_what_was_answered_is_kept() -> None:
    def torn() -> Iterator[Record]:
        yield from catalog(10)
        raise ValueError("line 11 is not JSON")

    store = Kept()
    with pytest.raises(ValueError, match="line 11"):
        ask(torn(), FakeModel(), store)
    assert len(store.answered()) == 10


def test_an_error_of_the_store_is_raised() -> None:
    class Full(Kept):
        def append(self, responses: list[Response]) -> None:
            raise OSError("no more room")

    with pytest.raises(OSError, match="no more room"):
        ask(catalog(10), FakeModel(), Full())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_stop_keeps_what_it_has_and_goes_on_from_there(number: signal.Signals) -> None:
    heard: list[int] = []
    store = Kept()
    asked = itertools.count(1)

    def interrupt(_prompt: str) -> None:
        if next(asked) == 60:
            os.kill(os.getpid(), number)
        time.sleep(0.002)

    before = signal.signal(number, lambda signum, _frame: heard.append(signum))
    try:
        with pytest.raises(InterruptedAskError):
            ask(catalog(5000), model := FakeModel(during=interrupt), store)
    finally:
        signal.signal(number, before)
    assert heard == [number]
    assert 60 <= len(store.answered()) == sum(model.asked.values()) < 5000
    rest = FakeModel()
    summary, _ = ask(catalog(5000), rest, store)
    assert summary.resumed + summary.answered == 5000
    assert not set(rest.asked) & set(model.asked)


def test_signals_do_what_they_did_before_once_the_run_is_over() -> None:
    before = signal.getsignal(signal.SIGTERM)
    ask(catalog(1), FakeModel())
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_outside_of_the_main_thread_works_too() -> None:
    found: list[AskSummary] = []
    thread = threading.Thread(target=lambda: found.append(ask(catalog(5), FakeModel())[0]))
    thread.start()
    thread.join(timeout=10)
    assert found[0].answered == 5


def test_a_process_that_is_terminated_writes_what_it_has_and_then_dies_of_the_signal(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from assay.contracts.catalog import Record
from assay.contracts.config import LimitsSection
from assay.inference.runner import Answer, ask_all
from assay.inference.store import PartStore

class Folder:
    def keys(self, prefix): return sorted(str(path) for path in Path(prefix).iterdir())
    def read(self, key): return Path(key).read_bytes()
    def write(self, key, body): Path(key).write_bytes(body)

class Slow:
    def ask(self, prompt, *, deadline_seconds):
        if prompt == "q30":
            print("going", flush=True)
        time.sleep(0.01)
        return Answer(prompt, 10.0)

records = (Record(id=str(n), model_input=f"q{n}", target_output="a") for n in range(100_000))
store = PartStore(Folder(), sys.argv[1] + "/")
ask_all(records, model=Slow(), prompt_of=lambda r: r.model_input, store=store, limits=LimitsSection(concurrency=4))
"""
    environment = os.environ | {"PYTHONPATH": str(Path(assay.__file__).parents[1])}
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "going\n"
        process.terminate()
        assert process.wait(timeout=30) == -signal.SIGTERM
    lines = [line for part in sorted(tmp_path.iterdir()) for line in part.read_text().splitlines()]
    assert len(lines) >= 30
    assert len({Response.model_validate_json(line).record_id for line in lines}) == len(lines)
