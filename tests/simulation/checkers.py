"""What must hold, by name; each checker says one thing. At every moment: ``watcher`` and ``readers``; at the
end, when everything has healed: here.

Of what a hostile node wrote nothing is promised but that honest nodes which differ on it know that they do.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from maw.core.entry import START, Entry, Kind, Position
from maw.core.identity import NodeId
from maw.core.mending import MAX_WANTED
from maw.core.redaction import Range, droppable
from tests.simulation.marking import recipient
from tests.simulation.node import SimNode, Surroundings
from tests.simulation.rules import read_rule
from tests.simulation.trace import Violation

CHECKERS: Final = {
    "lost": "what was acknowledged is on every replica, and every reader saw what its replica shows",
    "duplicated": "nothing stands twice on a disk, reaches a cursor twice, or is sent back or twice when calm",
    "reordered": "each author's entries become visible, and reach readers, in the order they were said",
    "stale": "what was acknowledged is seen at once here, in seconds elsewhere, everywhere after healing",
    "diverged": "replicas, statements and trust are equal after healing; forks are known where they are held",
    "unsafe": "nothing is sent, announced or receipted that a power cut could take back",
    "leaky": "after healing all credit is back, no batch, read or follow hangs; chains and signatures are whole",
    "unredacted": "of what was redacted no payload is on any disk or shown to anybody; of all else every payload is",
    "ahead": "no author hears that a message got further than was durable at its recipient; in the end he hears all",
    "noisy": "who has nothing to say is silent",
    "alarmed": "no honest node is accused, hung up on, or denied",
}


def converged(around: Surroundings) -> bool:
    """Every honest replica holds the same of every honest author, and everybody trusts everybody."""
    honest = around.honest
    first = honest[0].disk.rows
    heads = _settled(around, honest[0])
    return all(
        node.alive
        and len(node.book.trusted) == len(around.nodes) - 1 - len(around.revoked)
        and node.book.revoked.keys() == around.revoked.keys()
        and node.disk.rows.statements.keys() == first.statements.keys()
        and not to_be_had(around, node)
        and all(one.id in node.disk.rows.rules.stated for one in node.book.ruling.redactions)
        and _settled(around, node) == heads
        for node in honest
    )


def to_be_had(around: Surroundings, node: SimNode) -> list[Position]:
    """What is missing on this replica, and an honest one holds with its payload."""
    return [
        position for position in node.disk.rows.rules.missing
        if any(entry.payload is not None for other in around.honest for entry in _at(other, position))
    ]  # fmt: skip


def _at(node: SimNode, position: Position) -> list[Entry]:
    log = node.disk.rows.logs.get((position.author, position.epoch), [])
    return log[position.seq - 1 : position.seq]


def _settled(around: Surroundings, node: SimNode) -> dict[NodeId, object]:
    """The heads of a replica, without the logs whose author may say different things to different nodes: who means
    harm ends no fork, not even one that he did not mean."""
    forged = {other.key for other in around.nodes if other.hostile and around.knobs.has("forger", "forked")}
    heads = {author: heads for author, heads in node.disk.rows.heads().items() if author not in forged}
    for author, cut in around.revoked.items():
        heads[author] = {
            epoch: min(head, cut[epoch], key=lambda one: one.seq)
            for epoch, head in heads.get(author, {}).items()
            if epoch in cut
        }
    return heads  # type: ignore[return-value]


def why_not(around: Surroundings) -> str:
    """The first differences, for a person."""
    lines: list[str] = []
    everything: dict[tuple[NodeId, int], int] = {}
    statements: set[bytes] = set()
    for node in around.honest:
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
            f"n{node.index}{' (hostile)' if node.hostile else ''} alive={node.alive}"
            f" links={sorted(node.linked)} lacks={lacks} untrusted={untrusted}"
            f" statements={len(node.disk.rows.statements)}/{len(statements)}"
            f" missing={[f'{around.names.of[m.author]}/{m.epoch}:{m.seq}' for m in node.disk.rows.rules.missing]}"
        )
    return "\n".join(lines)


def check_end(around: Surroundings) -> None:
    for check in (lost, duplicated, reordered, diverged, leaky, unredacted, ahead):
        check(around)


def lost(around: Surroundings) -> None:
    for node in around.honest:
        shown = {around.root(entry.id) for entry in node.disk.rows.visible}
        for entry_id, (author, epoch, seq) in around.acknowledged.items():
            cut = around.revoked.get(author)
            void = cut is not None and (
                seq > cut.get(epoch, START).seq  # or of another branch than the one that was cut
                or any(around.root(one.id) != entry_id for one in _at(node, Position(author, epoch, seq)))
            )
            if entry_id not in shown and not void:
                name = around.names.of[author]
                raise Violation("lost", f"n{node.index} lacks {name}/{epoch}:{seq}, acknowledged")
        unseen = shown - node.reader.seen.keys()
        if unseen:
            raise Violation("lost", f"the cursor on n{node.index} passed over {len(unseen)} entries")


def duplicated(around: Surroundings) -> None:
    for node in around.honest:
        rows = node.disk.rows
        shown = Counter(around.root(entry.id) for entry in rows.visible)
        if len(shown) != len(rows.visible):
            again = next(entry for entry in rows.visible if shown[around.root(entry.id)] > 1)
            name = f"{around.names.of[again.author]}/{again.epoch}:{again.seq}"
            raise Violation("duplicated", f"n{node.index}: {name} is shown twice")
        twice = [entry_id for entry_id, times in node.reader.seen.items() if times > 1]
        if twice and not node.disasters:
            raise Violation("duplicated", f"the cursor on n{node.index} met {len(twice)} entries twice")
        if not around.knobs.faults:
            _sent_once(node)


def _sent_once(node: SimNode) -> None:
    twice = [entry_id for entry_id, times in node.received.items() if times > 1]
    own = {e.id for (author, _), log in node.disk.rows.logs.items() if author == node.key for e in log}
    if twice or own & node.received.keys():
        raise Violation("duplicated", f"n{node.index} was sent {len(twice)} entries twice in a steady run")


def reordered(around: Surroundings) -> None:
    """FIFO per author; of who lost its disk, or lies, within its epochs."""
    for node in around.honest:
        _in_order(around, node.index, "shows", node.disk.rows.visible)
        if not node.disasters:
            _in_order(around, node.index, "reads", node.reader.order)


def _in_order(around: Surroundings, index: int, does: str, entries: list[Entry]) -> None:
    last: dict[object, tuple[int, int]] = {}
    for entry in entries:
        if entry.id in around.nodes[index].disk.rows.rules.late:
            continue  # its payload came later than what its author said after it
        if entry.kind in (
            Kind.OPEN,
            Kind.PROGRESS,
        ):  # nobody is shown it: another branch's may have come later
            continue
        author, epoch, seq = entry.position
        of = around.by_key[author]
        if does == "reads" and of.forked:
            continue  # in one branch, then in the other
        stream: object = (author, epoch) if of.disasters or of.hostile else author
        if last.get(stream, (0, 0)) >= (epoch, seq):
            name = around.names.of[author]
            raise Violation("reordered", f"n{index} {does} {name}/{epoch}:{seq} after {last[stream]}")
        last[stream] = (epoch, seq)


def diverged(around: Surroundings) -> None:
    """Where two linked honest nodes hold different entries at one place, one at least has the proof. Nobody counts
    what is above a revocation's cut."""
    for node in around.honest:
        for author, cut in around.revoked.items():
            for epoch, head in node.held.of(author).items():
                if head.seq > cut.get(epoch, START).seq:
                    raise Violation("diverged", f"n{node.index} counts {epoch}:{head.seq} of a revoked key")
        for index in node.linked:
            other = around.nodes[index]
            if other.hostile or index < node.index:
                continue
            for place, log in node.disk.rows.logs.items():
                theirs = other.disk.rows.logs.get(place, [])
                same = min(len(log), len(theirs))
                known = place in node.disk.rows.proofs or place in other.disk.rows.proofs
                if same and log[same - 1].id != theirs[same - 1].id and not known:
                    name = around.names.of[place[0]]
                    raise Violation(
                        "diverged", f"n{node.index} and n{index} differ on {name}/{place[1]} unknowing"
                    )


