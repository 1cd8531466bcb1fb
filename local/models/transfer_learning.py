"""The training script of the local JumpStart model: LoRA on SmolLM2-135M-Instruct, on CPU.

It lies in JumpStart's content bucket as a script archive, and a training job runs it as SageMaker's training toolkit
does: hyperparameters as arguments, folders in `SM_*` variables. Data are as JumpStart's text generation models take
them: JSON Lines with a `template.json` (instructions) or with `dialog` (chats). Only completions, and what an assistant
says, are learned. What it leaves is an adapter and the name of the model that it belongs to.

LoRA: Hu et al., "Low-Rank Adaptation of Large Language Models", 2021 (arXiv:2106.09685).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import string
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoTokenizer, LlamaForCausalLM

from local.models.weights import BASE_MODELS, smollm2_directory

DEFAULT_INPUT_LENGTH = 1024
NOT_LEARNED = -100
DEFAULT_TEMPLATE = {
    "prompt": "### Instruction:\n{instruction}\n\n### Input:\n{context}\n\n### Response:\n",
    "completion": "{response}",
}
END_OF_TURN = "<|im_end|>"
ROLES = ("system", "user", "assistant")

Segment = tuple[str, bool]


class DataError(Exception):
    """The training data are not what the hyperparameters say; the message names file and line."""


@dataclass(frozen=True)
class Example:
    """One text to learn: its tokens, and the same tokens with `NOT_LEARNED` for those that are only read."""

    tokens: tuple[int, ...]
    labels: tuple[int, ...]


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Read hyperparameters by JumpStart's names. One that is not known ends the job, and so does a wrong value."""
    parser = argparse.ArgumentParser(prog="transfer_learning.py", allow_abbrev=False)
    parser.add_argument("--epoch", type=_positive(int), default=3)
    parser.add_argument("--learning_rate", type=_positive(float), default=5e-4)
    parser.add_argument("--per_device_train_batch_size", type=_positive(int), default=4)
    parser.add_argument("--max_input_length", type=int, default=-1)
    parser.add_argument("--lora_r", type=_positive(int), default=8)
    parser.add_argument("--lora_alpha", type=_positive(int), default=32)
    parser.add_argument("--lora_dropout", type=float, default=0.0)
    parser.add_argument("--target_modules", default="q_proj,v_proj")
    parser.add_argument("--seed", type=int, default=10)
    parser.add_argument("--instruction_tuned", type=_flag, default=False)
    parser.add_argument("--chat_dataset", type=_flag, default=True)
    options = parser.parse_args(given)
    if options.instruction_tuned == options.chat_dataset:
        parser.error(
            "exactly one of instruction_tuned and chat_dataset must be True: free text is not carried out here"
        )
    return options


def _positive(kind: type[int] | type[float]) -> Any:
    def read(text: str) -> float:
        value = kind(text)
        if value <= 0:
            raise ValueError(text)
        return value

    return read


def _flag(text: str) -> bool:
    if text not in ("True", "False"):
        raise argparse.ArgumentTypeError(f"must be True or False, not {text!r}")
    return text == "True"


