"""Blobs on the disk: a file each, named by its hash, in a folder for each first byte of it.

    blobs/ab/cdef…          a whole blob: its chunks, then its list (maw.core.blobs)
    blobs/ab/cdef….part     one that is being fetched: its first chunks,
    blobs/ab/cdef….list     and its list, once that came
    blobs/ab/cdef….damaged  one of which a part is not as it was written, and that is perhaps the only one
    blobs/new.…             one that is being made, and nothing after a start

A whole one was synced before it got its name. The folder itself is what is believed of what is held: nothing else has
to be kept in step with it. When a blob was last used, its file's time says. Everything here waits for the disk, and
raises OSError as the disk does; damage is no error but an absence.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from maw.core.blobs import HASH_BYTES, SEALED_CHUNK, blob_hash, chunk_hash, hash_in

_RECORD: Final = SEALED_CHUNK + HASH_BYTES
_MODE: Final = 0o600
_NAME: Final = HASH_BYTES * 2
_ENDINGS: Final = ("", "part", "list", "damaged")


class Held(NamedTuple):
    """``size``: bytes on the disk; ``used``: unix seconds; ``whole``: False for one that is being fetched."""

    size: int
    used: float
    whole: bool


class Draft:
    """A blob that is being made of somebody's file. Not thread-safe."""

    def __init__(self, folder: BlobFolder) -> None:
        self._folder = folder
        folder.make()
        self._path = folder.path / f"new.{os.urandom(8).hex()}"
        self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        self._hashes = bytearray()

    def add(self, sealed: bytes) -> None:
        """The next chunk."""
        _write(self._handle, sealed)
        self._hashes += chunk_hash(sealed)

    def finish(self) -> bytes:
        """Its hash: it is on the disk under that, and stays."""
        hashes = bytes(self._hashes)
        name = blob_hash(hashes)
        _write(self._handle, hashes)
        os.fsync(self._handle)
        os.close(self._handle)
        self._handle = -1
        self._folder.put(self._path, name)
        return name

    def drop(self) -> None:
        """Harmless after ``finish``."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        self._path.unlink(missing_ok=True)


class BlobFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def scan(self) -> dict[bytes, Held]:
        """What is here; what was being made when the process ended is removed."""
        found: dict[bytes, Held] = {}
        with suppress(FileNotFoundError):
            for entry in list(os.scandir(self.path)):
                if entry.name.startswith("new."):
                    Path(entry.path).unlink()
                elif entry.is_dir(follow_symlinks=False):
                    with os.scandir(entry.path) as inside:
                        for one in inside:
                            _note(found, entry.name, one)
        return found

    def look_at(self, name: bytes) -> Held | None:
        """What is here of this one."""
        size, used, whole = 0, 0.0, False
        for path in self._all(name):
            with suppress(FileNotFoundError):
                info = path.stat()
                size, used = size + info.st_size, max(used, info.st_mtime)
                whole = whole or not path.suffix
        return Held(size, used, whole) if used else None

    def file(self, name: bytes) -> Path:
        text = name.hex()
        return self.path / text[:2] / text[2:]

    def _part(self, name: bytes) -> Path:
        return self.file(name).with_suffix(".part")

    def _list(self, name: bytes) -> Path:
        return self.file(name).with_suffix(".list")

    def _damaged(self, name: bytes) -> Path:
        return self.file(name).with_suffix(".damaged")

    def _all(self, name: bytes) -> tuple[Path, ...]:
        return self.file(name), self._part(name), self._list(name), self._damaged(name)

    def make(self) -> None:
        """The folder itself, durably."""
        with suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
            _sync_folder(self.path.parent)

    def _make_folder(self, place: Path) -> None:
        """The one in which ``place`` is: whoever makes it syncs it, for who comes later finds it there."""
        self.make()
        with suppress(FileExistsError):
            place.parent.mkdir(mode=0o700)
            _sync_folder(self.path)

    def put(self, made: Path, name: bytes) -> None:
        """Give a synced file its name, durably."""
        place = self.file(name)
        self._make_folder(place)
        made.rename(place)
        _sync_folder(place.parent)

    def drop(self, name: bytes) -> None:
        for path in self._all(name):
            path.unlink(missing_ok=True)

    def touch(self, name: bytes) -> None:
        """It is used now. Where the disk does not take that, only the order in which copies go is another."""
        with suppress(OSError):
            os.utime(self.file(name))

    # -- whole ones ---------------------------------------------------------------------------------

    def hashes(self, name: bytes) -> bytes | None:
        """The list of a whole blob; None when it is not here or not its own."""
        return self._read(name, None)

    def chunk(self, name: bytes, number: int) -> bytes | None:
        """A chunk of a whole blob; None when it is not here or not as the list has it."""
        return self._read(name, number)

    def _read(self, name: bytes, number: int | None) -> bytes | None:
        try:
            handle = os.open(self.file(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            size = os.fstat(handle).st_size
            count = -(-size // _RECORD)
            end = size - count * HASH_BYTES
            if number is None:
                hashes = os.pread(handle, count * HASH_BYTES, max(0, end))
                return hashes if blob_hash(hashes) == name else None
            if not 0 <= number < count:
                return None
            data = os.pread(handle, min(SEALED_CHUNK, end - number * SEALED_CHUNK), number * SEALED_CHUNK)
            wanted = os.pread(handle, HASH_BYTES, end + number * HASH_BYTES)
            return data if chunk_hash(data) == wanted else None
        finally:
            os.close(handle)

    def damaged(self, name: bytes) -> int | None:
        """The first chunk of a whole blob that is not as it was written; None when all are sound."""
        hashes = self.hashes(name)
        if hashes is None:
            return 0
        for number in range(len(hashes) // HASH_BYTES):
            data = self.chunk(name, number)
            if data is None or chunk_hash(data) != hash_in(hashes, number):
                return number
        return None

    def demote(self, name: bytes, *, aside: bool) -> bool:
        """Whether it is damaged. Then the chunks before the damage stay, as of one that is being fetched; or all of it
        does, ``aside``. A list that was damaged alone is made again from the chunks."""
        if (hashes := self.hashes(name)) is None:
            hashes = self._mend_list(name)
        first = 0 if hashes is None else self.damaged(name)
        if first is None:
            return False
        with suppress(FileNotFoundError):
            if aside:
                self.file(name).replace(self._damaged(name))
            elif hashes is None:
                self.file(name).unlink()
            else:
                self.keep_list(name, hashes)
                self.file(name).rename(self._part(name))
                os.truncate(self._part(name), first * SEALED_CHUNK)
        return True

    def _mend_list(self, name: bytes) -> bytes | None:
        """The list of a whole blob, written again; None when its chunks are not this blob's."""
        hashes, end = bytearray(), 0
        try:
            with self.file(name).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                end = size - -(-size // _RECORD) * HASH_BYTES
                for at in range(0, end, SEALED_CHUNK):
                    hashes += chunk_hash(file.read(min(SEALED_CHUNK, end - at)))
        except FileNotFoundError:
            return None
        if blob_hash(bytes(hashes)) != name:
            return None
        _put(self.file(name), bytes(hashes), end, sync=True)
        return bytes(hashes)

    # -- those that are being fetched ---------------------------------------------------------------

    def begun(self, name: bytes) -> tuple[bytes | None, int]:
        """What is here of one that is being fetched: its list, and how many sound chunks from the first on."""
        try:
            hashes = self._list(name).read_bytes()
        except FileNotFoundError:
            hashes = b""
        if blob_hash(hashes) != name:
            self._part(name).unlink(missing_ok=True)
            return None, 0
        kept = 0
        try:
            with self._part(name).open("r+b") as file:
                end = 0
                while kept < len(hashes) // HASH_BYTES:
                    data = file.read(SEALED_CHUNK)
                    if not data or chunk_hash(data) != hash_in(hashes, kept):
                        break
                    kept, end = kept + 1, end + len(data)
                file.truncate(end)
        except FileNotFoundError:
            pass
        return hashes, kept

    def keep_list(self, name: bytes, hashes: bytes) -> None:
        place = self._list(name)
        self._make_folder(place)
        _put(place, hashes, 0)

    def keep_chunk(self, name: bytes, number: int, data: bytes) -> None:
        _put(self._part(name), data, number * SEALED_CHUNK)

    def finish(self, name: bytes) -> None:
        """All chunks of it are here: it is a whole one from now on."""
        part, hashes = self._part(name), self._list(name).read_bytes()
        handle = os.open(part, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            _write(handle, hashes)
            os.fsync(handle)
        finally:
            os.close(handle)
        self.put(part, name)
        self._list(name).unlink(missing_ok=True)
        self._damaged(name).unlink(missing_ok=True)


def _note(found: dict[bytes, Held], first: str, entry: os.DirEntry[str]) -> None:
    stem, _, ending = entry.name.partition(".")
    try:
        name = bytes.fromhex(first + stem)
    except ValueError:
        return
    if len(first + stem) != _NAME or ending not in _ENDINGS:
        return
    info = entry.stat(follow_symlinks=False)
    before = found.get(name, Held(0, 0.0, False))
    found[name] = Held(
        before.size + info.st_size, max(before.used, info.st_mtime), before.whole or not ending
    )


def _put(path: Path, data: bytes, offset: int, *, sync: bool = False) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    try:
        while data:
            done = os.pwrite(handle, data, offset)
            data, offset = data[done:], offset + done
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
