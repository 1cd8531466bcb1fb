"""Which names a prompt template holds."""

from __future__ import annotations

import string

PROMPT_VARIABLES = ("model_input", "feature", "prompt")


def that_shows_the_prompt(template: str) -> str:
    """The template itself.

    Raises:
        ValueError: the record's input stands nowhere in it.
    """
    if not set(PROMPT_VARIABLES) & set(string.Template(template).get_identifiers()):
        names = ", ".join(f"${name}" for name in PROMPT_VARIABLES)
        raise ValueError(f"one of {names} must stand in it, or every prompt would be the same")
    return template


def columns_named(template: str) -> list[str]:
    """The catalog's columns that a template names, in its order."""
    return [name for name in string.Template(template).get_identifiers() if name not in PROMPT_VARIABLES]
