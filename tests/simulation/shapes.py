"""Who can reach whom, and who invited whom."""

from __future__ import annotations

import random

Edges = set[frozenset[int]]


def edges_of(shape: str, count: int, rng: random.Random) -> Edges:
    """The pairs of nodes between which a link is possible; connected."""
    match shape:
        case "mesh":
            return {frozenset((a, b)) for a in range(count) for b in range(a)}
        case "line":
            return {frozenset((a, a + 1)) for a in range(count - 1)}
        case "ring":
            return {frozenset((a, (a + 1) % count)) for a in range(count)}
        case "cliques":  # two of them, and one host that is in both
            middle = count // 2
            return {frozenset((a, b)) for a in range(count) for b in range(a) if a <= middle or b >= middle}
        case "tree":  # each with up to four below it
            return {frozenset((a, (a - 1) // 4)) for a in range(1, count)}
        case "eights":  # each with about eight
            edges = {frozenset((a, (a + 1) % count)) for a in range(count)}
            while len(edges) < min(count * 4, count * (count - 1) // 2):
                edges.add(frozenset(rng.sample(range(count), 2)))
            return edges
        case "star":
            return {frozenset((0, a)) for a in range(1, count)}
        case _:
            edges = {frozenset((a, rng.randrange(a))) for a in range(1, count)}
            while len(edges) < min(count * 2, count * (count - 1) // 2):
                edges.add(frozenset(rng.sample(range(count), 2)))
            return edges


def around_the_last(edges: Edges, count: int) -> Edges:
    """Links past the last node, so that who has it for a neighbour need not rely on it."""
    near = sorted(next(iter(edge - {count - 1})) for edge in edges if count - 1 in edge)
    return {frozenset((near[0], other)) for other in near[1:]}


def inviters_of(invites: str, count: int, edges: Edges, rng: random.Random) -> dict[int, int]:
    """joiner -> inviter: all by node 0, or along a spanning tree of who can reach whom."""
    if invites == "star":
        return dict.fromkeys(range(1, count), 0)
    found: dict[int, int] = {}
    seen = [0]
    while len(seen) < count:
        at = rng.choice(seen)
        near = [b for b in range(count) if frozenset((at, b)) in edges and b not in found and b != 0]
        if near:
            joiner = rng.choice(near)
            found[joiner] = at
            seen.append(joiner)
    return found
