"""lm-eval: a generation task with `exact_match`, asked through its own client of APIs, samples and results on disk.

The client is as for any API, with as many requests in flight as it is told; only the request itself is the model's
sleep. The records come as a data set in memory.
"""

from __future__ import annotations

import asyncio
from typing import Any

import datasets
from lm_eval import simple_evaluate
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.api_models import TemplateAPI
from lm_eval.tasks import TaskManager

from benchmarks.peers import sleeping

# Its own tasks are of no use here, and to look through them takes seconds.
TASKS = TaskManager(include_defaults=False)


class Sleeping(TemplateAPI):  # type: ignore[misc]
    """Answers after its time."""

    def __init__(self, latency_seconds: float, workers: int) -> None:
        super().__init__(
            model="sleeping", tokenizer_backend=None, num_concurrent=workers, max_length=100_000, eos_string=""
        )
        self._seconds = latency_seconds

    async def amodel_call(self, *, sem: asyncio.Semaphore, messages: list[str], **_: Any) -> list[str]:
        async with sem:
            if self._seconds:
                await asyncio.sleep(self._seconds)
            return [sleeping.answer(message) for message in messages]

    def _create_payload(self, *_: Any, **__: Any) -> dict[str, Any]:
        raise NotImplementedError("no request is sent")

    parse_generations = parse_logprobs = _create_payload


def evaluate(task: sleeping.Task) -> float:
    """Its exact match."""
    rows = [{"id": item.id, "question": item.question, "expected": item.expected} for item in task.records]
    data = datasets.DatasetDict({"test": datasets.Dataset.from_list(rows)})
    settings = {
        "task": "capitals",
        "custom_dataset": lambda **_: data,
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "question",
        "doc_to_target": "expected",
        "generation_kwargs": {"until": []},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    tracker = EvaluationTracker(output_path=str(task.folder))
    model = Sleeping(task.latency_seconds, task.workers)
    found = simple_evaluate(model, tasks=[settings], task_manager=TASKS, evaluation_tracker=tracker, log_samples=True)
    samples = found.pop("samples")
    tracker.save_results_aggregated(results=found, samples=samples)
    for name, lines in samples.items():
        tracker.save_results_samples(task_name=name, samples=lines)
    return float(found["results"]["capitals"]["exact_match,none"])


if __name__ == "__main__":
    sleeping.main("lm-eval", evaluate)
