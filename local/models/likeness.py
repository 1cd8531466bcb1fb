"""A judge without a generator: it grades an answer by how nearly it means what was expected.

It reads the JSON object in a judge's prompt and no rubric, so it stands in for a judge only where an expected answer is
all that there is to go by.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from local.models.encoder import Encoder
from local.models.payload import Completion, PayloadError, Prompt

GRADES = (0.35, 0.5, 0.65, 0.8)
"""Cosines from which an answer has the grades 2 to 5."""
TIE = 0.02
"""Two answers whose cosines differ by less are equally good."""
_MATERIALS = ({"expected_answer", "answer"}, {"expected_answer", "answer_a", "answer_b"})


class LikenessJudge:
    """Replies with `{"reason", "score"}` to one answer, and with `{"reason", "better"}` to two."""

    def __init__(self, threads: int) -> None:
        self._encoder = Encoder(threads)

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Return a judgement for each prompt.

        Raises:
            PayloadError: a prompt holds no question with an expected answer and one answer or two.
        """
        return [self._completion(prompt) for prompt in prompts]

    def _completion(self, prompt: Prompt) -> Completion:
        text = json.dumps(self._judgement(_material(prompt.question)))
        return Completion(
            text=text,
            input_tokens=tuple(self._encoder.tokens(prompt.question)),
            output_tokens=len(self._encoder.tokens(text, special=False)),
            finish_reason="eos_token",
        )

    def _judgement(self, material: Mapping[str, str]) -> dict[str, Any]:
        expected = material["expected_answer"]
        if "answer" in material:
            [likeness] = self._likenesses(expected, [material["answer"]])
            score = 1 + sum(likeness >= bound for bound in GRADES)
            return {"reason": f"the cosine to the expected answer is {likeness:.2f}", "score": score}
        first, second = self._likenesses(expected, [material["answer_a"], material["answer_b"]])
        better = "tie" if abs(first - second) < TIE else "A" if first > second else "B"
        return {"reason": f"cosines to the expected answer: A {first:.2f}, B {second:.2f}", "better": better}

    def _likenesses(self, expected: str, answers: list[str]) -> list[float]:
        told, *given = self._encoder.embed([expected, *answers])
        return [float(told @ vector) for vector in given]


def _material(prompt: str) -> Mapping[str, str]:
    """The first JSON object of the prompt that is one."""
    decoder = json.JSONDecoder()
    for start in (place for place, character in enumerate(prompt) if character == "{"):
        try:
            found, _ = decoder.raw_decode(prompt, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and any(wanted <= found.keys() for wanted in _MATERIALS):
            return {name: str(value) for name, value in found.items()}
    raise PayloadError("the prompt holds no question with an expected answer and answers to be judged")
