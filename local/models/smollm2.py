"""SmolLM2-135M-Instruct on CPU, in float32: batching changes no answer there, while bfloat16 changed one in three."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, DynamicCache, LlamaForCausalLM

from local.models.batching import Batcher, Work, shared_length
from local.models.payload import Chat, Completion, PayloadError, Prompt, cut_at_stop
from local.models.weights import BASE_MODELS, smollm2_directory

LONGEST_TEXT = 4096
SHORTEST_PREFIX = 16
KEPT_PREFIXES = 4

KeyValues = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass
class _Row:
    """A text being continued; `index` is its place in the batch that was asked for."""

    index: int
    work: Work
    sampler: torch.Generator | None
    tokens: list[int] = field(default_factory=list)


class TextGenerator:
    """Answers prompts; `answer` may be called from many threads, which then share passes over the weights.

    Args:
        tokenizer, model: as transformers loads them.
        ends: tokens that end an answer.
    """

    def __init__(self, tokenizer: Any, model: Any, ends: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._model = model
        self._ends = ends
        self._end = min(ends)
        self._prefixes: OrderedDict[tuple[int, ...], KeyValues] = OrderedDict()
        self._batcher = Batcher(self.generate)

    def answer(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Return one continuation for each prompt.

        Raises:
            PayloadError: a prompt is empty or too long.
        """
        works = [Work(self._encode(prompt), prompt.parameters) for prompt in prompts]
        futures: list[Future[Completion]] = [self._batcher.submit(work) for work in works]
        answers = [future.result() for future in futures]
        return [
            replace(answer, text=self._text(prompt.content) + answer.text)
            if prompt.parameters.return_full_text
            else answer
            for prompt, answer in zip(prompts, answers, strict=True)
        ]

    def _text(self, content: str | Chat) -> str:
        if isinstance(content, str):
            return content
        return str(self._tokenizer.apply_chat_template(content, tokenize=False, add_generation_prompt=True))

    def _encode(self, prompt: Prompt) -> tuple[int, ...]:
        text = self._text(prompt.content)
        tokens = tuple(self._tokenizer(text, add_special_tokens=False).input_ids)
        if not tokens:
            raise PayloadError("'inputs' must not be empty")
        if len(tokens) + prompt.parameters.max_new_tokens > LONGEST_TEXT:
            raise PayloadError(
                f"{len(tokens)} tokens and 'max_new_tokens' {prompt.parameters.max_new_tokens} exceed {LONGEST_TEXT}"
            )
        return tokens

    def generate(self, batch: Sequence[Work]) -> list[Completion]:
        """Continue every text of a batch; rows leave it as soon as they are done."""
        with torch.inference_mode():
            return self._generate(batch)

    def _generate(self, batch: Sequence[Work]) -> list[Completion]:
        rows = [_Row(index, work, _sampler(work)) for index, work in enumerate(batch)]
        answers: dict[int, Completion] = {}
        known, cache = self._known_prefix([work.tokens for work in batch])
        tails = [row.work.tokens[known:] for row in rows]
        width = max(len(tail) for tail in tails)
        tokens = torch.full((len(rows), width), self._end)
        mask = torch.zeros((len(rows), known + width), dtype=torch.long)
        mask[:, :known] = 1
        for place, tail in enumerate(tails):
            tokens[place, width - len(tail) :] = torch.tensor(tail)
            mask[place, known + width - len(tail) :] = 1
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, known:]
        while True:
            logits = self._model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            staying = []
            for place, row in enumerate(rows):
                token = _pick(logits[place], row)
                ended = token in self._ends
                if not ended:
                    row.tokens.append(token)
                full = len(row.tokens) >= row.work.parameters.max_new_tokens
                text = self._tokenizer.decode(row.tokens) if ended or full or row.work.parameters.stop else ""
                cut = cut_at_stop(text, row.work.parameters.stop)
                if not ended and not full and cut == text:
                    staying.append(place)
                    continue
                answers[row.index] = Completion(
                    text=cut,
                    input_tokens=row.work.tokens,
                    output_tokens=len(row.tokens),
                    finish_reason="stop_sequence" if cut != text else "eos_token" if ended else "length",
                )
            if not staying:
                return [answers[index] for index in range(len(batch))]
            if len(staying) < len(rows):
                rows = [rows[place] for place in staying]
                chosen = torch.tensor(staying)
                cache.batch_select_indices(chosen)
                mask = mask[chosen]
            tokens = torch.tensor([[row.tokens[-1]] for row in rows])
            mask = torch.cat([mask, mask.new_ones((len(rows), 1))], dim=1)
            positions = mask.sum(1, keepdim=True) - 1

    def _known_prefix(self, texts: Sequence[tuple[int, ...]]) -> tuple[int, Any]:
        """Return how many tokens all texts begin with that need not be read again, and the model's state after them.

        Every text keeps at least one token to read, since the next one is predicted from it.
        """
        first = texts[0]
        shared = min(*(shared_length(first, text) for text in texts), min(map(len, texts)) - 1)
        kept = [prefix for prefix in self._prefixes if len(prefix) <= shared and first[: len(prefix)] == prefix]
        best = max(kept, key=len, default=())
        if len(texts) > 1 and shared - len(best) >= SHORTEST_PREFIX:
            best = first[:shared]
            self._prefixes[best] = self._read(best)
            while len(self._prefixes) > KEPT_PREFIXES:
                self._prefixes.popitem(last=False)
        cache = DynamicCache()
        if best:
            self._prefixes.move_to_end(best)
            for layer, (keys, values) in enumerate(self._prefixes[best]):
                shape = (len(texts), -1, -1, -1)
                cache.update(keys.expand(shape), values.expand(shape), layer)
        return len(best), cache

    def _read(self, tokens: tuple[int, ...]) -> KeyValues:
        cache = DynamicCache()
        self._model(input_ids=torch.tensor([tokens]), past_key_values=cache, use_cache=True, logits_to_keep=1)
        return [(layer.keys, layer.values) for layer in cache.layers]


