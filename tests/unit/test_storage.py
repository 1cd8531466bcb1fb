from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import ClientError

from assay.aws.storage import Storage


@pytest.fixture
def weary(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """S3 that answers the first eight requests with 503; the statuses that it gave."""
    statuses: list[int] = []

    class Weary(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            statuses.append(503 if len(statuses) < 8 else 200)
            self.send_response(statuses[-1])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Be quiet."""

    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with ThreadingHTTPServer(("127.0.0.1", 0), Weary) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        monkeypatch.setattr(time, "sleep", lambda _seconds: None)
        yield statuses
        server.shutdown()
        thread.join(timeout=5)


def test_a_job_outlasts_a_weary_s3(weary: list[int]) -> None:
    Storage.patient("bucket").write("key", b"hours of work")
    assert weary == [503] * 8 + [200]


def test_what_is_asked_for_quickly_is_given_up_sooner(weary: list[int]) -> None:
    with pytest.raises(ClientError, match="503"):
        Storage("bucket").write("key", b"a report")
    assert 1 <= len(weary) < 8