def leaky(around: Surroundings) -> None:
    """Nothing is on its way any more: all credit is back, nobody waits, no batch is open."""
    for node in around.honest:
        _chains(around, node)
        serving, followed = node.replicator.serving, node.replicator.followed
        if node.replicator.mending.room < MAX_WANTED - len(node.disk.rows.rules.missing):
            raise Violation("leaky", f"n{node.index} looks for payloads that it holds, or that are gone")
        if serving.busy or followed.busy:
            raise Violation("leaky", f"n{node.index} waits: serving {serving.busy}, followed {followed.busy}")
        if around.knobs.hostile:
            continue
        for link in node.linked.values():
            if serving.credit_of(link) != around.knobs.credit:
                raise Violation(
                    "leaky", f"n{node.index} has credit {serving.credit_of(link)} left on link {link}"
                )
            if followed.behind(link) or (followed.offers.lacks(link) and not around.revoked):
                raise Violation("leaky", f"n{node.index} counts link {link} as behind")
        for other in around.nodes:
            silent = other is node or not node.disk.rows.epochs(other.key) or other.key in around.revoked
            if not silent and followed.through(other.key) not in node.linked.values():
                raise Violation("leaky", f"n{node.index} follows n{other.index} through no link")


def _chains(around: Surroundings, node: SimNode) -> None:
    for (author, epoch), log in node.disk.rows.logs.items():
        last = START
        for entry in log:
            due = (author, epoch, last.seq + 1, last.id)
            if (entry.author, entry.epoch, entry.seq, entry.prev) != due:
                raise Violation("leaky", f"n{node.index}: the chain breaks at {epoch}:{entry.seq}")
            if not entry.signature_holds() and not around.by_key[author].hostile:
                raise Violation("leaky", f"n{node.index}: a bad signature at {epoch}:{entry.seq}")
            last = entry.head
    rows = node.disk.rows
    if len(rows.visible) + len(rows.rules.missing) != sum(len(log) for log in rows.logs.values()):
        raise Violation("leaky", f"n{node.index}: entries and what is visible differ in number")


