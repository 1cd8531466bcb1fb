"""The page behind a link in an approval mail: what is asked, and what came of the answer. It loads and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    # The link stands in the page's own address.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


def question_page(properties: Mapping[str, str], *, version: int, group: str, token: str, fault: str = "") -> str:
    """Ask for a decision. Showing the page decides nothing: mail scanners open links.

    Args:
        properties: the package's metadata.
        fault: what was wrong with an answer that came before.
    """
    return _render(
        title=f"{properties.get('model', 'The model')}, version {version} of {group}",
        properties=properties,
        token=token,
        fault=fault,
        message="",
    )


def message_page(title: str, message: str) -> str:
    """Say what came of it."""
    return _render(title=title, properties={}, token="", fault="", message=message)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(**values: object) -> str:
    return _environment().get_template("approval.html.j2").render(**values)
