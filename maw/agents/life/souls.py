"""The soul of a home: whether its file is sound, put right where it is not, told to the Colony where it is another.

What is known of it lies in ``.maw``: ``soul.json`` (the file as it was last looked at) and ``soul.known`` (its words
then). As long as the file is as it was, ``check_soul`` is two looks at the disk. A file that is no soul is put aside,
and the version that was known takes its place: out of git, out of ``.maw``, from the Colony, the first that has it;
where none has, the last that git or the Colony knows. Nothing is written through a link, and nothing of the broken file
is lost.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from maw.agents.life import durable
from maw.agents.life.home import AgentHome, make_own
from maw.core.souls import MAX_SOUL_BYTES, fault_of, soul_hash
from maw.errors import MawError, Refused

STATE: Final = "soul.json"
KNOWN: Final = "soul.known"
BROKEN_KEPT: Final = 20
"""Broken files that are kept beside the soul, the latest."""
_RACY_NS: Final = 2_000_000_000
"""A file that was written so short before it was looked at may be written again within one tick of its clock."""

Fetch = Callable[[], str | None]
"""The soul as the Colony has it, None where it has none; raises MawError where it cannot be asked."""


@dataclass(frozen=True, slots=True)
class Checked:
    """``fault`` completes "the soul …", None where the file was sound. ``restored_from``: where the version came from
    that was put in its place; None with a ``fault``: nothing sound was found, and nothing was changed. ``broken``: what
    the file was. ``synced``: the Colony was told this version."""

    hash: str | None
    fault: str | None = None
    restored_from: str | None = None
    broken: Path | None = None
    synced: bool = False

    @property
    def sound(self) -> bool:
        return self.fault is None or self.restored_from is not None

    def words(self, home: AgentHome) -> str | None:
        """For people and the memory log; None where there is nothing to say."""
        if self.fault is None:
            return None
        if self.restored_from is None:
            return f"the soul {self.fault}, and neither git nor the Colony has one to put there: {home.soul}"
        beside = f"; what was there is {self.broken.name}" if self.broken is not None else ""
        return f"the soul {self.fault}: restored from {self.restored_from}{beside}"


@dataclass(frozen=True, slots=True)
class _State:
    """Of the file when it was found sound."""

    mark: tuple[int, ...] = ()
    hash: str | None = None
    synced: str | None = None
    """The hash of what the Colony was told,"""
    folder: tuple[int, ...] = ()
    """and of which folder that was: one that came from another host has this to tell there."""


def check_soul(home: AgentHome, colony: Fetch | None = None, *, now: float | None = None) -> Checked:
    """Look at the soul of a home, and restore it. Raises Refused where the folder or file is somebody else's, and
    OSError of a disk that takes nothing."""
    state = _read_state(home)
    if state.mark and state.mark == _mark(home.soul):
        return Checked(state.hash, synced=state.synced == state.hash)
    check_folder(home)
    if state.folder != _folder(home):
        state = _State((), state.hash, None, _folder(home))
    known = _known(home, state)
    data = read_soul(home)
    fault = fault_of(data, known)
    if fault is None:
        assert data is not None
        fresh = soul_hash(data.decode())
        _keep(home, data, _State(_settled_mark(home.soul, now), fresh, state.synced, state.folder))
        return Checked(fresh, synced=state.synced == fresh)
    found = _find(home, known, colony)
    if found is None:
        return Checked(None, fault)
    text, source = found
    broken = put(home, text.encode(), now=now)
    fresh = soul_hash(text)
    told = fresh if source == COLONY else state.synced
    state = _State(_settled_mark(home.soul, now), fresh, told, state.folder)
    _keep(home, text.encode(), state)
    return Checked(fresh, fault, source, broken, state.synced == fresh)


GIT: Final = "git"
COPY: Final = "its own copy"
COLONY: Final = "the Colony"


def is_known(home: AgentHome) -> bool:
    """Whether the file is as it was when it was found sound, and the Colony was told: nothing is to be done."""
    state = _read_state(home)
    return bool(state.mark) and state.mark == _mark(home.soul) and state.synced == state.hash


def note_synced(home: AgentHome, told: str) -> None:
    """The Colony was told the version of this hash."""
    make_own(home)
    state = _read_state(home)
    _write_state(home, _State(state.mark, state.hash, told, _folder(home)))


def known_soul(home: AgentHome) -> str | None:
    """The version that was last found sound."""
    data = _known(home, _read_state(home))
    return None if data is None else data.decode()


def read_soul(home: AgentHome) -> bytes | None:
    """The bytes of the file, cut behind what a soul may have; None where there is none. Raises Refused: it is no file,
    or a link that leads out of the home, or to what is somebody else's: everybody in the Colony would read that."""
    try:
        path = home.soul.resolve(strict=True)
        if not path.is_relative_to(home.folder.resolve()):
            raise Refused(
                f"{home.soul} leads out of the home, to {path}: everybody in the Colony would read that",
                code="bad_soul",
                hint="put a copy there instead of a link",
            )
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except RuntimeError:  # before Python 3.13: links in a circle
        raise Refused(f"{home.soul} leads in a circle", code="bad_soul", hint="rm it") from None
    except OSError as error:
        raise Refused(f"{home.soul}: cannot be read: {error.strerror}", code="cannot_read") from None
    info = os.fstat(handle)
    if not stat.S_ISREG(info.st_mode):
        os.close(handle)
        raise Refused(f"{home.soul} is no file", code="bad_soul", hint="a soul is a file of text: mv it away")
    with os.fdopen(handle, "rb") as file:
        if home.soul.is_symlink() and info.st_uid not in (os.geteuid(), home.soul.lstat().st_uid):
            raise Refused(
                f"{home.soul} leads to a file of user {info.st_uid}: everybody in the Colony would read it",
                code="others_home",
                hint="put a copy there instead of a link",
            )
        return file.read(MAX_SOUL_BYTES + 1)