class SmolLM2(TextGenerator):
    """SmolLM2-135M-Instruct."""

    def __init__(self, cache: Path, threads: int, adapter: Path | None = None) -> None:
        """Load the weights, with what fine-tuning made of them where `adapter` is a folder that it left.

        Raises:
            ValueError: the adapter belongs to another model.
            OSError: the folder holds no adapter.
        """
        torch.set_num_threads(threads)
        directory = smollm2_directory(cache)
        tokenizer: Any = AutoTokenizer.from_pretrained(directory)
        model: Any = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
        if adapter is not None:
            model = with_adapter(model, adapter)
        # The package's tokenizer file names the first chat marker as the end of text; the model ends with the second.
        ends = frozenset(tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"]))
        super().__init__(tokenizer, model, ends)


def with_adapter(model: Any, folder: Path) -> Any:
    """Return the model with a LoRA adapter's weights added to its own, so that it answers as fast as before."""
    from peft import PeftConfig, PeftModel

    base = PeftConfig.from_pretrained(folder).base_model_name_or_path
    if base not in BASE_MODELS:
        raise ValueError(f"the adapter belongs to {base!r}, not to one of {', '.join(sorted(BASE_MODELS))}")
    return PeftModel.from_pretrained(model, folder).merge_and_unload().eval()


def _sampler(work: Work) -> torch.Generator | None:
    if not work.parameters.do_sample:
        return None
    sampler = torch.Generator()
    if work.parameters.seed is None:
        sampler.seed()
    else:
        sampler.manual_seed(work.parameters.seed)
    return sampler


def _pick(logits: torch.Tensor, row: _Row) -> int:
    """Return the next token: the most probable one, or one drawn from the `top_k` best that hold `top_p` together."""
    if row.sampler is None:
        return int(logits.argmax())
    probabilities = (logits / row.work.parameters.temperature).softmax(-1)
    ordered, order = probabilities.sort(descending=True)
    if row.work.parameters.top_k:
        ordered[row.work.parameters.top_k :] = 0
    ordered[ordered.cumsum(0) - ordered >= row.work.parameters.top_p] = 0
    return int(order[torch.multinomial(ordered, 1, generator=row.sampler)])
