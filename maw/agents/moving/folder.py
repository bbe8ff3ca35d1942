"""An agent's folder on its way: locked, packed and in the end set aside here, or unpacked here as the Unix user whose
it is to be."""

from __future__ import annotations

import fcntl
import os
import pwd
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from maw.agents.life import durable
from maw.agents.life.home import find_home
from maw.core.filenames import size_words
from maw.errors import BadInput, Conflict, MawError, NotFound, Refused, Unavailable
from maw.node.homes import check_free, pack, unpack

LOOK_S: Final = 0.2
UNDER_WAY: Final = {"pulse.json": "pulse", "dream.json": "dream"}
"""What stands in ``.maw`` while one runs, or after it was killed."""
GOES_ALONG: Final = "move"
"""In ``.maw``: the move with which this folder goes along, by its id."""


def home_of(name: str, env: Mapping[str, str], folder: Path | None) -> Path | None:
    """The folder that goes along: ``folder``, else the agent's home where it has one here."""
    if folder is not None:
        if not folder.is_dir():
            raise NotFound(f"{folder} is no folder", code="no_home", hint="--dir HOME, or --without-home")
        return folder
    try:
        return find_home(name, env).folder
    except NotFound:
        return None


@contextmanager
def locked(home: Path, patience_s: float) -> Iterator[None]:
    """No pulse or dream of this agent runs, and none begins. Raises Conflict when one does not end within
    ``patience_s``, or was cut short: what it had begun is known here alone."""
    machine = home / ".maw"
    if not machine.is_dir():  # it never pulsed
        yield
        return
    with _opened(machine) as handle:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise Conflict(
                        f"a pulse or dream runs in {home}",
                        code="moving",
                        hint="the same command again when it has ended; nothing was changed",
                    ) from None
                time.sleep(LOOK_S)
        for run, command in UNDER_WAY.items():
            if (machine / run).exists():
                raise Conflict(
                    f"a {command} in {home} was cut short",
                    code="moving",
                    hint=f"`maw {command}` finishes it first: on the new host nobody would know what it had done",
                )
        yield


@contextmanager
def _opened(machine: Path) -> Iterator[int]:
    """The lock, opened so that no link of its owner's leads whoever asks elsewhere."""
    try:
        folder = os.open(machine, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            handle = os.open(
                "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
            )
        finally:
            os.close(folder)
    except OSError as error:
        raise Unavailable(f"{machine} cannot be locked: {error}", code="cannot_read") from None
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def packed(home: Path, most: int) -> Iterator[tuple[IO[bytes], int]]:
    """The folder as one file, and its size. Raises BadInput when it is larger than a file may be."""
    with tempfile.TemporaryFile() as file:
        _as_owner(home, lambda: _pack(home, file))
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise BadInput(
                f"{home} is {size_words(size)} packed; {size_words(most)} is the most that goes along",
                code="home_too_large",
                hint="move large files out of it, or --without-home, and bring the folder by hand (rsync -a)",
            )
        file.seek(0)
        yield file, size


def _pack(home: Path, file: IO[bytes]) -> None:
    try:
        pack(home, file)
        file.flush()
    except OSError as error:
        raise Unavailable(f"{home} cannot be packed: {error}", code="cannot_read") from None


def note_move(home: Path, move: str) -> None:
    """In the folder itself, before it is handed over: with which move it goes. Raises MawError."""
    _as_owner(home, lambda: _note_move(home, move))


def _note_move(home: Path, move: str) -> None:
    try:
        (home / ".maw").mkdir(mode=0o700, exist_ok=True)
        durable.write(home / ".maw" / GOES_ALONG, move.encode())
    except OSError as error:
        raise Unavailable(f"{home / '.maw'} cannot be written: {error}", code="cannot_write") from None


def set_aside(home: Path, move: str, now: float) -> Path | None:
    """The folder of an agent that has moved, under another name beside where it was: so nobody takes it for its home,
    and there is room when it comes back. Nothing is deleted. Where it is then; None where no such folder went along
    with this move (or it was set aside before). Raises MawError."""
    target = home.with_name(f"{home.name}.moved-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}")
    if not home.is_dir():
        return None
    _as_owner(home, lambda: _set_aside(home, move, target))
    return target if os.path.lexists(target) else None


def _set_aside(home: Path, move: str, target: Path) -> None:
    mark = home / ".maw" / GOES_ALONG
    try:
        if mark.is_symlink() or not mark.is_file() or mark.read_text() != move:
            return
        home.rename(target)
    except OSError as error:
        raise Unavailable(f"{home} cannot be set aside: {error}", code="cannot_write") from None


def _as_owner(home: Path, work: Callable[[], None]) -> None:
    """What root does there is done as whose it is: no link of his leads root anywhere."""
    owner = home.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        _in_child(owner, work)
    else:
        work()


def look_at(target: Path) -> None:
    """Raises Conflict where there is no room for a folder, before anything is agreed to. A place that whoever asks may
    not see is looked at when the folder is put there."""
    try:
        check_free(target)
    except FileExistsError:
        raise Conflict(
            f"{target} is there, and not empty: nothing was accepted",
            code="file_exists",
            hint="--dir HOME: another place; --without-home, where its folder was brought by hand; or move that away",
        ) from None
    except OSError:
        return


def put_in_place(data: IO[bytes], target: Path, uid: int, name: str) -> None:
    """Unpack as ``uid``. Raises Conflict when something is there, Refused, Unavailable, BadInput."""
    if uid == os.geteuid():
        _unpack(data, target, name)
    elif os.geteuid() != 0:
        raise Refused(
            f"{target} is to belong to uid {uid}",
            code="not_yours",
            hint=f"as that user, or as root: maw move home {name}",
        )
    else:
        _in_child(uid, lambda: _unpack(data, target, name))


def _unpack(data: IO[bytes], target: Path, name: str) -> None:
    try:
        unpack(data, target)
    except FileExistsError:
        raise Conflict(
            f"{target} is there, and not empty",
            code="file_exists",
            hint=f"maw move home {name} --dir HOME: another place; or move that away, and maw move home {name}",
        ) from None
    except ValueError as error:
        raise BadInput(f"the folder that came along is not unpacked: {error}", code="bad_home") from None
    except OSError as error:
        raise Unavailable(f"{target} cannot be written: {error}", code="cannot_write") from None


def _in_child(uid: int, work: Callable[[], None]) -> None:
    """In a process of that user's: what is written is his, and no link of his leads root anywhere."""
    user = pwd.getpwuid(uid)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            os.initgroups(user.pw_name, user.pw_gid)
            os.setgid(user.pw_gid)
            os.setuid(uid)
            os.umask(0o077)
            work()
            code = 0
        except MawError as error:
            os.write(writer, f"{error.code}\n{error.message}\n{error.hint}".encode())
        except BaseException as error:
            os.write(writer, f"cannot_write\n{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        said = told.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if status:
        code_, _, rest = (said or "cannot_write\nit ended without a word\n").partition("\n")
        message, _, hint = rest.partition("\n")
        raise Conflict(message, code=code_, hint=hint)


def default_home(name: str, uid: int) -> Path:
    """``~/agents/NAME`` of that user; of who asks, where his pulses look for it."""
    if uid == os.geteuid():
        return Path.home() / "agents" / name
    try:
        return Path(pwd.getpwuid(uid).pw_dir) / "agents" / name
    except KeyError:
        raise BadInput(f"uid {uid} is no user of this machine", code="bad_user", hint="--user USER") from None
