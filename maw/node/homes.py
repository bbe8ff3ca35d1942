"""An agent's folder as one file: packed on its old host, looked through on the new one, unpacked there by its owner.

Of what comes from another host nothing is believed: only files, folders and links that stay inside are taken, under
relative names, with the rights of files and no owner; and no more of it than MAX_FILES and MAX_BYTES. What it takes of
memory to look is bounded, whatever it says.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, Final

from maw.node.untarring import Part, Readable, members

MAX_FILES: Final = 100_000
MAX_BYTES: Final = 2 << 30
MAX_NAME: Final = 1024
LEFT_OUT: Final = (".maw",)
"""The machine's own: locks and journals of the old host mean nothing on the new one."""


def pack(home: Path, into: IO[bytes]) -> int:
    """Writes the folder into ``into``; how many files it has. What is neither file, folder nor a link that stays inside
    is left out. Raises OSError."""
    count = 0
    with tarfile.open(fileobj=into, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=6) as tar:
        for path in _walk(home):
            name = path.relative_to(home).as_posix()
            info = tar.gettarinfo(path, arcname=name)
            if info is None or (info.issym() and not _goes_along(home, name, info.linkname)):
                continue
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            if info.islnk():  # a second name of a file: it comes as a file of its own
                info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.stat().st_size
            if info.isreg():
                with path.open("rb") as file:
                    tar.addfile(info, file)
                count += 1
            elif info.isdir() or info.issym():
                tar.addfile(info)
    return count


def _walk(home: Path) -> Iterator[Path]:
    for path in sorted(home.iterdir()):
        if path.parent == home and path.name in LEFT_OUT:
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def check_packed(source: Readable) -> None:
    """Raises ValueError for what would not be unpacked."""
    with _reading():
        for _ in _members(source):
            pass


def check_free(target: Path) -> None:
    """Raises FileExistsError unless this is a place for a folder: nothing, or an empty one. Raises OSError."""
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise FileExistsError(17, "it is there, and not empty", str(target))


def unpack(source: Readable, target: Path) -> int:
    """Into a folder that is not there yet, or is empty; whole or not at all. How many files there are. Raises
    ValueError for what is not taken, OSError."""
    check_free(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        with _reading():
            count = sum(_put(beside, info, file) for info, file in _members(source))
        _sync_all(beside)
        if target.exists():
            target.rmdir()
        beside.rename(target)
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return count


def _put(folder: Path, info: tarfile.TarInfo, file: Part | None) -> bool:
    path = folder / info.name
    _make_folder(path if info.isdir() else path.parent)
    if info.isdir():
        return False
    if info.issym():
        path.symlink_to(info.linkname)
        return False
    assert file is not None
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o700 if info.mode & stat.S_IXUSR else 0o600), "wb") as out:
        shutil.copyfileobj(file, out)
        out.flush()
        os.fsync(out.fileno())
    os.utime(path, (info.mtime, info.mtime))
    return True


def _make_folder(path: Path) -> None:
    """For its owner alone, and each above it that is missing."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(mode=0o700)


def _members(source: Readable) -> Iterator[tuple[tarfile.TarInfo, Part | None]]:
    """One after the other, each checked, and behind the last all that only the whole tells. Raises ValueError."""
    places = Places()
    for info, part in members(source, most=MAX_FILES, most_bytes=MAX_BYTES):
        info.name = places.take(info)
        yield info, part
    places.check_links()


@contextmanager
def _reading() -> Iterator[None]:
    """Whatever is wrong with the bytes is a ValueError; what is wrong with this disk stays an OSError."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"the folder was not packed as maw packs one: {error}") from None


class Places:
    """Where the members of one archive lie. Names are held as numbers under a key of this check alone: 100,000 long
    ones must not fill the memory."""

    def __init__(self) -> None:
        self._key = os.urandom(16)
        self._seen: set[int] = set()
        self._folders: set[int] = set()
        self._links: set[int] = set()
        self._through: set[int] = set()

    def take(self, info: tarfile.TarInfo) -> str:
        """Its name, made plain. Raises ValueError."""
        name = posixpath.normpath(info.name)
        if name.startswith("/") or ".." in name.split("/") or name == "." or _is_odd(name):
            raise ValueError("the folder has a name that leads out of it")
        if not (info.isreg() or info.isdir() or info.issym()):
            raise ValueError("the folder has something that is no file, folder or link")
        above, number = posixpath.dirname(name), self._number(name)
        if above and self._number(above) not in self._folders:
            raise ValueError("the folder has something in no folder of it, or behind a link")
        if number in self._seen and not (info.isdir() and number in self._folders):
            raise ValueError("the folder has one name twice")
        self._seen.add(number)
        if info.isdir():
            self._folders.add(number)
        elif info.issym():
            self._links.add(number)
            self._note_link(name, info.linkname)
        return name

    def _note_link(self, name: str, link: str) -> None:
        through = leads_through(name, link)
        if through is not None:
            self._through.update(map(self._number, through))
        if through is None or len(self._through) > MAX_FILES:
            raise ValueError("the folder has a link that leads out of it, or links without end")

    def check_links(self) -> None:
        """Raises ValueError where a link leads through another one: by the letter it stays inside, on a disk it need
        not."""
        if not self._links.isdisjoint(self._through):
            raise ValueError("the folder has a link that leads through another link")

    def _number(self, name: str) -> int:
        data = name.encode("utf-8", "surrogateescape")
        return int.from_bytes(blake2b(data, digest_size=8, key=self._key).digest(), "big")


def leads_through(name: str, link: str) -> list[str] | None:
    """The folders through which a link at ``name`` leads, all but where it ends; None where it may leave the folder: to
    go up behind a name is to ask what that name is."""
    parts = [part for part in link.split("/") if part not in ("", ".")]
    ups = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    at = posixpath.dirname(name).split("/") if "/" in name else []
    if not link or link.startswith("/") or _is_odd(link) or ".." in parts[ups:] or ups > len(at):
        return None
    reached = [*at[: len(at) - ups], *parts[ups:]]
    return ["/".join(reached[:n]) for n in range(1, len(reached))]


def _is_odd(name: str) -> bool:
    return len(name) > MAX_NAME or "\0" in name


def _goes_along(home: Path, name: str, link: str) -> bool:
    """Whether a link of a folder that is here is taken where it goes."""
    through = leads_through(name, link)
    return through is not None and not any((home / part).is_symlink() for part in through)


def _sync_all(folder: Path) -> None:
    for root, _, _ in os.walk(folder):
        _sync(Path(root))


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
