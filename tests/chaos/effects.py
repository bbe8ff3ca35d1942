"""What each fault did to its host, measured while it lasts: a fault without an effect has tested nothing."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from tests.chaos import schedule
from tests.chaos.box import Box, Heads
from tests.chaos.door import AwayError, Door
from tests.chaos.schedule import Fault

LOOK_S: Final = 1.0
PATIENCE_S: Final = 30.0
"""How much longer than planned a fault goes on until its effect is seen: a busy machine is slow to show it."""
CLOCK_SLACK_S: Final = 60.0
TABLE: Final = "inet chaos"
_PACKETS: Final = re.compile(r"counter packets (\d+)")


def until_seen(look: Callable[[], str | None], patience_s: float = PATIENCE_S) -> str | None:
    """What ``look`` says, as soon as it says anything; None when it never does."""
    deadline = time.monotonic() + patience_s
    while (seen := look()) is None and time.monotonic() < deadline:
        time.sleep(0.2)
    return seen


def look(fault: Fault, boxes: Sequence[Box]) -> str | None:
    """What can be seen of a fault that is there now: a sentence, or None when nothing can."""
    box = boxes[fault.hosts[0]]
    match fault.kind:
        case schedule.CUT | schedule.WG_DOWN:
            return _unheard(box, [other for other in boxes if other is not box])
        case schedule.CUT_PAIR | schedule.DEAF:
            deaf = [boxes[host] for host in fault.hosts] if fault.kind == schedule.CUT_PAIR else [box]
            return _dropped(deaf)
        case schedule.KILL | schedule.RESTART:
            return _away(box, -9 if fault.kind == schedule.KILL else 0)
        case schedule.STOP:
            return _stands(box)
        case schedule.CLOCK:
            return _off(box, fault.amount)
        case schedule.FULL:
            return _refuses(box)
        case schedule.ROLLBACK | schedule.DELETE:
            return _away(box, -9)
        case _:
            raise AssertionError(f"nobody knows what {fault.kind} does")


def lost(before: Heads, after: Heads) -> int:
    """How many entries an exchange of the database took away."""
    return sum(max(0, seq - after.get(log, 0)) for log, seq in before.items())


def _unheard(box: Box, others: Sequence[Box]) -> str | None:
    """A second in which it said something and nobody else got any of it."""
    first = [_said(other, box.key) for other in (box, *others)]
    time.sleep(LOOK_S)
    last = [_said(other, box.key) for other in (box, *others)]
    more = last[0] - first[0]
    heard = any(later > earlier for earlier, later in zip(first[1:], last[1:], strict=True))
    return f"said {more} entries in a second, and nobody got one" if more > 0 and not heard else None


def _said(box: Box, author: str) -> int:
    """How many entries of ``author`` it holds; 0 while its database is being exchanged."""
    try:
        return sum(seq for (key, _), seq in box.heads().items() if key == author)
    except sqlite3.Error:
        return 0


def _dropped(boxes: Sequence[Box]) -> str | None:
    counts = []
    for box in boxes:
        listed = box.host.run(["nft", "list", "table", *TABLE.split()]).stdout
        counts.append(sum(int(count) for count in _PACKETS.findall(listed)))
    return f"{sum(counts):,} packets dropped" if all(counts) else None


def _away(box: Box, status: int) -> str | None:
    """The daemon has ended as it was made to, and nobody answers in its place."""
    if box.ended() != status:
        return None
    door = Door(box.socket)
    try:
        door.ask("GET", "/healthz")
    except AwayError as error:
        return f"ended with {status}, its socket: {error}"
    finally:
        door.close()
    return None


def _stands(box: Box) -> str | None:
    if box.state() != "T":
        return None
    before = _said(box, box.key)
    time.sleep(LOOK_S)
    return "stopped, and said nothing for a second" if _said(box, box.key) == before else None


def _off(box: Box, amount: int) -> str | None:
    """When the newest message arrived, by this daemon's clock."""
    try:
        newest = box.get("/api/channels/general/messages?limit=1")[-1]
    except (AwayError, IndexError):
        return None
    off = (datetime.fromisoformat(newest["received_at"]) - datetime.now(UTC)).total_seconds()
    return f"stamps {off / 3600:+.2f} h" if abs(off - amount) < CLOCK_SLACK_S else None


def _refuses(box: Box) -> str | None:
    """What it answers to somebody who wants to say something. Right after a loss its agents may not be back yet: then
    its own word that it takes nothing."""
    door = Door(box.socket, box.agents[0])
    try:
        status, body = door.ask("POST", "/api/channels/general/messages", {"text": "is there room?"})
        if status >= 500:
            return f"refuses: {status} {body['error']['code']}"
        state = door.ask("GET", "/api/status")[1].get("state")
    except AwayError:
        return None
    finally:
        door.close()
    return "says that it is read-only" if state == "read_only" else None
