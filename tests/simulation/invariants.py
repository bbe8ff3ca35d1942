"""What must hold when everything has healed."""

from __future__ import annotations

from maw.core.identity import NodeId
from tests.simulation.node import Surroundings
from tests.simulation.trace import Violation


def converged(around: Surroundings) -> bool:
    """Every replica holds the same, and everybody trusts everybody."""
    first = around.nodes[0].disk.rows
    heads = first.heads()
    return all(
        node.alive
        and len(node.book.trusted) == len(around.nodes) - 1
        and node.disk.rows.statements.keys() == first.statements.keys()
        and node.disk.rows.heads() == heads
        for node in around.nodes
    )


def why_not(around: Surroundings) -> str:
    """The first differences, for a person."""
    lines: list[str] = []
    everything: dict[tuple[NodeId, int], int] = {}
    statements: set[bytes] = set()
    for node in around.nodes:
        statements |= node.disk.rows.statements.keys()
        for place, log in node.disk.rows.logs.items():
            everything[place] = max(everything.get(place, 0), len(log))
    for node in around.nodes:
        lacks = [
            f"{around.names.of[author]}/{epoch}:{node.disk.rows.head(author, epoch).seq}<{most}"
            for (author, epoch), most in everything.items()
            if node.disk.rows.head(author, epoch).seq < most
        ]
        untrusted = [o.index for o in around.nodes if o.key not in (node.key, *node.book.trusted)]
        lines.append(
            f"n{node.index} alive={node.alive} links={sorted(node.linked)} lacks={lacks}"
            f" untrusted={untrusted} statements={len(node.disk.rows.statements)}/{len(statements)}"
        )
    return "\n".join(lines)


def check_end(around: Surroundings) -> None:
    for node in around.nodes:
        node.disk.check()
        _check_order(around, node.index)
        _check_serving(around, node.index)
    _check_nothing_lost(around)
    if not around.knobs.faults:
        _check_nothing_twice(around)


def _check_nothing_lost(around: Surroundings) -> None:
    for node in around.nodes:
        for (author, epoch, seq), entry_id in around.acknowledged.items():
            log = node.disk.rows.logs.get((author, epoch), [])
            if len(log) < seq or log[seq - 1].id != entry_id:
                raise Violation(f"n{node.index} lacks {around.names.of[author]}/{epoch}:{seq}, acknowledged")


def _check_order(around: Surroundings, index: int) -> None:
    """FIFO per author as each replica made it visible; after a restored database, within its epochs."""
    node = around.nodes[index]
    whole = not around.trace.counts["entries lost by a restored database"]
    last: dict[object, tuple[int, int]] = {}
    for author, epoch, seq in node.disk.rows.visible:
        stream: object = author if whole else (author, epoch)
        if last.get(stream, (0, 0)) >= (epoch, seq):
            name = around.names.of[author]
            raise Violation(f"n{index} shows {name}/{epoch}:{seq} after {last[stream]}")
        last[stream] = (epoch, seq)


def _check_serving(around: Surroundings, index: int) -> None:
    """Nothing is on its way any more: all credit is back, nobody waits, no batch is open."""
    node = around.nodes[index]
    serving, followed = node.replicator.serving, node.replicator.followed
    for link in node.linked.values():
        if serving.credit_of(link) != around.knobs.credit:
            raise Violation(f"n{index} has credit {serving.credit_of(link)} left on link {link}")
        if followed.behind(link) or followed.lacks(link):
            raise Violation(f"n{index} counts link {link} as behind")
    for other in around.nodes:
        silent = other is node or not node.disk.rows.epochs(other.key)
        if not silent and followed.through(other.key) not in node.linked.values():
            raise Violation(f"n{index} follows n{other.index} through {followed.through(other.key)}, no link")
    if serving.busy or followed.busy:
        raise Violation(f"n{index} still waits: serving {serving.busy}, followed {followed.busy}")


def _check_nothing_twice(around: Surroundings) -> None:
    for node in around.nodes:
        twice = [entry_id for entry_id, times in node.received.items() if times > 1]
        own = {
            entry.id
            for (author, _), log in node.disk.rows.logs.items()
            if author == node.key
            for entry in log
        }
        if twice or own & node.received.keys():
            raise Violation(f"n{node.index} was sent {len(twice)} entries twice in a steady run")
