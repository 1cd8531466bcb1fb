"""A model that says the question again: no weights, no time to load. For tests of everything around a model."""

from __future__ import annotations

from collections.abc import Sequence

from local.models.payload import Completion, Prompt, cut_at_stop


class Echo:
    """Answers each prompt with its own question; a word is a token."""

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        return [self._said(prompt) for prompt in prompts]

    def _said(self, prompt: Prompt) -> Completion:
        text = cut_at_stop(prompt.question, prompt.parameters.stop)
        return Completion(
            text=text,
            input_tokens=tuple(range(len(prompt.question.split()))),
            output_tokens=len(text.split()),
            finish_reason="eos_token" if text == prompt.question else "stop_sequence",
        )
