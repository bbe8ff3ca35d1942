"""An agent's folder on its way: locked and packed here, or unpacked here as the Unix user whose it is to be."""

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

from maw.agents.life.home import find_home
from maw.core.filenames import size_words
from maw.errors import BadInput, Conflict, MawError, NotFound, Refused, Unavailable
from maw.node.homes import pack, unpack

LOOK_S: Final = 0.2
UNDER_WAY: Final = {"pulse.json": "pulse", "dream.json": "dream"}
"""What stands in ``.maw`` while one runs, or after it was killed."""


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
        owner = home.stat().st_uid
        if os.geteuid() == 0 and owner != 0:
            _in_child(
                owner, lambda: _pack(home, file)
            )  # a link of the owner's gives nothing away that is root's
        else:
            _pack(home, file)
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


def put_in_place(data: IO[bytes], target: Path, uid: int) -> None:
    """Unpack as ``uid``. Raises Conflict when something is there, Refused, Unavailable, BadInput."""
    if uid == os.geteuid():
        _unpack(data, target)
    elif os.geteuid() != 0:
        raise Refused(
            f"{target} is to belong to uid {uid}",
            code="not_yours",
            hint="as that user, or as root: maw move home",
        )
    else:
        _in_child(uid, lambda: _unpack(data, target))


def _unpack(data: IO[bytes], target: Path) -> None:
    try:
        unpack(data, target)
    except FileExistsError:
        raise Conflict(
            f"{target} is there, and not empty",
            code="file_exists",
            hint="--dir HOME: another place, or move that away",
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
    """``~/agents/NAME`` of that user."""
    try:
        return Path(pwd.getpwuid(uid).pw_dir) / "agents" / name
    except KeyError:
        raise BadInput(f"uid {uid} is no user of this machine", code="bad_user", hint="--user USER") from None
