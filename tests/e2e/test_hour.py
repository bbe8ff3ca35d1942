"""Half a minute of the hour: everything that was said is heard of, once, and costs no more wakes than it must."""

from __future__ import annotations

import shutil

import pytest

from tests.hour.run import run
from tests.hour.talk import schedule

pytestmark = [
    pytest.mark.skipif(not shutil.which("tmux"), reason="needs tmux: apt-get install -y tmux"),
    pytest.mark.slow,
    pytest.mark.timeout(240),
]


def test_half_a_minute_of_agents() -> None:
    tally = run(seed=7, minutes=0.5, messages=16, agents=3, nudged=0)
    assert tally.missing == [] and tally.twice == []
    words = schedule(7, [f"agent-{number:02}" for number in range(3)], 30, 16)
    waking = sum(2 if word.kind == "group" else 1 for word in words if word.wakes)
    assert 0 < tally.wakes <= waking
    assert tally.digests >= tally.wakes
    assert tally.states["stored"] == tally.states["failed"] == 0, tally.states
