"""A pulse with nothing to do, with as little as can be: the standard library, one request, one line in the log.

When a whole pulse found nothing to do it notes how the files that could change that look (``quick.json``). As long as
they look so, and the daemon says that nothing waits, there is nothing to do. Whatever is otherwise (a file, a run that
was cut short, mail, a freeze, an error, options) is for the whole pulse, which begins from the start.
"""

from __future__ import annotations

import json
import os
import sys
import time

from maw.agents.hooks.daemon import Daemon, NoAnswer, find_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

PATIENCE_S: Final = 30.0
LARGEST_LOG: Final = 4 << 20
"""Bytes of memory/pulse.log; then it is begun anew, and the one before is kept."""
_LOOKED_AT: Final = ("agent.toml", "heartbeat.md", "tasks.md", "soul.md")
_BEGUN: Final = ("pulse.json", "again", "soul.guard", "trouble.soul")
"""In ``.maw``: what was cut short, is asked for, or is to be told."""
_heard: dict[str, dict[str, Any]] = {}
_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


def main(args: list[str], env: Mapping[str, str]) -> int | None:
    """``maw pulse [AGENT] [--dir HOME]``; the exit code, or None: this is for the whole command."""
    asked = _words(args)
    try:
        line = None if asked is None else _quickly(*asked, env)
    except (OSError, NoAnswer, KeyError, TypeError, AttributeError):
        return None  # what is wrong, the whole command says
    if line is None:
        return None
    sys.stdout.write(f"{line}\n")
    return 0


def _quickly(name: str | None, folder: str | None, env: Mapping[str, str]) -> str | None:
    folder = _folder(name, folder, env)
    socket = find_socket(env)
    if folder is None or socket is None:
        return None
    handle = _lock(folder)
    if handle is None:
        return None
    try:
        known = _known(folder, name)
        learnt = None if known is not None else _learn(folder, name)
        known = known or learnt
        if known is None:
            return None
        own = os.path.join(folder, ".maw")
        if any(os.path.lexists(os.path.join(own, one)) for one in _BEGUN):
            return None
        daemon = Daemon(socket, {"X-Maw-Agent": known["name"]}, time.monotonic() + PATIENCE_S)
        asked = {"watch": known["watch"], **({"policy": known["policy"]} if known["policy"] else {})}
        status, told = daemon.ask("/api/pulse", asked)
        if status != 200:
            return None
        policy = (told.get("policy") or {"id": ""})["id"]
        if told["waking"] or told["held"] or policy != known["policy"]:
            _heard[folder] = told
            return None
        if learnt is not None:
            remember(folder, **learnt)
        log(folder, "HEARTBEAT_OK")
    finally:
        os.close(handle)
    return ok(str(known["name"]), told)


def ok(name: str, told: Mapping[str, Any]) -> str:
    """The one line."""
    waiting = int(told["unread"]) + sum(told["roles"].values())
    rest = f", {waiting} unread that begin no run" if waiting else ""
    if over := told.get("over_budget"):
        rest += f" ({over['messages']} {over['why']})"
    missing = ", ".join(f"#{channel}" for channel in told["no_channel"])
    return f"HEARTBEAT_OK {name}, nothing to do{rest}{f'; there is no {missing} to watch' if missing else ''}"


def heard(folder: str) -> dict[str, Any] | None:
    """What the daemon told this process already, on the quick way: asked for once."""
    return _heard.pop(folder, None)


def remember(
    folder: str, *, looks: list[list[int] | None], name: str, watch: Sequence[str], policy: str
) -> None:
    """There was nothing to do while the home looked so."""
    from maw.agents.life import durable

    told = {"looks": looks, "name": name, "watch": list(watch), "policy": policy}
    durable.write(os.path.join(folder, ".maw", "quick.json"), json.dumps(told).encode())


def forget(folder: str) -> None:
    try:
        os.unlink(os.path.join(folder, ".maw", "quick.json"))
    except FileNotFoundError:
        return


def log(folder: str, words: str) -> None:
    """A line in memory/pulse.log. Not waited for until it is on the disk: nothing depends on it."""
    path = os.path.join(folder, "memory", "pulse.log")
    line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {words}".replace("\n", " ")
    try:
        handle = os.open(
            path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600
        )
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o700)
        log(folder, words)
        return
    try:
        os.write(handle, line.encode("utf-8", "replace") + b"\n")
        size = os.fstat(handle).st_size
    finally:
        os.close(handle)
    if size > LARGEST_LOG:
        os.replace(path, f"{path}.1")


def log_once(folder: str, words: str, mark: str) -> None:
    """The line, unless one with ``mark`` stands near the end."""
    path = os.path.join(folder, "memory", "pulse.log")
    try:
        with open(path, "rb") as file:
            file.seek(max(file.seek(0, 2) - 4096, 0))
            if any(line.split(b" ", 2)[1:2] == [b"RAN"] and mark.encode() in line for line in file):
                return
    except FileNotFoundError:
        pass
    log(folder, words)


def _words(args: list[str]) -> tuple[str | None, str | None] | None:
    """The agent and ``--dir``; None where there is anything else."""
    name = folder = None
    rest = iter(args)
    for word in rest:
        if word == "--dir":
            folder = next(rest, None)
            if folder is None:
                return None
        elif word.startswith("-") or name is not None:
            return None
        else:
            name = word.removeprefix("@")
            if not name or not _NAME.issuperset(name):
                return None
    return name, folder


def _folder(name: str | None, folder: str | None, env: Mapping[str, str]) -> str | None:
    """As ``maw.agents.life.home.find_home`` looks for it."""
    given = folder or env.get("MAW_AGENT_HOME")
    if given:
        return os.path.abspath(os.path.expanduser(given))
    here = os.getcwd()
    if os.path.isfile(os.path.join(here, "agent.toml")):
        if _known(here, name) is not None:
            return here
        if name is None:
            return None
    name = name or env.get("MAW_AGENT", "").removeprefix("@") or None
    if name is None or not _NAME.issuperset(name):
        return None
    return os.path.join(env.get("HOME") or os.path.expanduser("~"), "agents", name)


def _learn(folder: str, name: str | None) -> dict[str, Any] | None:
    from maw.agents.life.first import learn  # takes as long as all the rest

    return learn(folder, name)


def _known(folder: str, name: str | None) -> dict[str, Any] | None:
    """What was noted of this home, if it still looks so and is ``name``'s."""
    try:
        with open(os.path.join(folder, ".maw", "quick.json"), "rb") as file:
            told = json.load(file)
        seen = looks(folder)
        if told["looks"] != seen or seen[0] is None or seen[0][4] not in (os.geteuid(), 0):
            return None
        if name is not None and told["name"] != name:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return told if isinstance(told, dict) else None


def looks(folder: str) -> list[list[int] | None]:
    """Of each file that a pulse reads: which it is, how large, and when it was changed."""
    found: list[list[int] | None] = []
    for name in _LOOKED_AT:
        try:
            info = os.stat(os.path.join(folder, name))
        except FileNotFoundError:
            found.append(None)
            continue
        found.append(
            [info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_uid, info.st_mode]
        )
    return found


def _lock(folder: str) -> int | None:
    """Held until it is closed; None where another pulse has it."""
    import fcntl

    handle = os.open(
        os.path.join(folder, ".maw", "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
