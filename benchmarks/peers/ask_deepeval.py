"""deepeval: test cases with answers, `evaluate()` with `ExactMatchMetric`, the test run as JSON on disk.

It does not ask models: its documentation leaves that to the caller. So a plain loop of asyncio asks here, with as many
requests in flight as are allowed; nothing could be faster. What it shows while it runs is off, and its cache too.
"""

from __future__ import annotations

import asyncio

import deepeval
from deepeval.evaluate import AsyncConfig, CacheConfig, DisplayConfig
from deepeval.metrics import ExactMatchMetric
from deepeval.test_case import LLMTestCase

from benchmarks.peers import sleeping


async def ask(task: sleeping.Task) -> list[str]:
    """The model's answers in order."""
    allowed = asyncio.Semaphore(sleeping.CONCURRENCY)

    async def answered(question: str) -> str:
        async with allowed:
            if task.latency_seconds:
                await asyncio.sleep(task.latency_seconds)
            return sleeping.answer(question)

    return list(await asyncio.gather(*(answered(item.question) for item in task.records)))


def evaluate(task: sleeping.Task) -> float:
    """The share of test cases that pass."""
    answers = asyncio.run(ask(task))
    cases = [
        LLMTestCase(input=item.question, actual_output=text, expected_output=item.expected)
        for item, text in zip(task.records, answers, strict=True)
    ]
    found = deepeval.evaluate(
        cases,
        [ExactMatchMetric()],
        async_config=AsyncConfig(run_async=task.workers > 1, max_concurrent=task.workers),
        display_config=DisplayConfig(
            show_indicator=False, print_results=False, inspect_after_run=False, results_folder=str(task.folder)
        ),
        cache_config=CacheConfig(write_cache=False),
    )
    scores = [float(metric.score) for result in found.test_results for metric in result.metrics_data]
    if len(scores) != len(task.records):
        raise RuntimeError(f"of {len(task.records)} records {len(scores)} have a score")
    return sum(scores) / len(scores)


if __name__ == "__main__":
    sleeping.main("deepeval", evaluate)
