"""Files of others that maw changes: read whole, written whole or not at all, as they were kept.

A symbolic link is followed where it stays among its owner's own files (dotfiles are often links), and refused where it
leads out: a repository somebody gave us must not have us write elsewhere.
"""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maw.errors import BadInput, Conflict, Refused

LARGEST: Final = 4 * 1024 * 1024
_BOM: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was when it was read. ``path``: where it really is; ``text`` None: it is not there. Line ends are
    kept in ``text``, a byte order mark is not."""

    path: Path
    text: str | None
    bom: bool = False
    seen: os.stat_result | None = None


def look(path: Path, within: Path) -> Found:
    """Read it; ``within`` is the folder that a link in its path must not lead out of. Refused, BadInput."""
    real = _followed(path, within)
    try:
        # a pipe in its place would be waited for without end
        with open(real, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            seen = os.fstat(file.fileno())
            if not stat.S_ISREG(seen.st_mode):
                raise Refused(f"{real} is no ordinary file", code="not_a_file", hint="nothing was changed")
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        return Found(real, None)
    except IsADirectoryError:
        raise Refused(f"{real} is a folder", code="not_a_file", hint="nothing was changed") from None
    except OSError as error:
        raise _failed("read", real, error) from None
    if len(data) > LARGEST:
        raise BadInput(
            f"{real} is larger than {LARGEST} bytes", code="too_large", hint="is it the right file?"
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput(
            f"{real}, line {line}: not UTF-8", code="not_unicode", hint="nothing was changed"
        ) from None
    return Found(real, text.removeprefix(_BOM), text.startswith(_BOM), seen)


def write(found: Found, text: str) -> list[Path]:
    """Put ``text`` in its place, at once and durably, with the mode and owner that it had. Conflict where somebody
    changed it meanwhile. The folders that had to be made."""
    made = _make_folders(found.path.parent)
    data = ((_BOM if found.bom else "") + text).encode()
    try:
        handle, name = tempfile.mkstemp(prefix=f".{found.path.name}.", dir=found.path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                _dress(file.fileno(), found.seen)
                os.fsync(file.fileno())
            _check_unchanged(found)
            temporary.replace(found.path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(found.path.parent)
    except OSError as error:
        raise _failed("write", found.path, error) from None
    if look(found.path, found.path.parent).text != text:
        raise Conflict(
            f"{found.path} was changed by another program just now",
            code="changed_meanwhile",
            hint="a running session may write it: run the same again",
        )
    return made


def delete(found: Found, folders: list[Path]) -> None:
    """The file, and those of ``folders`` that are empty then."""
    _check_unchanged(found)
    try:
        found.path.unlink()
        for folder in reversed(folders):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise _failed("remove", found.path, error) from None


def _followed(path: Path, within: Path) -> Path:
    try:
        real, base = path.resolve(), within.resolve()
    except (OSError, RuntimeError) as error:
        raise Refused(
            f"{path} is a link that leads nowhere: {error}",
            code="link_leads_away",
            hint="nothing was changed",
        ) from None
    if not real.is_relative_to(base):
        raise Refused(
            f"{path} is a link that leads out of {base}, to {real}",
            code="link_leads_away",
            hint="nothing was changed; put a file there instead of the link",
        )
    if path.is_symlink() and not real.exists():
        raise Refused(
            f"{path} is a link to {real}, which is not there",
            code="link_leads_away",
            hint="nothing was changed; make that file, or remove the link",
        )
    return real


def _make_folders(folder: Path) -> list[Path]:
    missing = [one for one in (folder, *folder.parents) if not one.exists()][::-1]
    for one in missing:
        try:
            one.mkdir()
        except OSError as error:
            raise _failed("make", one, error) from None
    return missing


def _dress(fd: int, seen: os.stat_result | None) -> None:
    """As it was before; a new file as any program would make one."""
    if seen is None:
        mask = os.umask(0o022)
        os.umask(mask)
        os.fchmod(fd, 0o666 & ~mask)
        return
    now = os.fstat(fd)
    if (now.st_uid, now.st_gid) != (seen.st_uid, seen.st_gid):
        os.fchown(fd, seen.st_uid, seen.st_gid)
    os.fchmod(fd, stat.S_IMODE(seen.st_mode))


def _check_unchanged(found: Found) -> None:
    try:
        now: os.stat_result | None = found.path.stat()
    except FileNotFoundError:
        now = None
    if _print(now) != _print(found.seen):
        raise Conflict(
            f"{found.path} was changed by another program just now",
            code="changed_meanwhile",
            hint="nothing was changed by maw: run the same again",
        )


def _print(seen: os.stat_result | None) -> tuple[int, ...]:
    return () if seen is None else (seen.st_ino, seen.st_size, seen.st_mtime_ns)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _failed(what: str, path: Path, error: OSError) -> Refused:
    return Refused(
        f"maw may not {what} {path}: {error.strerror}",
        code="cannot_write" if what != "read" else "cannot_read",
        hint="nothing was changed; whose is it? `ls -l` tells",
    )
