"""Run a command where no network exists but loopback: python tools/offline.py COMMAND [ARGUMENT ...]

A new network namespace of Linux, with the caller made its root. Sets ASSAY_NETWORK=cut for the command. Where the
kernel does not grant one (some containers), it says so and runs the command as it is.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def cut_network() -> None:
    """Move this process into a namespace with nothing but loopback."""
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    flags = CLONE_NEWNET if user == 0 else CLONE_NEWUSER | CLONE_NEWNET
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if flags & CLONE_NEWUSER:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sh14x", b"lo", 0)
        (_, present) = struct.unpack("16sh14x", fcntl.ioctl(probe, SIOCGIFFLAGS, request))
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", present | IFF_UP))


def main() -> None:
    """Cut the network where that is possible, then become the command."""
    try:
        cut_network()
        os.environ["ASSAY_NETWORK"] = "cut"
    except OSError as error:
        sys.stderr.write(f"no network namespace is to be had here ({error.strerror}): the network stays on\n")
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - becoming the command is the point


if __name__ == "__main__":
    main()
