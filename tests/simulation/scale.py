"""What grows with the number of nodes, and how: each linked with about eight others, as a node with many peers is.

Every agent is an entry in its node's log, as its card is. Counted is what the machines say to each other; TLS,
WebSocket and their pings come on top.
"""

from __future__ import annotations

import random
import time
from dataclasses import replace
from statistics import quantiles

from maw.core.frames import Entries
from tests.simulation.broadcast import Steady, deliveries
from tests.simulation.knobs import draw

LATENCY_S = 0.02
MESSAGES = 50
IDLE_S = 30.0
SIZE = 200
PATIENCE_S = 600.0


def measure(nodes: int, agents: int, *, cold: bool, seed: int = 1) -> str:
    """A row of the table. ``cold``: every node begins with its own agents only; else all begin with all."""
    began = time.process_time()
    world = _world(nodes, seed)
    _write_agents(world, agents, everywhere=not cold)
    for node in world.nodes:
        node.disk.sync()
        node.start()
    total = agents + nodes
    until = _until_all_have(world, total)
    caught_up = f"{until:.0f} s, {_bytes(world) / (agents * nodes):.0f} B" if cold else "–"
    twice = sum(times - 1 for node in world.nodes for times in node.received.values())
    world.clockwork.run_until(world.clockwork.now + 30)
    idle = _rate(world, IDLE_S) / nodes
    seen, begin = deliveries(world), world.clockwork.now
    world.sent.clear()
    said: dict[bytes, float] = {}
    rng = random.Random(seed)
    for at in range(MESSAGES):
        world.clockwork.at(begin + at * 0.2, rng.choice(world.nodes).post, 1, SIZE)
    world.clockwork.run_until(begin + MESSAGES * 0.2 + 10)
    for node in world.nodes:
        said.update({e.id: when for e, when in node.posts})
    whole = [max(seen[key]) - at for key, at in said.items() if len(seen.get(key, ())) == nodes - 1]
    assert len(whole) == MESSAGES, f"{MESSAGES - len(whole)} of {MESSAGES} messages are not everywhere"
    spent = _bytes(world) - idle * nodes * (world.clockwork.now - begin)
    frames = sum(len(sizes) for sizes in world.sent.values())
    copies = sum(1 for node in world.nodes for key in said if node.received[key] > 1)
    cuts = quantiles(whole, n=100)
    return (
        f"| {nodes} | {caught_up} | {twice} | {cuts[49] * 1000:.0f} | {cuts[98] * 1000:.0f} | {copies} |"
        f" {spent / MESSAGES / nodes:.0f} | {len(world.sent[Entries]) / MESSAGES / nodes:.2f} |"
        f" {frames / MESSAGES / nodes:.2f} | {idle:.1f} | {time.process_time() - began:.0f} s |"
    )


def _world(nodes: int, seed: int) -> Steady:
    drawn = replace(draw(seed, nodes), shape="eights", faults=frozenset(), invites="star", latency=LATENCY_S)
    world = Steady(replace(drawn, commit=0.002, wire=False, credit=4 << 20, page=256 * 1024))
    world.introduce()
    words = {key: word for node in world.nodes for key, word in node.disk.rows.statements.items()}
    for node in world.nodes:
        node.disk.rows.statements |= words
    return world


def _write_agents(world: Steady, agents: int, *, everywhere: bool) -> None:
    for at, node in enumerate(world.nodes):
        count = agents // len(world.nodes) + (at < agents % len(world.nodes))
        made = node.writing.write_on_disk(count, SIZE)
        for other in world.nodes if everywhere else ():
            if other is not node:
                other.disk.rows.append(made)
                other.disk.high[node.key, made[0].epoch] = len(made)


def _until_all_have(world: Steady, total: int) -> float:
    while any(len(node.disk.rows.visible) < total for node in world.nodes):
        world.clockwork.run_until(world.clockwork.now + 0.5)
        assert world.clockwork.now < PATIENCE_S, "no convergence"
    return world.clockwork.now


def _bytes(world: Steady) -> int:
    return sum(sum(sizes) for sizes in world.sent.values())


def _rate(world: Steady, seconds: float) -> float:
    before = _bytes(world)
    world.clockwork.run_until(world.clockwork.now + seconds)
    return (_bytes(world) - before) / seconds


def report(sizes: list[int], agents: int, cold_up_to: int) -> int:
    """Prints the table of docs/testing.md."""
    print(
        f"{agents} agents\n| nodes | cold start: all know all, bytes an agent and node | sent twice |"
        " a message everywhere: median, ms | p99 | sent twice | bytes a message and node | copies | frames |"
        " idle: bytes a second and node | CPU of the run |\n" + "|---" * 11 + "|"
    )
    for nodes in sizes:
        print(measure(nodes, agents, cold=nodes <= cold_up_to), flush=True)
    return 0