def read_segments(folder: Path, tokenizer: Any, *, chats: bool, template_of: Path | None = None) -> list[list[Segment]]:
    """Return each example of a channel as texts and whether they are learned; chats as `dialog`, else by template.

    Where the folder holds no template, the one in `template_of` is taken, which is the training channel's.

    Raises:
        DataError: a line that is not of the form, or no example at all.
    """
    template = DEFAULT_TEMPLATE
    for place in (template_of, folder):
        if place is not None and (place / "template.json").is_file():
            template = json.loads((place / "template.json").read_text(encoding="utf-8"))
    examples = []
    for file in sorted(folder.rglob("*.jsonl")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                examples.append(list(_chat(row["dialog"], tokenizer) if chats else _instruction(row, template)))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{file.name}, line {number}: {type(error).__name__}: {error}") from error
    if not examples:
        raise DataError(f"no example in *.jsonl below the channel {folder.name!r}")
    return examples


def _instruction(row: dict[str, Any], template: dict[str, str]) -> Iterator[Segment]:
    values = {key: str(value) for key, value in row.items()}
    yield string.Formatter().vformat(template["prompt"], (), values), False
    yield string.Formatter().vformat(template["completion"], (), values) + END_OF_TURN, True


def _chat(dialog: list[dict[str, str]], tokenizer: Any) -> Iterator[Segment]:
    """As the model's own template lays the chat out, which is how its server will ask it."""
    seen = ""
    for place, message in enumerate(dialog):
        if message["role"] not in ROLES or not isinstance(message["content"], str):
            raise ValueError(f"message {place + 1} must have a role among {', '.join(ROLES)}, and a text as content")
        if message["role"] != "assistant":
            continue
        asked = tokenizer.apply_chat_template(dialog[:place], tokenize=False, add_generation_prompt=True)
        answered = tokenizer.apply_chat_template(dialog[: place + 1], tokenize=False)
        yield asked[len(seen) :], False
        yield answered[len(asked) :], True
        seen = answered


def encode(segments: Sequence[Segment], tokenizer: Any, longest: int) -> Example:
    """Return an example's tokens, at most `longest` of them."""
    tokens: list[int] = []
    labels: list[int] = []
    for text, learned in segments:
        part = tokenizer(text, add_special_tokens=False).input_ids
        tokens += part
        labels += part if learned else [NOT_LEARNED] * len(part)
    return Example(tuple(tokens[:longest]), tuple(labels[:longest]))


def _batches(examples: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    for start in range(0, len(examples), size):
        yield examples[start : start + size]


def _loss(model: Any, batch: Sequence[Example], padding: int) -> torch.Tensor:
    """Mean cross-entropy of the learned tokens of a batch, in nats."""
    width = max(len(example.tokens) for example in batch)
    tokens = torch.full((len(batch), width), padding)
    labels = torch.full((len(batch), width), NOT_LEARNED)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    for row, example in enumerate(batch):
        tokens[row, : len(example.tokens)] = torch.tensor(example.tokens)
        labels[row, : len(example.labels)] = torch.tensor(example.labels)
        mask[row, : len(example.tokens)] = 1
    loss: torch.Tensor = model(input_ids=tokens, attention_mask=mask, labels=labels).loss
    return loss


def train(options: argparse.Namespace, channels: dict[str, Path], cache: Path) -> PeftModel:
    """Tune, and print the losses of each epoch as they are measured."""
    torch.manual_seed(options.seed)
    shuffle = random.Random(options.seed)  # noqa: S311 - the order of examples, the same in every run
    directory = smollm2_directory(cache)
    tokenizer: Any = AutoTokenizer.from_pretrained(directory)
    base: Any = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=options.lora_r,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=options.target_modules.split(","),
    )
    model: Any = get_peft_model(base, lora)
    longest = options.max_input_length if options.max_input_length > 0 else DEFAULT_INPUT_LENGTH
    data = {
        name: [
            encode(segments, tokenizer, longest)
            for segments in read_segments(
                folder, tokenizer, chats=options.chat_dataset, template_of=channels["training"]
            )
        ]
        for name, folder in channels.items()
    }
    for name, examples in data.items():
        if not any(label != NOT_LEARNED for example in examples for label in example.labels[1:]):
            raise DataError(f"nothing to learn in the channel {name!r}: max_input_length {longest} cuts every answer")
    examples, validation = data["training"], data.get("validation", [])
    padding = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    optimizer = torch.optim.AdamW([part for part in model.parameters() if part.requires_grad], lr=options.learning_rate)
    _say({"training_examples": len(examples), "validation_examples": len(validation)})
    for epoch in range(1, options.epoch + 1):
        model.train()
        shuffle.shuffle(examples)
        total = 0.0
        for batch in _batches(examples, options.per_device_train_batch_size):
            optimizer.zero_grad()
            loss = _loss(model, batch, padding)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        measured: dict[str, float] = {"epoch": epoch, "train_loss": total / len(examples)}
        if validation:
            model.eval()
            with torch.inference_mode():
                batches = _batches(validation, options.per_device_train_batch_size)
                losses = [_loss(model, batch, padding).item() * len(batch) for batch in batches]
            measured["eval_loss"] = sum(losses) / len(validation)
        _say(measured)
    return model


def _base(file: Path) -> str:
    name = str(json.loads(file.read_text())["model"])
    if name not in BASE_MODELS:
        raise DataError(f"the pre-trained model {name!r} is not one of {', '.join(sorted(BASE_MODELS))}")
    return name


def _say(values: dict[str, Any]) -> None:
    print(values, flush=True)  # noqa: T201 - the log is where SageMaker reads metrics


def main() -> int:
    """Run as SageMaker's training toolkit runs a script.

    A message for people goes to `failure`, of which SageMaker makes the job's failure reason.
    """
    torch.set_num_threads(int(os.environ["SM_NUM_CPUS"]))
    channels = {
        name: Path(os.environ[f"SM_CHANNEL_{name.upper()}"])
        for name in ("training", "validation")
        if f"SM_CHANNEL_{name.upper()}" in os.environ
    }
    target = Path(os.environ["SM_MODEL_DIR"])
    try:
        options = arguments(sys.argv[1:])
        base = _base(Path(os.environ["SM_CHANNEL_MODEL"]) / "base.json")
        model = train(options, channels, Path(os.environ["ASSAY_LOCAL_MODELS"]))
        model.peft_config["default"].base_model_name_or_path = base
        # No word was added; to find that out by itself, the library would ask the hub for the base model's config.
        model.save_pretrained(target, save_embedding_layers=False)
    except (DataError, ValueError, OSError, KeyError) as error:
        Path(os.environ["SM_OUTPUT_DIR"], "failure").write_text(f"{type(error).__name__}: {error}")
        raise
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
