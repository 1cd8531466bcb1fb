"""Small data and models for both sides: a WordNet of a few words, untrained detectors of toxicity.

The true ones cannot be had without a hub. That both sides give the same numbers does not depend on what was learned.
The detectors are in double precision, in which a batch changes nothing that counts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SYNONYMS = {
    "n": [["car", "automobile"], ["city", "town", "metropolis"], ["river", "stream"], ["capital", "seat"]],
    "v": [["large", "big"], ["buy", "purchase"], ["lie", "rest"]],
    "a": [["small", "little"]],
    "r": [["quickly", "fast"]],
}
_FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
_HEAD = "  1 A few words in the format of WordNet 3.0 Copyright nobody.  \n"


def make_nltk_data(folder: Path) -> Path:
    """NLTK's `corpora/wordnet` (the format of wndb(5WN)) and `tokenizers/punkt_tab`, both small."""
    wordnet = folder / "corpora" / "wordnet"
    wordnet.mkdir(parents=True)
    for part, file in _FILES.items():
        data, index = _HEAD, {}
        for words in SYNONYMS[part]:
            offset = len(data.encode())
            data += f"{offset:08d} 03 {part} {len(words):02x} {' '.join(f'{word} 0' for word in words)} 000 | words  \n"
            for word in words:
                index[word] = offset
        (wordnet / f"data.{file}").write_text(data)
        lines = [f"{word} {part} 1 0 1 0 {offset:08d}  \n" for word, offset in sorted(index.items())]
        (wordnet / f"index.{file}").write_text(_HEAD + "".join(lines))
        (wordnet / f"{file}.exc").write_text("cities city\n" if part == "n" else "")
    (wordnet / "lexnames").write_text("".join(f"{number:02d}\tany.{number}\t1\n" for number in range(45)))
    (wordnet / "index.sense").write_text("")
    (wordnet / "cntlist.rev").write_text("")
    punkt = folder / "tokenizers" / "punkt_tab" / "english"
    punkt.mkdir(parents=True)
    (punkt / "abbrev_types.txt").write_text("dr\nst\n")
    (punkt / "collocations.tab").write_text("")
    (punkt / "sent_starters.txt").write_text("the\n")
    (punkt / "ortho_context.tab").write_text("the\t46\n")
    return folder


def make_tokenizer(folder: Path) -> None:
    """A byte-level tokenizer in RoBERTa's format, without merges."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(letters)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "RobertaTokenizer", "model_max_length": 128})
    )


def _roberta(labels: int) -> Any:
    import torch
    from transformers import RobertaConfig, RobertaForSequenceClassification

    torch.manual_seed(labels)
    config = RobertaConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=140, num_labels=labels, initializer_range=0.5,
    )  # fmt: skip
    return RobertaForSequenceClassification(config).double()


def make_toxigen(folder: Path) -> Path:
    """What `tomh/toxigen_roberta` holds, untrained."""
    make_tokenizer(folder)
    _roberta(2).save_pretrained(folder)
    return folder


def make_detoxify(folder: Path) -> Path:
    """What Assay's `toxicity_model` holds for detoxify: torch's `checkpoints`, and `roberta-base` beside it."""
    import torch

    model = _roberta(7)
    make_tokenizer(folder / "roberta-base")
    model.config.save_pretrained(folder / "roberta-base")
    (folder / "checkpoints").mkdir()
    arch = {
        "model_name": "RobertaForSequenceClassification",
        "model_type": "roberta-base",
        "tokenizer_name": "RobertaTokenizer",
        "num_classes": 7,
    }
    checkpoint = {"config": {"arch": {"args": arch}}, "state_dict": model.state_dict()}
    torch.save(checkpoint, folder / "checkpoints" / "toxic_debiased-c7548aa0.ckpt")
    return folder


def lay_in_hub_cache(source: Path, cache: Path, name: str) -> None:
    """Copy a model's files to where the Hugging Face cache keeps those of a repository."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0")
    for file in source.iterdir():
        if file.is_file():
            (snapshot / file.name).write_bytes(file.read_bytes())
