"""A model that says the question again: no weights, no time to load. For tests of everything around a model."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from local.models.payload import Completion, Prompt, cut_at_stop

_WAIT = re.compile(r"wait (\d+(?:\.\d+)?) s: ?")


class Echo:
    """Answers each prompt with its own question; a word is a token.

    `wait 0.5 s: why?` is answered half a second later, with `why?`.
    """

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        return [self._said(prompt) for prompt in prompts]

    def _said(self, prompt: Prompt) -> Completion:
        question = prompt.question
        if found := _WAIT.match(question):
            time.sleep(float(found[1]))
            question = question[found.end() :]
        text = cut_at_stop(question, prompt.parameters.stop)
        return Completion(
            text=text,
            input_tokens=tuple(range(len(prompt.question.split()))),
            output_tokens=len(text.split()),
            finish_reason="eos_token" if text == question else "stop_sequence",
        )
