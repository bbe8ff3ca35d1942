"""Writing files of an agent's home so that a reader, a kill or a power cut sees the old or the new, whole."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path | str, data: bytes, mode: int = 0o600, *, same_mode: bool = False) -> None:
    """``data`` stands in the place of ``path``, on the disk, before this returns. ``same_mode``: who may read it stays
    as it is where a file is there. Raises OSError."""
    path = os.fspath(path)
    fresh = f"{path}.new"
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        if same_mode:
            _take_mode(handle, path)
        _write_all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.rename(fresh, path)
    sync_folder(os.path.dirname(path) or ".")


def append(path: Path | str, data: bytes, mode: int = 0o600) -> None:
    """``data`` stands at the end of ``path``, on the disk, before this returns; after a kill, perhaps the first part
    of it. Raises OSError."""
    made = not os.path.exists(path)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    try:
        _write_all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    if made:
        sync_folder(os.path.dirname(os.fspath(path)) or ".")


def rename(path: Path | str, to: Path | str) -> None:
    """``path``, which is on the disk, takes the place of ``to`` in the same folder, on the disk too. Raises OSError."""
    os.rename(path, to)
    sync_folder(os.path.dirname(os.fspath(to)) or ".")


def remove(path: Path | str) -> None:
    """It is not there any more, on the disk too. Raises OSError, and nothing where it was not there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    sync_folder(os.path.dirname(os.fspath(path)) or ".")


def sync_folder(path: Path | str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _take_mode(handle: int, path: str) -> None:
    try:
        os.fchmod(handle, os.stat(path).st_mode & 0o777)
    except FileNotFoundError:
        return


def _write_all(handle: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]
