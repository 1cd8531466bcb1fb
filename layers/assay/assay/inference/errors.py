"""What can go wrong with one request to a model. The runner makes a `Failure` of each."""

from __future__ import annotations

from assay.contracts.errors import AssayError


class ModelCallError(AssayError):
    """A request to a model brought no answer.

    Attributes:
        kind: stable word to group failures by.
        reason: one sentence for people; holds no prompt and no response.
        request_id: the service's id of the request, where it gave one.
        retry_after_seconds: how long the service asks to be left alone, where it says so.
    """

    kind = "ModelError"

    def __init__(self, reason: str, *, request_id: str | None = None, retry_after_seconds: float | None = None) -> None:
        self.reason = reason
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds
        super().__init__(reason)


class ThrottledError(ModelCallError):
    """The model has too much to do (429, ThrottlingException). Asked again, and everybody asks more slowly."""

    kind = "Throttled"


class UnavailableError(ModelCallError):
    """A server error (5xx), a lost connection or a timeout. Asked again."""

    kind = "Unavailable"


class ModelAnswerError(ModelCallError):
    """The model refused the request (4xx) or its reply cannot be read. The same request would end the same way."""


class MalformedReplyError(ModelAnswerError):
    """The reply is not what the config's `output` says."""

    kind = "MalformedReply"


class ContentFilteredError(ModelAnswerError):
    """A guardrail or a content filter kept the answer back."""

    kind = "ContentFiltered"


class UnforeseenError(ModelAnswerError):
    """A provider raised something that it does not say it raises."""

    kind = "UnforeseenError"


class NotConnectedError(AssayError):
    """A model cannot be asked at all: a plug-in, a key or a setting is missing. The message says which."""