def ahead(around: Surroundings) -> None:
    """That nothing is told too early is seen when it is told (``marking``); here, that all is."""
    if not around.knobs.has("marked"):
        return
    there = {
        node.key: {around.root(entry_id): rank for entry_id, rank in node.disk.rows.marks.items()}
        for node in around.honest
    }
    for author in around.honest:
        for entry in author.disk.rows.visible:
            reader = recipient(around, entry)
            if entry.author != author.key or entry.kind != Kind.POST or entry.payload is None:
                continue
            if reader not in around.honest or reader is author:
                continue
            root = around.root(entry.id)
            told, real = author.disk.rows.progress.get(root, 0), there[reader.key].get(root, 0)
            if not real <= told <= reader.disk.high_marks.get(root, 0):
                name = f"{around.names.of[author.key]}/{entry.epoch}:{entry.seq}"
                raise Violation(
                    "ahead", f"{name} got to {real} of 3 on n{reader.index}, its author knows {told}"
                )


def unredacted(around: Surroundings) -> None:
    """Worked out anew from the words that rule: what authors said of their own, and operators of anybody's."""
    for node in around.honest:
        rows = node.disk.rows
        ruled: dict[tuple[NodeId, int], list[Range]] = {}
        for (author, epoch), log in rows.logs.items():
            for entry in log:
                rule = read_rule(entry)
                if rule is not None and rule.author == author and rule.epoch <= epoch:
                    ruled.setdefault((author, rule.epoch), []).extend(rule.ranges)
        for stated in node.book.ruling.redactions:
            ruled.setdefault((stated.author, stated.epoch), []).extend(stated.ranges)
        shown = {entry.id: entry for entry in rows.visible}
        for place, log in rows.logs.items():
            for entry in log:
                gone = droppable(entry.kind) and any(a <= entry.seq <= b for a, b in ruled.get(place, ()))
                seen = shown.get(entry.id, entry)
                if gone == (entry.payload is None) == (seen.payload is None):
                    continue
                if entry.position in rows.rules.missing:  # nobody honest holds it
                    continue
                name = f"{around.names.of[entry.author]}/{entry.epoch}:{entry.seq}"
                what = "still has the payload of" if gone else "has no payload, and no rule against it, of"
                raise Violation("unredacted", f"n{node.index} {what} {name}")
