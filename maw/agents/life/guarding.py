"""A runner with tools may write the soul itself. Where its owner does not allow that, it is a proposal, no more.

Before a runner begins, ``begin`` notes in ``.maw/soul.guard`` which soul it was given; ``end`` looks what became of it:
when the runner has ended or, where its starter was killed, before anybody takes for its owner's what the runner wrote.
"""

from __future__ import annotations

import json
import time
from typing import Final

from maw.agents.life import durable, leftovers
from maw.agents.life.home import AgentHome
from maw.agents.life.quick import log
from maw.agents.life.souls import known_soul, put, read_soul
from maw.core.souls import soul_hash

GUARD: Final = "soul.guard"


def begin(home: AgentHome) -> None:
    """A runner is about to begin. Raises OSError."""
    known = known_soul(home)
    if not home.dream.change_soul and known is not None:
        told = {"soul": soul_hash(known), "stamp": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())}
        durable.write(home.own / GUARD, json.dumps(told).encode())


def end(home: AgentHome) -> str | None:
    """Ends what is left of a runner whose starter was killed, and looks. What was done, for people. Raises Refused,
    OSError."""
    leftovers.end(home.own)
    path = home.own / GUARD
    try:
        told = json.loads(path.read_bytes())
        before, stamp = str(told["soul"]), str(told["stamp"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        before = stamp = ""  # damaged: nothing is known of what was before
    known, words = known_soul(home), None
    if known is not None and soul_hash(known) == before and not home.dream.change_soul:
        words = _put_back(home, known.encode(), stamp)
    durable.remove(path)
    if words is not None:
        log(str(home.folder), f"SOUL {words}")
    return words


def _put_back(home: AgentHome, known: bytes, stamp: str) -> str | None:
    data = read_soul(home)
    if data == known:
        return None
    if data is not None:
        if not home.proposals.is_dir():
            home.proposals.mkdir(mode=0o700, parents=True)
            durable.sync_folder(home.memory)
        durable.write(home.proposals / f"soul-{stamp}-written.md", data)
    put(home, known, word="written")
    kept = "" if data is None else f": that is memory/proposals/soul-{stamp}-written.md now"
    return f"its runner wrote soul.md itself{kept}, and the soul is what it was"
