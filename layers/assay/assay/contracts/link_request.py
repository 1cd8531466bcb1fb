"""A browser's request to an approval link, as a Lambda function URL hands it on (payload format 2.0)."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict

LONGEST_BODY = 10_000


class LinkRequest(BaseModel):
    """What was asked.

    Attributes:
        token: the secret part of the link, empty without one.
        form: the fields of a form that was sent, each once; empty for a page that was opened.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    token: str = ""
    form: dict[str, str] = {}

    @classmethod
    def from_url_event(cls, event: dict[str, Any]) -> LinkRequest:
        """Read the event. Whatever a form or an address holds beyond what is known is left alone.

        Raises:
            KeyError: it is not an event of a function URL.
        """
        method = str(event["requestContext"]["http"]["method"]).upper()
        query = event.get("queryStringParameters") or {}
        form = _form(event) if method == "POST" else {}
        return cls(method=method, token=form.get("token") or str(query.get("token", "")), form=form)


def _form(event: dict[str, Any]) -> dict[str, str]:
    body = str(event.get("body") or "")
    if len(body) > LONGEST_BODY:
        return {}
    try:
        text = base64.b64decode(body).decode() if event.get("isBase64Encoded") else body
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {name: values[0] for name, values in parse_qs(text, max_num_fields=20).items()}
