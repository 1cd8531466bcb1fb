"""Servers that benchmarks speak to, each in a process of its own on a free port of the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

REPLY = b'[{"generated_text": "The capital is Paris, as far as I know; it has been so for a long time."}]'


def aws_environment() -> dict[str, str]:
    """Keys and a region that no service has ever seen."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return {**keys, "AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1"}


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """moto's server; its URL."""
    with _running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1"], "-p") as url:
        yield url


@contextlib.contextmanager
def slow_endpoint(latency_seconds: float) -> Iterator[str]:
    """A model endpoint that answers each request after the same time, however many there are; its URL."""
    with _running([sys.executable, "-m", "benchmarks.servers", str(latency_seconds)], None) as url:
        yield url


@contextlib.contextmanager
def _running(command: list[str], option: str | None) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command += [str(port)] if option is None else [option, str(port)]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,  # noqa: S603
    ):
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError("the server ended before it served")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not serve within {seconds:.0f} s")


async def _serve(latency_seconds: float, port: int) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(REPLY)}\r\n\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                headers = await reader.readuntil(b"\r\n\r\n")
                found = [line for line in headers.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(found[0].partition(b":")[2]) if found else 0)
                await asyncio.sleep(latency_seconds)
                writer.write(head + REPLY)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), int(sys.argv[2])))
