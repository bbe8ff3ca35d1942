"""A home's soul and the Colony: told when it is another, fetched where the file is broken, a human told of that."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from maw.agents.life import durable, guarding
from maw.agents.life.home import AgentHome, make_own
from maw.agents.life.souls import Checked, check_soul, note_synced, read_soul
from maw.client.daemon import Door
from maw.core.souls import fault_of
from maw.errors import MawError, NotFound, Refused

TROUBLE: Final = "trouble.soul"
"""In ``.maw``: what a human is to be told of the soul: one of the words below, and the sentence."""
OVER: Final = "over"
OPEN: Final = "open"
TOLD: Final = "told"


def look_after(home: AgentHome, door: Callable[[], Door], tell: Callable[[str], None]) -> Checked:
    """To be called by whatever runs in a home, under its lock: without a daemon and without a network where the soul is
    as it was. ``door``: the daemon, spoken to as the agent; ``tell`` says a line to whoever looks. A daemon that cannot
    be reached keeps nothing up: what it is to be told is told next time. Raises Refused, OSError."""
    if (done := guarding.end(home)) is not None:  # of a run whose starter was killed
        tell(done)
    checked = check_soul(home, lambda: fetch(home, door()))
    words = checked.words(home)
    if words is not None:
        tell(words)
        home.memory.mkdir(mode=0o700, exist_ok=True)
        durable.append(home.log, f"\n- {_stamp()} {words}\n".encode())
        _write_trouble(home, words, over=checked.sound)
    if checked.sound and not checked.synced:
        try:
            sync(home, door())
            checked = replace(checked, synced=True)
        except MawError as error:
            tell(f"the soul was not told to the Colony: {error.message}")
            if isinstance(error, Refused) or error.code in ("bad_soul", "credential"):
                _write_trouble(home, f"the soul was not told to the Colony: {error.message}", over=False)
    _report(home, door, checked)
    return checked


def fetch(home: AgentHome, door: Door) -> str | None:
    """The soul as the Colony has it; None where it has none. Raises MawError."""
    me = door.get("/api/whoami").body
    try:
        found = door.get(f"/api/souls/{me.get('agent') or home.name}").body
    except NotFound:
        return None
    return str(found["text"])


def sync(home: AgentHome, door: Door) -> dict[str, Any]:
    """Tell the Colony; what it answers. Raises MawError, also for a file that is no soul."""
    data = read_soul(home)
    fault = fault_of(data)
    if data is None or fault is not None:
        raise Refused(
            f"{home.soul}: the soul {fault}",
            code="bad_soul",
            hint=f"`maw soul check {home.name}` restores it; else put it right, and sync again",
        )
    said: dict[str, Any] = door.post("/api/souls", {"agent": home.name, "text": data.decode()}).body
    note_synced(home, str(said["hash"]))
    return said


def _report(home: AgentHome, door: Callable[[], Door], checked: Checked) -> None:
    """An alert for a human, tried again until the daemon took it, and settled when it ends; of what is over already a
    human is told all the same, until the next look finds the soul sound and told."""
    path = home.own / TROUBLE
    try:
        state, _, words = path.read_text().partition(" ")
    except FileNotFoundError:
        return
    ended = state != OVER and checked.fault is None and checked.synced
    if state == TOLD and not ended:
        return
    with contextlib.suppress(MawError):
        if not ended or state == TOLD:
            door().post("/api/trouble", {"kind": "soul", "text": "" if ended else words[:400]})
        if ended:
            durable.remove(path)
        else:
            durable.write(path, f"{TOLD} {words}".encode())


def _write_trouble(home: AgentHome, words: str, *, over: bool) -> None:
    make_own(home)
    try:
        if not over and (home.own / TROUBLE).read_text() == f"{TOLD} {words}":
            return  # it goes on
    except FileNotFoundError:
        pass
    durable.write(home.own / TROUBLE, f"{OVER if over else OPEN} {words}".encode())


def _stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
