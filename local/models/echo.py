"""A model that says the question again: no weights, no time to load. For tests of everything around a model."""

from __future__ import annotations

from collections.abc import Sequence

from local.models.payload import Prompt, cut_at_stop


class Echo:
    """Answers each prompt with its own question."""

    def answer(self, prompts: Sequence[Prompt]) -> list[str]:
        return [cut_at_stop(prompt.question, prompt.parameters.stop) for prompt in prompts]
