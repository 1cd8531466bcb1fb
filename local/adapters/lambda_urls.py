"""Function URLs are served by the front; moto keeps their configuration and answers nothing."""

from __future__ import annotations

from local.cloud import Cloud
from local.front import route
from local.functions import urls


def install(_cloud: Cloud) -> None:
    """Serve what is below the path of the URLs; a second cloud starts without any."""
    urls.forget()
    route(lambda request: request.path.startswith(urls.PATH), urls.answer)
