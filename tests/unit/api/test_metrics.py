"""The Prometheus text: well-formed whatever peers call themselves."""

from __future__ import annotations

import re

from maw.api.backend import ANONYMOUS
from maw.api.metrics import exposition
from tests.unit.api.memory_backend import MemoryBackend

SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="(\\.|[^"\\])*"(,[a-z]+="(\\.|[^"\\])*")*\})? -?[0-9.e+-]+')


async def text() -> str:
    backend = MemoryBackend()
    backend.add_agent("neo", 0)
    return exposition(await backend.status(ANONYMOUS), await backend.peers(ANONYMOUS))


async def test_every_line_is_a_comment_or_a_sample() -> None:
    lines = (await text()).splitlines()
    assert lines
    for line in lines:
        assert line.startswith(("# HELP ", "# TYPE ")) or SAMPLE.fullmatch(line), line


async def test_figures_are_exact_and_labels_escaped() -> None:
    shown = await text()
    assert "maw_disk_free_bytes 1000000000\n" in shown
    assert "maw_uptime_seconds 12.5\n" in shown
    assert 'maw_unread{agent="neo"} 0\n' in shown
    assert 'maw_peer_linked{peer="mbp\\"\\n",key="aaaaaa",state="linked"} 1\n' in shown
    assert "maw_running 1\n" in shown


async def test_what_is_not_known_is_left_out() -> None:
    shown = await text()
    assert "maw_peer_behind_entries" in shown
    assert "maw_peer_lacks_entries" not in shown, "lacks is null in this status"


def test_an_empty_status_is_no_error() -> None:
    assert "maw_info" in exposition({}, [])


def test_what_hearing_costs_is_told_by_agent() -> None:
    agent = {"held": [{"what": "neo@pi"}], "since_start": {"wakes": 3, "digests": 5, "digest_bytes": 912}}
    shown = exposition({"wakes": {"per_hour": 60, "agents": {"arthur": agent}}}, [])
    assert 'maw_wakes_total{agent="arthur"} 3\n' in shown
    assert 'maw_digests_total{agent="arthur"} 5\n' in shown
    assert 'maw_digest_bytes_total{agent="arthur"} 912\n' in shown
    assert 'maw_wakes_held{agent="arthur"} 1\n' in shown


def test_what_agents_cost_is_told_by_agent_and_cap() -> None:
    today = {"runs": 2, "runner_s": 61.5, "tokens": 50100, "usd": 0.0123, "unpriced_runs": 1}
    caps = [{"of": "arthur@mbp", "unit": "usd", "percent": 85}]
    cost = {"day": "2026-11-22", "agents": {"arthur": today}, "caps": caps}
    shown = exposition({"cost": cost, "halted": ["arthur is halted: …"]}, [])
    assert 'maw_cost_usd_total{agent="arthur"} 0.0123\n' in shown
    assert 'maw_cost_tokens_total{agent="arthur"} 50100\n' in shown
    assert 'maw_cost_unpriced_runs_total{agent="arthur"} 1\n' in shown
    assert 'maw_cost_cap_spent_ratio{of="arthur@mbp",unit="usd"} 0.85\n' in shown
    assert "maw_cost_halted 1\n" in shown
