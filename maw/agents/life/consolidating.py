"""What follows a dream's answer, step by step. Each looks first whether it is done, so all of them may be done again.

The order is the law: what is taken away stands elsewhere before, on the disk.

    memory/archive/log-TIME.md       the part of the log that the dream is of
    memory/dreams/TIME.md            what the dream says of it
    memory/archive/summary-TIME.md   the summary until now
    memory/summary.md                the new one
    memory/log.md                    without that part
    memory/proposals/soul-TIME.md    the soul that it would rather have; in the soul's place where its owner allows that
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path
from typing import Final

from maw.agents.life import durable
from maw.agents.life.dream_journal import Run
from maw.agents.life.home import AgentHome
from maw.agents.life.souls import put, read_soul
from maw.core.credentials import masked
from maw.core.dreaming import Archived, Dreamt, refused_soul, rest_of, to_let_go

LARGEST_PULSE_LOG: Final = 256 * 1024
_MAX_SUMMARY_READ: Final = 1 << 20


def hash_of(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


def read(path: Path) -> bytes:
    """b"" where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def archive(home: AgentHome) -> Path:
    return home.memory / "archive"


def unused_stamp(home: AgentHome, stamp: str) -> str:
    """Of two dreams within a second the second does not write over what the first archived."""
    number, fresh = 1, stamp
    while any(
        os.path.lexists(path)
        for path in (
            home.dreams / f"{fresh}.md",
            *(archive(home) / f"{what}-{fresh}.md" for what in ("log", "summary")),
        )
    ):
        number += 1
        fresh = f"{stamp}-{number}"
    return fresh


def consolidate(home: AgentHome, run: Run, dreamt: Dreamt) -> list[str]:
    """All of it; what is to be said of it to people. Raises OSError, and then all that is left is done next time."""
    for folder in (home.memory, archive(home), home.dreams, home.proposals):
        _make(folder)
    notes: list[str] = []
    log = read(home.log)
    is_there = hash_of(log[: run.size]) == run.hash and len(log) >= run.size
    kept = archive(home) / f"log-{run.stamp}.md"
    if is_there:
        _put(kept, log[: run.size])
    elif not kept.exists():
        notes.append("the log was changed meanwhile: nothing was taken out of it")
    _put(home.dreams / f"{run.stamp}.md", _record(run, dreamt, kept.exists()).encode())
    _summarise(home, run, dreamt.summary.encode())
    if is_there:
        _prune(home, run)
    if dreamt.soul is not None:
        notes += _propose(home, run, dreamt.soul)
    return notes


def tidy(home: AgentHome, stamp: str, now: float) -> list[str]:
    """The pulse's log does not grow without end, nor does the archive: what its owner does not want any more goes,
    and nothing that was put there just now. What was let go."""
    folder = archive(home)
    try:
        if home.pulse_log.stat().st_size > LARGEST_PULSE_LOG:
            _make(folder)
            home.pulse_log.rename(folder / f"pulse-{stamp}.log")
            durable.sync_folder(home.memory)
            durable.sync_folder(folder)
    except FileNotFoundError:
        pass
    if not folder.is_dir():
        return []
    found = []
    for one in folder.iterdir():
        info = one.lstat()
        if one.is_file() and not one.is_symlink() and stamp not in one.name:
            found.append(Archived(one.name, info.st_size, info.st_mtime))
    gone = to_let_go(found, now, days=home.dream.keep_days, most=home.dream.keep_mib << 20)
    for name in gone:
        (folder / name).unlink()
    return gone


def _record(run: Run, dreamt: Dreamt, archived: bool) -> str:
    of = f"of archive/log-{run.stamp}.md" if archived else f"of the first {run.size} bytes of log.md"
    return f"# Dream {run.stamp}\n\nRun {run.run}, {of}.\n\n{dreamt.dream or dreamt.summary}"


def _summarise(home: AgentHome, run: Run, summary: bytes) -> None:
    """The one until now is archived first; one that its owner wrote between two tries of this dream, too."""
    now = read(home.summary)
    if now and now != summary:
        kept = archive(home) / f"summary-{run.stamp}.md"
        if kept.exists() and read(kept) != now:
            kept = archive(home) / f"summary-{run.stamp}-{hash_of(now)[:8]}.md"
        _put(kept, now)
    _put(home.summary, summary)


def _prune(home: AgentHome, run: Run) -> None:
    """Whoever appends meanwhile without the lock loses nothing: the file is looked at again just before."""
    while True:
        log = read(home.log)
        if hash_of(log[: run.size]) != run.hash:
            return
        fresh = home.log.with_name("log.md.new")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, home.log.stat().st_mode & 0o777)
            file.write(rest_of(log, run.size))
            file.flush()
            os.fsync(handle)
        if read(home.log) == log:
            durable.rename(fresh, home.log)
            return


def _propose(home: AgentHome, run: Run, soul: str) -> list[str]:
    data = read_soul(home)
    if data == soul.encode():
        return []
    proposal = home.proposals / f"soul-{run.stamp}.md"
    _put(proposal, masked(soul).encode("utf-8", "replace"))
    if (refused := refused_soul(soul)) is not None:
        return [f"the soul that it proposes {refused}: it is not taken, see {_short(home, proposal)}"]
    if not home.dream.change_soul:
        return [f"it proposes another soul: {_short(home, proposal)}"]
    old = put(home, soul.encode(), word="old")
    return ["its soul is another now" + ("" if old is None else f", what it was is {old.name}")]


def _short(home: AgentHome, path: Path) -> str:
    return str(path.relative_to(home.folder))


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.sync_folder(folder.parent)


def _put(path: Path, data: bytes) -> None:
    """Nothing is written where it stands already: what is there is not touched twice."""
    if not path.exists() or read(path) != data:
        durable.write(path, data, same_mode=True)
