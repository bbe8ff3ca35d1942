"""Entries found by looking through a file's pages, where the way to them is gone.

SQLite finds a row from the root of its table downwards: one torn page near the root hides thousands of sound rows.
Entries prove themselves (hash and signature), so it is safe to take them wherever they lie: in pages that nothing
leads to, and in the write-ahead log. The file format is SQLite's, https://sqlite.org/fileformat2.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

_LEAF: Final = 0x0D
_MAX_ROW: Final = 1 << 20
_COLUMNS: Final = 5
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_PAGE_SIZES: Final = frozenset(1 << n for n in range(9, 17))
_INTEGER_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class Found(NamedTuple):
    """A row that looks like one of ``entries``; what is in it is for whoever takes it to check."""

    place: int
    header: bytes
    signature: bytes
    payload: bytes | None
    shown: int | None


def carve(database: Path) -> Iterator[Found]:
    """Every row of five columns of the right types in any page. One may come several times."""
    with database.open("rb") as file:
        size = _page_size(file)
        wal = database.with_name(database.name + "-wal")
        if wal.exists():
            with wal.open("rb") as log:
                yield from _Pages(size, file, log).rows()
        else:
            yield from _Pages(size, file, None).rows()


def _page_size(file: BinaryIO) -> int:
    head = file.read(100)
    size = int.from_bytes(head[16:18], "big") if len(head) == 100 else 0
    size = 65536 if size == 1 else size
    return size if size in _PAGE_SIZES else 4096  # what SQLite has made files with for years


class _Pages:
    """Pages by number; of one that is in the write-ahead log too, its newest there."""

    def __init__(self, size: int, file: BinaryIO, wal: BinaryIO | None) -> None:
        self._size = size
        self._file = file
        self._wal = wal
        self._count = file.seek(0, 2) // size
        self._newer: dict[int, int] = {}
        if wal is not None:
            frames = max(0, wal.seek(0, 2) - _WAL_HEADER) // (size + _FRAME_HEADER)
            for frame in range(frames):
                at = _WAL_HEADER + frame * (size + _FRAME_HEADER)
                wal.seek(at)
                self._newer[int.from_bytes(wal.read(4), "big")] = at + _FRAME_HEADER

    def rows(self) -> Iterator[Found]:
        for number in range(1, self._count + 1):
            yield from self._leaf(self._stored(number))
        for number in self._newer:
            yield from self._leaf(self._page(number))

    def _stored(self, number: int) -> bytes:
        self._file.seek((number - 1) * self._size)
        return self._file.read(self._size)

    def _page(self, number: int) -> bytes:
        if self._wal is not None and number in self._newer:
            self._wal.seek(self._newer[number])
            return self._wal.read(self._size)
        return self._stored(number) if 0 < number <= self._count else b""

    def _leaf(self, page: bytes) -> Iterator[Found]:
        if len(page) < self._size or page[0] != _LEAF:
            return
        cells = int.from_bytes(page[3:5], "big")
        for cell in range(min(cells, self._size // 4)):
            at = int.from_bytes(page[8 + 2 * cell : 10 + 2 * cell], "big")
            try:
                if (row := self._cell(page, at)) is not None:
                    yield row
            except (IndexError, ValueError):
                continue  # what the page says of this cell is nonsense

    def _cell(self, page: bytes, at: int) -> Found | None:
        length, at = _varint(page, at)
        place, at = _varint(page, at)
        if not 0 < length <= _MAX_ROW:
            return None
        return _record(place, self._payload(page, at, length))

    def _payload(self, page: bytes, at: int, length: int) -> bytes:
        """A cell's bytes, from its page and those it overflows into."""
        most = self._size - 35
        if length <= most:
            return page[at : at + length]
        least = (self._size - 12) * 32 // 255 - 23
        local = least + (length - least) % (self._size - 4)
        local = local if local <= most else least
        data = bytearray(page[at : at + local])
        after = int.from_bytes(page[at + local : at + local + 4], "big")
        while after and len(data) < length:
            more = self._page(after)
            if not more:
                raise ValueError("it goes on in a page that is not there")
            data += more[4:]
            after = int.from_bytes(more[:4], "big")
        return bytes(data[:length])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(9):
        byte = data[at]
        at += 1
        if count == 8:
            return (value << 8) | byte, at
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            break
    return value, at


def _record(place: int, data: bytes) -> Found | None:
    end, at = _varint(data, 0)
    types: list[int] = []
    while at < end and len(types) <= _COLUMNS:
        kind, at = _varint(data, at)
        types.append(kind)
    if len(types) != _COLUMNS or types[0] != 0:  # the first is the row's own number, kept outside
        return None
    values: list[Any] = []
    for kind in types:
        width = _INTEGER_BYTES.get(kind, (kind - 12) // 2 if kind >= 12 and kind % 2 == 0 else 0)
        raw = data[at : at + width]
        at += width
        if len(raw) != width or kind in (7, 10, 11) or (kind >= 13 and kind % 2):
            return None
        number = 1 if kind == 9 else int.from_bytes(raw, "big", signed=True)
        values.append(None if kind == 0 else raw if kind >= 12 else number)
    _, header, signature, payload, shown = values
    if (
        type(header) is not bytes
        or type(signature) is not bytes
        or type(payload) is int
        or type(shown) is bytes
    ):
        return None
    return Found(place, header, signature, payload, shown)
