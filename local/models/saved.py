"""Any causal language model that `save_pretrained` wrote, on CPU: what an LLM container serves from an artefact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from local.models.smollm2 import TextGenerator

# Markers that end a turn in the chat templates of common models, besides what the model's own files name.
_TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|end|>")


def saved_model(folder: Path, threads: int) -> TextGenerator:
    """Load weights and tokenizer from a folder; nothing is fetched, and no code of the folder is run.

    Raises:
        ValueError: the folder names no end of text.
        OSError: the folder holds no such model.
    """
    torch.set_num_threads(threads)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    named = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    ends |= {token for marker, token in tokenizer.get_vocab().items() if marker in _TURN_ENDS}
    known = frozenset(token for token in ends if token is not None)
    if not known:
        raise ValueError(f"{folder.name}: neither tokenizer nor model names an end of text")
    return TextGenerator(tokenizer, model, known)