def put(home: AgentHome, data: bytes, *, word: str = "broken", now: float | None = None) -> Path | None:
    """``data`` takes the place of the soul's file, or of the link that stands there; what was there is kept beside it
    (``soul.md.WORD-TIME``), and named. Raises Refused, OSError."""
    check_folder(home)
    broken = _put_aside(home, word, time.time() if now is None else now)
    home.soul.with_name("soul.md.new").unlink(
        missing_ok=True
    )  # of a write that was cut short; a link is not followed
    durable.write(home.soul, data, 0o644)
    return broken


def check_folder(home: AgentHome) -> None:
    """What is written into a folder that others may write in could be led elsewhere. Raises Refused."""
    info = home.folder.stat()
    if info.st_uid != os.geteuid() or info.st_mode & stat.S_IWOTH:
        raise Refused(
            f"{home.folder} belongs to user {info.st_uid}, or everybody may write there: the soul is not looked after"
            " by you",
            code="others_home",
            hint=f"run it as that user (sudo -u '#{info.st_uid}' maw …), or chmod o-w {home.folder}",
        )


def _put_aside(home: AgentHome, word: str, now: float) -> Path | None:
    if not os.path.lexists(home.soul):
        return None
    there = _digest(home.soul)
    for one in _aside(home, word):
        if there is not None and _digest(one) == there:
            return one  # the same again: kept once
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    broken = home.folder / f"soul.md.{word}-{stamp}"
    number = 1
    while os.path.lexists(broken):
        number += 1
        broken = home.folder / f"soul.md.{word}-{stamp}-{number}"
    try:
        os.link(home.soul, broken, follow_symlinks=False)
    except OSError:  # a file system without hard links; what a kill leaves then is a soul that is missing
        home.soul.rename(broken)
    durable.sync_folder(home.folder)
    for old in _aside(home, word)[:-BROKEN_KEPT]:
        old.unlink()
    return broken


def _aside(home: AgentHome, word: str) -> list[Path]:
    """The oldest first."""
    found = [one for one in home.folder.iterdir() if one.name.startswith(f"soul.md.{word}-")]
    return sorted(found, key=lambda one: (one.lstat().st_mtime_ns, one.name))


def _digest(path: Path) -> str | None:
    """None for a link, and for what is too large to be looked at."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode) or os.fstat(handle).st_size > 16 * MAX_SOUL_BYTES:
            return None
        return blake2b(file.read(), digest_size=16).hexdigest()


# -- where a sound one is --------------------------------------------------------------------------------


def _find(home: AgentHome, known: bytes | None, colony: Fetch | None) -> tuple[str, str] | None:
    """A sound version and where it comes from: the one that was known, if any has it, else the first."""
    from maw.agents.life.git import committed  # a sound soul needs neither it nor subprocess

    first: tuple[str, str] | None = None
    for source in (GIT, COPY, COLONY):
        data = known if source == COPY else committed(home.soul) if source == GIT else _ask(colony)
        if data is None or fault_of(data, known) is not None:
            continue
        if known is None or data == known:
            return data.decode(), source
        first = first or (data.decode(), source)
    return first


def _ask(colony: Fetch | None) -> bytes | None:
    if colony is None:
        return None
    try:
        found = colony()
    except MawError:
        return None  # no daemon, no network: the other sources were asked before
    return None if found is None else found.encode()


# -- what is known ---------------------------------------------------------------------------------------


def _mark(path: Path) -> tuple[int, ...]:
    """By which a file that was changed is another; of a link, the link and what it leads to."""
    try:
        link, info = path.lstat(), path.stat()
    except OSError:
        return ()
    return (
        info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, link.st_ino, link.st_ctime_ns,
    )  # fmt: skip


def _folder(home: AgentHome) -> tuple[int, ...]:
    info = home.folder.stat()
    return info.st_dev, info.st_ino


def _settled_mark(path: Path, now: float | None) -> tuple[int, ...]:
    """As ``_mark``; none of a file that was written a moment ago, which is looked at once more."""
    mark = _mark(path)
    at = time.time_ns() if now is None else int(now * 1e9)
    return mark if mark and max(mark[3], mark[4]) < at - _RACY_NS else ()


def _known(home: AgentHome, state: _State) -> bytes | None:
    """The words that were known, if they are whole."""
    try:
        data = (home.own / KNOWN).read_bytes()
        return data if state.hash is not None and soul_hash(data.decode()) == state.hash else None
    except (OSError, ValueError):
        return None


def _keep(home: AgentHome, data: bytes, state: _State) -> None:
    make_own(home)
    before = _read_state(home)
    if state.hash != before.hash or _known(home, state) is None:
        durable.write(home.own / KNOWN, data)
    if state != before:
        _write_state(home, state)


def _read_state(home: AgentHome) -> _State:
    """What is damaged is as if it were not there: then the file is looked at."""
    try:
        told = json.loads((home.own / STATE).read_bytes())
        mark = tuple(int(number) for number in told["mark"])
        folder = tuple(int(number) for number in told.get("folder", ()))
        return _State(mark, _text(told["hash"]), _text(told["synced"]), folder)
    except (OSError, ValueError, KeyError, TypeError):
        return _State()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _write_state(home: AgentHome, state: _State) -> None:
    told = {
        "mark": list(state.mark), "hash": state.hash, "synced": state.synced, "folder": list(state.folder),
    }  # fmt: skip
    durable.write(home.own / STATE, json.dumps(told).encode())
