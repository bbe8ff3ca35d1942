"""An agent's folder as one file: packed on its old host, looked through on the new one, unpacked there by its owner.

Of what comes from another host nothing is believed: only files, folders and links that stay inside are taken, under
relative names, with the rights of files and no owner; and no more of it than MAX_FILES and MAX_BYTES.
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
from pathlib import Path
from typing import IO, Any, Final, Protocol

MAX_FILES: Final = 100_000
MAX_BYTES: Final = 2 << 30
MAX_NAME: Final = 1024
LEFT_OUT: Final = (".maw",)
"""The machine's own: locks and journals of the old host mean nothing on the new one."""


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def pack(home: Path, into: IO[bytes]) -> int:
    """Writes the folder into ``into``; how many files it has. What is neither file, folder nor a link that stays inside
    is left out. Raises OSError."""
    count = 0
    with tarfile.open(fileobj=into, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=6) as tar:
        for path in _walk(home):
            name = path.relative_to(home).as_posix()
            info = tar.gettarinfo(path, arcname=name)
            if info is None or (info.issym() and not _stays_inside(name, info.linkname)):
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
        for _, file in _members(source):
            while file is not None and file.read(1 << 16):
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


def _put(folder: Path, info: tarfile.TarInfo, file: IO[bytes] | None) -> bool:
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


def _members(source: Readable) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """One after the other, each checked. Raises ValueError."""
    size = count = 0
    links: set[str] = set()
    seen: set[str] = set()
    stream: Any = source
    with tarfile.open(fileobj=stream, mode="r|gz") as tar:
        for info in tar:
            count, size = count + 1, size + max(0, info.size)
            if count > MAX_FILES or size > MAX_BYTES:
                raise ValueError(f"the folder has more than {MAX_FILES} files, or {MAX_BYTES >> 20} MiB")
            info.name = _safe(info, links, seen)
            seen.add(info.name)
            if info.issym():
                links.add(info.name)
            yield info, tar.extractfile(info) if info.isreg() else None


@contextmanager
def _reading() -> Iterator[None]:
    """Whatever is wrong with the bytes is a ValueError; what is wrong with this disk stays an OSError."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"the folder was not packed as maw packs one: {error}") from None


def _safe(info: tarfile.TarInfo, links: set[str], seen: set[str]) -> str:
    name = posixpath.normpath(info.name)
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or name == "." or len(name) > MAX_NAME or "\0" in name:
        raise ValueError("the folder has a name that leads out of it")
    if not (info.isreg() or info.isdir() or info.issym()):
        raise ValueError("the folder has something that is no file, folder or link")
    if any("/".join(parts[:at]) in links for at in range(1, len(parts))) or (
        name in seen and not info.isdir()
    ):
        raise ValueError("the folder has one name twice, or something behind a link")
    if info.issym() and not _stays_inside(name, info.linkname):
        raise ValueError("the folder has a link that leads out of it")
    return name


def _stays_inside(name: str, link: str) -> bool:
    """Whether a link at ``name`` leads to somewhere in the folder, taken by the letter."""
    if not link or link.startswith("/") or "\0" in link:
        return False
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
    return not (reached == ".." or reached.startswith("../"))


def _sync_all(folder: Path) -> None:
    for root, _, _ in os.walk(folder):
        _sync(Path(root))


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
