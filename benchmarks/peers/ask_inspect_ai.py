"""inspect-ai: one task of `generate()` and `exact()`, a model of its interface, its log on disk.

What it shows and writes while it runs is off, which its documentation offers for speed; the log is its own format.
"""

from __future__ import annotations

import asyncio
from typing import Any

import inspect_ai
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, ModelAPI, ModelOutput, get_model, modelapi
from inspect_ai.scorer import exact
from inspect_ai.solver import generate

from benchmarks.peers import sleeping


@modelapi(name="sleeping")
class Sleeping(ModelAPI):  # type: ignore[misc]
    """Answers after its time."""

    def __init__(self, model_name: str, config: GenerateConfig, latency_seconds: float = 0, **_: Any) -> None:
        super().__init__(model_name, config=config)
        self._seconds = latency_seconds

    async def generate(self, input: Any, *_: Any, **__: Any) -> ModelOutput:  # noqa: A002 - its interface's name
        if self._seconds:
            await asyncio.sleep(self._seconds)
        return ModelOutput.from_content(self.model_name, sleeping.answer(input[-1].text))


def evaluate(task: sleeping.Task) -> float:
    """Its mean."""
    samples = [Sample(id=item.id, input=item.question, target=item.expected) for item in task.records]
    model = get_model("sleeping/model", memoize=False, latency_seconds=task.latency_seconds)
    [log] = inspect_ai.eval(
        inspect_ai.Task(dataset=MemoryDataset(samples), solver=generate(), scorer=exact()),
        model=model,
        max_connections=task.workers,
        display="none",
        log_dir=str(task.folder),
        log_realtime=False,
        log_model_api=False,
        score_display=False,
        ctl_server=False,
    )
    if log.status != "success" or log.results is None:
        raise RuntimeError(f"inspect-ai ended with {log.status}: {log.error}")
    return float(log.results.scores[0].metrics["mean"].value)


if __name__ == "__main__":
    sleeping.main("inspect-ai", evaluate)
