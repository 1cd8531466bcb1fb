"""From the pieces of a catalog's file to its lines, in bounded memory: gzip is unpacked, and too long lines let go."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

MAX_LINE_BYTES = 1_048_576

_GZIP = b"\x1f\x8b"
_PIECE = 262_144
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class BrokenFileError(Exception):
    """From here on the file cannot be read; the message says why."""


def numbered_lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Number the lines of a file, from 1.

    Args:
        chunks: the file cut anywhere, itself or packed with gzip (told by its first bytes, not by its name).

    Yields:
        The line's number, and the line without its newline; None for one of more than `MAX_LINE_BYTES`.

    Raises:
        BrokenFileError: the gzip file is damaged or cut off, or the text is UTF-16.
    """
    number, size = 0, 0
    pending: list[bytes] = []
    for chunk in _unpacked(chunks):
        head, *others = chunk.split(b"\n")
        for index, part in enumerate((head, *others)):
            if index:
                number += 1
                yield number, _line(number, pending, size)
                pending, size = [], 0
            size += len(part)
            if size > MAX_LINE_BYTES:
                pending.clear()
            elif part:
                pending.append(part)
    if size:
        yield number + 1, _line(number + 1, pending, size)


def _line(number: int, pending: list[bytes], size: int) -> bytes | None:
    if size > MAX_LINE_BYTES:
        return None
    line = pending[0] if len(pending) == 1 else b"".join(pending)
    if number == 1 and line.startswith(_UTF16):
        raise BrokenFileError("the file is UTF-16; a catalog is UTF-8")
    return line


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    pieces = iter(chunks)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= len(_GZIP):
            break
    whole = chain([head], pieces)
    return _gunzip(whole) if head.startswith(_GZIP) else whole


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack one gzip member after the other, never more than a piece at once, however much it was packed."""
    member = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        data = chunk
        while True:
            if member.eof:
                data = data.lstrip(b"\0")  # padding after a member, as tar and tapes leave it
                if not data:
                    break
                member = zlib.decompressobj(wbits=31)
            try:
                piece = member.decompress(data, _PIECE)
            except zlib.error as error:
                raise BrokenFileError(f"not a whole gzip file: {error}") from error
            if piece:
                yield piece
            data = member.unused_data if member.eof else member.unconsumed_tail
            if not data:
                break
    if not member.eof:
        raise BrokenFileError("not a whole gzip file: it ends too early")
