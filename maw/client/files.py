"""Files over a daemon's API, piece by piece, with the standard library only: given to a message, and got out of one."""

from __future__ import annotations

import http.client
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote, urlencode

from maw.client.daemon import RESTART_S, Door, Lost, error_from, wait_until_back
from maw.core.filenames import UNKNOWN_TYPE, safe_name
from maw.errors import BadInput, Conflict, MawError, NotFound, Refused, Unavailable

PIECE: Final = 256 * 1024
PATIENCE_S: Final = 120.0
SLICE_S: Final = 1.0
"""How long one question about a fetch waits: so often its progress is told."""

Told = Callable[[dict[str, Any]], None]


def attach(at: Door, file: BinaryIO, size: int, name: str, kind: str | None = None) -> dict[str, Any]:
    """Upload what ``file`` holds: ``size`` bytes from where it stands. ``{"hash", "name", "size", "type"}``. Raises
    MawErrors; Conflict when it is not so many bytes."""
    target = f"/api/files?{urlencode({'name': safe_name(name)})}"
    return push(at, target, file, size, name, kind or UNKNOWN_TYPE)


def push(at: Door, target: str, file: BinaryIO, size: int, name: str, kind: str) -> dict[str, Any]:
    """As ``attach``, to any route that takes bytes; what it answers."""
    left = size

    def pieces() -> Iterator[bytes]:
        nonlocal left
        while left:
            data = file.read(min(PIECE, left))
            if not data:
                raise _changed(name, "shorter")
            left -= len(data)
            yield data
        if file.read(1):
            raise _changed(name, "longer")

    connection = at.connection(PATIENCE_S)
    sent = {
        "Host": "localhost",
        "Connection": "close",
        **at.who(),
        "Content-Type": kind,
        "Content-Length": str(size),
    }
    try:
        connection.connect()
        try:
            with suppress(
                BrokenPipeError, ConnectionResetError
            ):  # who refuses it says why before it is all there
                connection.request("POST", target, body=pieces(), headers=sent)
            response = connection.getresponse()
            raw = response.read()
        except TimeoutError:
            raise Unavailable(f"the daemon took nothing for {PATIENCE_S:g} s", code="no_answer") from None
        except (OSError, http.client.HTTPException) as error:
            raise _lost(error) from None
        told = _json(raw)
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise error_from(response.status, told)
        return dict(told)
    finally:
        connection.close()


