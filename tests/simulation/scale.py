"""What grows with the number of nodes, and how: each linked with about eight others, as a node with many peers is.

Every agent is an entry in its node's log, as its card is. Counted is what the machines say to each other; TLS,
WebSocket and their pings come on top.
"""

from __future__ import annotations

import random
import resource
import time
from dataclasses import replace
from statistics import quantiles

from maw.core.frames import Entries
from tests.simulation.broadcast import Steady, deliveries
from tests.simulation.knobs import draw
from tests.simulation.lean import LeanNode, shared

LATENCY_S = 0.02
MESSAGES = 50
IDLE_S = 30.0
SIZE = 200
PATIENCE_S = 600.0


class Many(Steady):
    """Many nodes, and nothing but what is counted."""

    node = LeanNode

    @property
    def lean(self) -> list[LeanNode]:
        return [node for node in self.nodes if isinstance(node, LeanNode)]


def measure(nodes: int, agents: int, *, cold: bool, seed: int = 1) -> str:
    """A row of the table. ``cold``: every node begins with its own agents only; else all begin with all."""
    began = time.process_time()
    with shared():
        world = _world(nodes, seed)
        _write_agents(world, agents, everywhere=not cold)
        for node in world.nodes:
            node.disk.sync()
            node.start()
        until = _until_all_have(world, agents + nodes)
        caught_up = f"{until:.1f} s, {world.sent_bytes / (agents * nodes):.0f} B" if cold else "–"
        twice = sum(node.sent_twice for node in world.lean) if cold else 0
        world.clockwork.run_until(world.clockwork.now + 30)
        idle = _rate(world, IDLE_S) / nodes
        said = _say(world, nodes, idle, seed)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent = time.process_time() - began
    return f"| {nodes} | {caught_up} | {twice} | {said} | {idle:.1f} | {spent:.0f} s, {memory / (1 << 20):.1f} GiB |"


def _say(world: Many, nodes: int, idle: float, seed: int) -> str:
    """What MESSAGES messages cost, and when each is everywhere."""
    seen, begin = deliveries(world), world.clockwork.now
    world.count_anew()
    before = sum(node.sent_twice for node in world.lean)
    rng = random.Random(seed)
    for at in range(MESSAGES):
        world.clockwork.at(begin + at * 0.2, rng.choice(world.nodes).post, 1, SIZE)
    world.clockwork.run_until(begin + MESSAGES * 0.2 + 10)
    said = {e.id: when for node in world.nodes for e, when in node.posts}
    whole = [max(seen[key]) - at for key, at in said.items() if len(seen.get(key, ())) == nodes - 1]
    assert len(whole) == MESSAGES, f"{MESSAGES - len(whole)} of {MESSAGES} messages are not everywhere"
    spent = world.sent_bytes - idle * nodes * (world.clockwork.now - begin)
    copies = sum(node.sent_twice for node in world.lean) - before
    cuts = quantiles(whole, n=100)
    return (
        f"{cuts[49] * 1000:.0f} | {cuts[98] * 1000:.0f} | {copies} |"
        f" {spent / MESSAGES / nodes:.0f} | {world.sent[Entries] / MESSAGES / nodes:.2f} |"
        f" {world.sent.total() / MESSAGES / nodes:.2f}"
    )


def _world(nodes: int, seed: int) -> Many:
    drawn = replace(draw(seed, nodes), shape="eights", faults=frozenset(), invites="star", latency=LATENCY_S)
    world = Many(replace(drawn, commit=0.002, wire=False, credit=4 << 20, page=256 * 1024))
    world.introduce()
    words = {key: word for node in world.nodes for key, word in node.disk.rows.statements.items()}
    for node in world.nodes:
        node.disk.rows.statements |= words
    return world


def _write_agents(world: Many, agents: int, *, everywhere: bool) -> None:
    for at, node in enumerate(world.nodes):
        count = agents // len(world.nodes) + (at < agents % len(world.nodes))
        made = node.writing.write_on_disk(count, SIZE)
        for other in world.nodes if everywhere else ():
            if other is not node:
                other.disk.rows.append(made)
                other.disk.high[node.key, made[0].epoch] = len(made)


def _until_all_have(world: Many, total: int) -> float:
    while any(len(node.disk.rows.visible) < total for node in world.nodes):
        world.clockwork.run_until(world.clockwork.now + 0.5)
        assert world.clockwork.now < PATIENCE_S, "no convergence"
    return world.clockwork.now


def _rate(world: Many, seconds: float) -> float:
    before = world.sent_bytes
    world.clockwork.run_until(world.clockwork.now + seconds)
    return (world.sent_bytes - before) / seconds


def report(sizes: list[int], agents: int, cold_up_to: int) -> int:
    """Prints the table of docs/testing.md."""
    print(
        f"{agents} agents\n| nodes | cold start: all know all, bytes an agent and node | sent twice |"
        " a message everywhere: median, ms | p99 | sent twice | bytes a message and node | copies | frames |"
        " idle: bytes a second and node | processor and memory of the run |\n" + "|---" * 11 + "|"
    )
    for nodes in sizes:
        print(measure(nodes, agents, cold=nodes <= cold_up_to), flush=True)
    return 0
