"""A packed folder as somebody else wrote it, read one member after the other in bounded memory.

``tarfile`` reads a long name, a map of holes or an extended header whole, however long it says it is, and keeps all
that it read; so its blocks are taken apart here, and only what ``pack`` writes: files, folders, links, and extended
headers (pax) of at most MAX_EXTRA bytes.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from typing import IO, Final, Protocol, cast

MAX_EXTRA: Final = 1 << 16
STEP: Final = 1 << 16
BLOCK: Final = tarfile.BLOCKSIZE
TAKEN: Final = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE})
TOLD: Final = frozenset({"path", "linkpath", "size", "mtime"})
"""What is taken of an extended header."""
LATEST: Final = 1 << 40
"""Seconds since 1970 that a disk may be asked to note."""
NO_HEADER: Final = "the folder has a header that is none"


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class Part:
    """The bytes of one file, to be read before the next member is asked for."""

    def __init__(self, stream: Readable, size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        """At most STEP bytes. Raises EOFError."""
        taken = min(self._left, STEP if size < 0 else min(size, STEP))
        data = _exactly(self._stream, taken)
        self._left -= taken
        return data


def members(source: Readable, *, most: int, most_bytes: int) -> Iterator[tuple[tarfile.TarInfo, Part | None]]:
    """Each with its bytes where it is a file. Raises ValueError, tarfile.TarError, EOFError, zlib.error, OSError."""
    stream = gzip.GzipFile(fileobj=cast(IO[bytes], source), mode="rb")
    count = size = 0
    extra: dict[str, str] | None = None
    while any(block := _exactly(stream, BLOCK)):
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        is_extra = info.type == tarfile.XHDTYPE
        if not is_extra:
            _amend(info, extra or {})
        length = info.size if is_extra or info.isreg() else 0
        count, size = count + (not is_extra), size + max(0, length)
        if count > most or size > most_bytes or length < 0:
            raise ValueError(f"the folder has more than {most} files, or {most_bytes >> 20} MiB")
        if is_extra:
            if extra is not None or length > MAX_EXTRA:
                raise ValueError("the folder has a header that is too long")
            extra = _pax(_exactly(stream, length))
        else:
            if info.type not in TAKEN:
                raise ValueError("the folder has something that is no file, folder or link")
            extra, part = None, Part(stream, length) if info.isreg() else None
            yield info, part
            while part is not None and part.read():
                pass
        _exactly(stream, -length % BLOCK)
    for _ in range(MAX_EXTRA // BLOCK):  # the sum at the end is looked at, too
        if not (block := stream.read(BLOCK)):
            return
        if any(block):
            break
    raise ValueError("the folder has something behind its end")


def _exactly(stream: Readable, size: int) -> bytes:
    data = stream.read(size) if size else b""
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise EOFError("it ends in the middle")
        data += more
    return data


def _pax(data: bytes) -> dict[str, str]:
    """Records "LENGTH key=value\\n". Raises ValueError."""
    found, at = {}, 0
    while at < len(data):
        length, _, _ = data[at : at + 20].partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(data) - at:
            raise ValueError(NO_HEADER)
        record = data[at + len(length) + 1 : at + int(length)].decode("utf-8", "surrogateescape")
        key, is_there, value = record.partition("=")
        if not is_there or not value.endswith("\n"):
            raise ValueError(NO_HEADER)
        if key in TOLD:
            found[key] = value[:-1]
        at += int(length)
    return found


def _amend(info: tarfile.TarInfo, extra: dict[str, str]) -> None:
    """What was too long for the block itself. Raises ValueError."""
    info.name = extra.get("path", info.name).rstrip("/")
    info.linkname = extra.get("linkpath", info.linkname)
    try:
        info.size = int(extra.get("size", info.size))
        info.mtime = float(extra.get("mtime", info.mtime))
    except ValueError:
        raise ValueError(NO_HEADER) from None
    if not 0 <= info.mtime < LATEST:
        info.mtime = 0