def attach_path(at: Door, path: Path, name: str | None = None) -> dict[str, Any]:
    """Upload a file of this machine. Raises BadInput for what is no plain file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", code="no_file") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", code="bad_file") from None
    try:
        info = os.fstat(handle)
        if stat.S_ISDIR(info.st_mode):
            raise BadInput(
                f"{path} is a directory",
                code="bad_file",
                hint=f"pack it first: tar czf {path.name}.tgz {path}",
            )
        if not stat.S_ISREG(info.st_mode):
            raise BadInput(f"{path} is no plain file", code="bad_file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return attach(at, file, info.st_size, name or path.name, _type_of(path.name))
    finally:
        os.close(handle)


def fetch(at: Door, ref: str, n: int, *, wait: bool = False, told: Told = lambda one: None) -> dict[str, Any]:
    """Have a file of a message on the daemon's host: as `GET /api/messages/{id}/files` tells it. ``told`` hears how far
    it is, about once a second. Raises Unavailable when nobody who is linked gives it, unless ``wait``: then it is asked
    for until somebody does."""
    path = f"/api/messages/{quote(ref, safe='')}/files/{n}/fetch"
    anew, patience = "true", 0.0
    while True:
        try:
            one: dict[str, Any] = at.post(
                path, None, patience=PATIENCE_S, wait=f"{SLICE_S:g}", anew=anew
            ).body
        except Lost:  # what came is on its disk: once it is back it goes on there
            wait_until_back(at, lambda: None, time.monotonic() + RESTART_S)
            continue
        told(one)
        anew = "false"
        if one["state"] == "here":
            return one
        if one["state"] == "coming":
            patience = time.monotonic() + RESTART_S  # of a link that is cut in the middle: it comes back
        elif one["state"] == "in_vain":
            if not wait and time.monotonic() > patience:
                raise _in_vain(one)
            time.sleep(SLICE_S)


def _in_vain(one: dict[str, Any]) -> MawError:
    holder, name = one["holder"], one["name"]
    if not one["linked"]:
        return Unavailable(
            f"{holder} has {name} and is not linked, and nobody else who is linked has it",
            code="file_away",
            hint="run it again when that host is back, or add --wait",
        )
    return Unavailable(
        f"nobody who is linked gives {name}, {holder} neither",
        code="file_gone",
        hint=f"it may have been removed there, or that maw is too old for files: ask on {holder} for it again",
    )


def save(at: Door, ref: str, n: int, place: Path, *, force: bool = False) -> int:
    """Write a file that is here to ``place``, whole or not at all; its bytes. Conflict when something is there."""
    if not force and os.path.lexists(place):
        raise _there(place)
    beside = place.with_name(f".{place.name[:100]}.{os.urandom(4).hex()}")
    try:
        try:
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise Refused(f"{place} cannot be written: {error.strerror}", code="cannot_write") from None
        with os.fdopen(handle, "wb") as file:
            size = _copy(at, ref, n, file, place)
        try:
            if force or not _linked(beside, place):
                beside.replace(place)
        except FileExistsError:
            raise _there(place) from None
        except OSError as error:
            raise Refused(f"{place} cannot be written: {error.strerror}", code="cannot_write") from None
        return size
    finally:
        beside.unlink(missing_ok=True)


def _linked(beside: Path, place: Path) -> bool:
    """Gives it its name too, at once and only where that is free (FileExistsError); False on a disk without links."""
    try:
        place.hardlink_to(beside)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def _copy(at: Door, ref: str, n: int, file: BinaryIO, place: Path) -> int:
    size = 0
    for data in content(at, ref, n):
        try:
            file.write(data)
        except OSError as error:
            raise Unavailable(
                f"{place} cannot be written: {error.strerror}",
                code="cannot_write",
                hint="nothing is left of it",
            ) from None
        size += len(data)
    file.flush()
    return size


def content(at: Door, ref: str, n: int) -> Iterator[bytes]:
    """A file that is here, piece by piece. Raises Unavailable where it is not, and Lost where it breaks off."""
    return pull(at, f"/api/messages/{quote(ref, safe='')}/files/{n}")


def pull(at: Door, target: str) -> Iterator[bytes]:
    """As ``content``, of any route that answers in bytes."""
    connection = at.connection(PATIENCE_S)
    try:
        connection.connect()
        try:
            connection.request(
                "GET", target, headers={"Host": "localhost", "Connection": "close", **at.who()}
            )
            response = connection.getresponse()
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise error_from(response.status, _json(response.read()))
            left = int(response.getheader("Content-Length") or 0)
            while left:
                data = response.read(min(PIECE, left))
                if not data:
                    raise http.client.IncompleteRead(b"", left)
                left -= len(data)
                yield data
        except (OSError, http.client.HTTPException) as error:
            raise _lost(error) from None
    finally:
        connection.close()


def _there(place: Path) -> Conflict:
    return Conflict(
        f"{place} is there already", code="file_exists", hint="--force writes over it, --to elsewhere"
    )


def _changed(name: str, how: str) -> Conflict:
    return Conflict(
        f"{name} became {how} while it was read: nothing was sent", code="file_changed", hint="send it again"
    )


def _lost(error: Exception) -> Lost:
    return Lost(
        f"the daemon went away in the middle of a file ({error or type(error).__name__})",
        hint="`maw status` tells whether it is back; then the same again",
    )


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return {}


def _type_of(name: str) -> str | None:
    import mimetypes  # it reads files of the system's: only who sends one pays for it

    return mimetypes.guess_type(name)[0]
