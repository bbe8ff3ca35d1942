"""What the daemon does about payloads that are gone: takes words back, fetches what is missing, carries out what
operators stated; as ``maw.node.redacting``, ``maw.node.mender`` and ``maw.node.stated``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from maw.core.effects import Mended, ReadPlaces
from maw.core.entry import Entry, Kind
from maw.core.identity import NodeId
from maw.core.mending import Wanted
from maw.core.redaction import REDACTED, Redaction, StatedRedaction, as_ranges
from maw.node.mender import CATCH_UP_S
from tests.simulation.disk import Job
from tests.simulation.rules import rules_of

if TYPE_CHECKING:
    from tests.simulation.node import SimNode

MOST: Final = 4
"""Messages that one rule takes back."""


class Redacting:
    """One process's hand on payloads; made anew at each start."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self._rows = node.disk.rows
        self._missing_since: dict[NodeId, float] = {}
        self._stating: set[bytes] = set()

    # -- by people ----------------------------------------------------------------------------------------

    def redact(self) -> None:
        """Some of what this node said is taken back, in one epoch; acknowledged when the disk has the rule."""
        node = self._node
        if not node.writing.may_say():
            return

        def work() -> list[Entry]:
            own = [
                log for (author, _), log in sorted(self._rows.logs.items())
                if author == node.key and self._standing(log)
            ]  # fmt: skip
            if not own:
                return []
            log = node.around.rng.choice(own)
            standing = self._standing(log)
            count = min(len(standing), node.around.rng.randint(1, MOST))
            seqs = sorted(node.around.rng.sample([entry.seq for entry in standing], count))
            rule = Redaction(node.key, log[0].epoch, tuple(as_ranges(seqs)), REDACTED, "")
            return node.writing.write(Kind.REDACT, [rule.content()])

        node.writing.submit(work)

    def redact_anothers(self, author: NodeId) -> None:
        """As who means harm would; it is set aside everywhere, here too."""
        node = self._node
        epochs = self._rows.epochs(author)
        if not epochs or not node.serves_readers or not node.writing.may_say():
            return
        node.around.trace.count("rules over the words of others")
        rule = Redaction(author, epochs[-1], ((1, 1_000),), REDACTED, "")
        node.writing.submit(lambda: node.writing.write(Kind.REDACT, [rule.content()]))

    def _standing(self, log: Sequence[Entry]) -> list[Entry]:
        return [entry for entry in log if entry.kind == Kind.POST and entry.payload is not None]

    # -- rules that come ----------------------------------------------------------------------------------

    def folded(self, entries: Sequence[Entry]) -> None:
        """These are durable: what is missing now is known before anything else is said of their logs."""
        node, machine = self._node, self._node.replicator
        self._tell_news()
        for rule in rules_of(entries):
            for first, last in rule.ranges:
                node.do(machine.mending.ruled(rule.author, rule.epoch, first, last))

    def _tell_news(self) -> None:
        machine = self._node.replicator
        ours, known = self._rows.rules.incomplete(), machine.incomplete()
        news = {log: ours.get(log) for log in sorted({*ours, *known}) if ours.get(log) != known.get(log)}
        if news:
            self._node.do(machine.completeness(news, self._node.now))

    # -- once a second ------------------------------------------------------------------------------------

    def keep(self) -> None:
        self._carry_out_stated()
        self._tell_news()
        missing = self._rows.rules.missing
        node, now = self._node, self._node.now
        authors = dict.fromkeys(position.author for position in missing)
        self._missing_since = {author: self._missing_since.get(author, now) for author in authors}
        if not missing:
            return
        followed, mending = node.replicator.followed, node.replicator.mending
        skip = {
            author for author, since in self._missing_since.items()
            if not followed.caught_up(author) and now < since + CATCH_UP_S
        }  # fmt: skip
        wanted = [
            Wanted(position, entry.id) for position, entry in missing.items()
            if position.author not in skip and not mending.wants(position)
        ]  # fmt: skip
        node.do(node.replicator.want(wanted[: mending.room], now))

    def _carry_out_stated(self) -> None:
        for one in self._node.book.ruling.redactions:
            if one.id not in self._rows.rules.stated and one.id not in self._stating:
                self._state(one)

    def _state(self, one: StatedRedaction) -> None:
        node = self._node
        self._stating.add(one.id)

        def work() -> None:
            self._rows.take_rule((one.author, one.epoch), one.ranges)
            self._rows.rules.stated.add(one.id)

        def done(_: None) -> None:
            self._stating.discard(one.id)
            self._tell_news()
            for first, last in one.ranges:
                node.do(node.replicator.mending.ruled(one.author, one.epoch, first, last))

        node.disk.submit(Job(work, node.guard(done), node.guard(lambda: self._stating.discard(one.id))))

    # -- what the machine asks for ------------------------------------------------------------------------

    def read(self, effect: ReadPlaces) -> None:
        found, lacking = self._rows.read_places(effect.places)
        self._node.do(self._node.replicator.places_read(effect.link, found, lacking))

    def write_back(self, effect: Mended) -> None:
        node = self._node
        places = [entry.position for entry in effect.entries]

        def work() -> None:
            for entry in effect.entries:
                self._rows.fill(entry)

        def done(_: None) -> None:
            node.marking.own_log_returned()
            node.note(f"mended {node.around.names.span(effect.entries)}")
            node.around.trace.count("payloads that came later", len(places))
            self._tell_news()
            node.do(node.replicator.mended(places))

        def lost() -> None:
            node.do(node.replicator.not_mended(places, node.now))

        node.disk.submit(Job(work, node.guard(done), node.guard(lost)))
