"""fmeval's normalization of text with the same result, and no step of Python's for each character.

It is where FactualKnowledge and QAAccuracy spend most of their time.
"""

from __future__ import annotations

from types import ModuleType

NAME = "normalize_text_quac_protocol"


def normalize_quickly(*modules: ModuleType) -> None:
    """Let these modules of fmeval normalize by `str.translate`; what they drop, `fmeval.eval_algorithms.util` says."""
    from fmeval.eval_algorithms import util

    dropped = str.maketrans("", "", util.ENGLISH_PUNCTUATIONS)
    articles = frozenset(util.ENGLISH_ARTICLES)

    def normalized(text: str) -> str:
        words = text.lower().translate(dropped).split(" ")
        return " ".join([word for word in words if word and word not in articles])

    for module in modules:
        if not hasattr(module, NAME):
            raise AttributeError(f"{module.__name__} has no {NAME}: this was written for fmeval 1.2.3")
        setattr(module, NAME, normalized)
