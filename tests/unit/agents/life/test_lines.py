"""The lines a pulse says: what waits and why, and until when."""

from __future__ import annotations

import time

from maw.agents.life.pulse import _moment
from maw.agents.life.quick import ok

TOLD = {"unread": 3, "roles": {"books": 1}, "no_channel": []}


def test_what_its_budget_keeps_back_is_said_with_why() -> None:
    assert ok("scout", {**TOLD, "over_budget": None}) == (
        "HEARTBEAT_OK scout, nothing to do, 4 unread that begin no run"
    )
    over = {"messages": 2, "why": "slowed: neo@mbp is at 12 of 24 times an hour"}
    assert ok("scout", {**TOLD, "over_budget": over}) == (
        "HEARTBEAT_OK scout, nothing to do, 4 unread that begin no run"
        " (2 slowed: neo@mbp is at 12 of 24 times an hour)"
    )
    assert "begin no run" in ok("scout", TOLD), "of a daemon that is older"


def test_a_moment_of_another_day_has_its_date() -> None:
    now = time.time()
    assert _moment(now + 3 * 86_400) == time.strftime("%d %b %H:%M", time.localtime(now + 3 * 86_400))
    assert _moment(now) in (time.strftime("%H:%M", time.localtime(now)), time.strftime("%d %b %H:%M"))
