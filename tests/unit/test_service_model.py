from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from assay.aws.endpoint_model import EndpointModel
from assay.aws.service_model import Clients
from assay.contracts.config import EvaluationSection
from assay.inference.errors import UnavailableError


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def take() -> None:
            try:
                while True:
                    taken.append(server.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)
        for connection in taken:
            connection.close()


@pytest.mark.parametrize(
    ("seconds", "waits"), [(0.1, 1.0), (1.0, 1.0), (1.6, 1.414), (2.0, 2.0), (10.0, 8.0), (59.0, 45.25), (65.0, 60.0)]
)
def test_a_client_gives_up_in_time_and_not_much_before(seconds: float, waits: float) -> None:
    clients = Clients("sagemaker-runtime", connections=1, request_seconds=60.0)
    assert clients.within(seconds).meta.config.read_timeout == pytest.approx(waits, rel=0.01)
    assert clients.within(seconds) is clients.within(seconds)


def test_an_endpoint_that_is_silent_is_given_up_at_the_requests_deadline(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", silent)
    model = EndpointModel("e", EvaluationSection(), 1)
    with pytest.raises(UnavailableError, match="ReadTimeoutError"):
        model.ask("hello", deadline_seconds=1.0)
