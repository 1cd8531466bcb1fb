"""Answers of functions that carry out custom resources come in through the front."""

from __future__ import annotations

from local import stack_answers
from local.cloud import Cloud
from local.front import route


def install(_cloud: Cloud) -> None:
    """Take what is put below the path of the answers."""
    stack_answers.forget()
    route(lambda request: request.path.startswith(stack_answers.PATH), stack_answers.take)
