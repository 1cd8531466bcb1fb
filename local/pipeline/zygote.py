"""A process that has imported the image's heavy packages, and becomes each Python process of a step by forking.

    <image's python> zygote.py SOCKET MODULE…

Starting Python and importing the SDK is most of what a short step costs. `python` in a step's container is then a
client (`CLIENT`) that hands its arguments, environment, folder and open files to this process. The fork sees what a
process of its own would: that environment and no other, the container's packages before the image's, no module of the
project. It is run by the image's interpreter, apart from the local cloud, and imports nothing of it.
"""

from __future__ import annotations

import array
import contextlib
import importlib
import json
import os
import runpy
import signal
import site
import socket
import sys
import threading
import traceback
from pathlib import Path

LARGEST_REQUEST = 1 << 20

CLIENT = """\
#!{python} -ISE
import array, json, os, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect({socket!r})
request = json.dumps([{executable!r}, sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
link.sendmsg(
    [len(request).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
)
link.sendall(request)
answer = link.recv(1)
os._exit(answer[0] if answer else 137)
"""


def main() -> None:
    """Import what is named, then fork for each client until the socket's owner is gone."""
    address, *modules = sys.argv[1:]
    for name in modules:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        parent = os.getppid()
        listener.settimeout(5.0)
        while os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                link, _ = listener.accept()
                link.settimeout(None)
                if os.fork() == 0:
                    listener.close()
                    _keep(link)
                link.close()


def _keep(link: socket.socket) -> None:
    """Beside each process one that waits for it and answers the client, and kills it when the client is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, ancillary, _, _ = link.recvmsg(4, socket.CMSG_SPACE(12))
    files = array.array("i")
    files.frombytes(ancillary[0][2][:12])
    request = b""
    length = int.from_bytes(head, "big")
    while len(request) < length:
        request += link.recv(min(LARGEST_REQUEST, length - len(request)))
    executable, arguments, environment, folder = json.loads(request)
    child = os.fork()
    if child == 0:
        link.close()
        os.setpgid(0, 0)
        _become(executable, arguments, environment, folder, list(files))

    def watch() -> None:
        if not link.recv(1):  # the client says nothing more: it has been killed
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    with contextlib.suppress(OSError):
        link.sendall(bytes([code if code >= 0 else 128 - code]))
    os._exit(0)


def _become(executable: str, arguments: list[str], environment: dict[str, str], folder: str, files: list[int]) -> None:
    """Be the process that was asked for."""
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.executable = executable
        prefix = Path(executable).parent.parent
        sys.prefix = sys.exec_prefix = str(prefix)
        packages = next((prefix / "lib").glob("python3.*")) / "site-packages"
        known = len(sys.path)
        site.addsitedir(str(packages))
        sys.path[:] = [*sys.path[known:], *sys.path[1:known]]  # without this file's folder
        for entry in reversed(environment.get("PYTHONPATH", "").split(":")):
            if entry:
                sys.path.insert(0, entry)
        _run(arguments)
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 0 if ending.code is None else 1
    except BaseException:  # noqa: BLE001 - as an interpreter does with whatever reaches it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        os._exit(code)


def _run(arguments: list[str]) -> None:
    while arguments and arguments[0] in ("-u", "-B"):
        arguments = arguments[1:]
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        sys.path.insert(0, "")
        exec(compile(arguments[1], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
