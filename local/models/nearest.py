"""An answerer without a generator: the answer of the known question that means most nearly the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from local.models.encoder import Encoder
from local.models.payload import Completion, Prompt, cut_at_stop


class NearestNeighbour:
    """Answers with sentence embeddings over a file of `{"question", "answer"}` lines."""

    def __init__(self, facts: Path, threads: int) -> None:
        self._encoder = Encoder(threads)
        lines = [json.loads(line) for line in facts.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not lines:
            raise ValueError(f"{facts} holds no facts")
        self._answers = [str(line["answer"]) for line in lines]
        self._questions = self._encoder.embed([str(line["question"]) for line in lines])

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Return the nearest known question's answer for each prompt."""
        asked = self._encoder.embed([prompt.question for prompt in prompts])
        nearest = (asked @ self._questions.T).argmax(dim=1)
        return [
            self._completion(prompt, self._answers[place])
            for prompt, place in zip(prompts, nearest.tolist(), strict=True)
        ]

    def _completion(self, prompt: Prompt, known: str) -> Completion:
        answer = cut_at_stop(known, prompt.parameters.stop)
        return Completion(
            text=prompt.question + answer if prompt.parameters.return_full_text else answer,
            input_tokens=tuple(self._encoder.tokens(prompt.question)),
            output_tokens=len(self._encoder.tokens(answer, special=False)),
            finish_reason="eos_token" if answer == known else "stop_sequence",
        )
