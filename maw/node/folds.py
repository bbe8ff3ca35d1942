"""Folds of what came from elsewhere, or is read anew: where they come from, and what follows once one is durable.

Whoever puts entries into the database takes a fold here, writes it in his transaction, and says so afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maw.core.effects import Alert, Effect
from maw.core.identity import NodeId, short_key
from maw.core.ledger import MAX_ROWS_A_DAY
from maw.core.redaction import Redaction
from maw.core.replication import Replicator
from maw.node.reactions import Feed, Reactions
from maw.node.visible import Visible
from maw.node.vouching import other_recovery_key
from maw.store.asides import SetAside
from maw.store.fold import MAX_EARLY_ANSWERS, Fold
from maw.store.state import State


class Folds:
    """``feed`` asks the machine and carries out what it says; ``note_receipt`` hears that a host (the first) has our
    own log of this epoch up to this seq."""

    def __init__(
        self,
        me: NodeId,
        state: State,
        visible: Visible,
        reactions: Reactions,
        feed: Feed,
        note_receipt: Callable[[NodeId, int, int], None],
    ) -> None:
        self._me = me
        self._state = state
        self._visible = visible
        self._reactions = reactions
        self._feed = feed
        self._note_receipt = note_receipt

    def new(self, now_ms: int) -> Fold:
        return Fold(self._state, self._me, now_ms, self._reactions.withhold)

    def durable(self, folds: Sequence[Fold]) -> None:
        """To be known before anything else is said of these logs: payloads are missing, or no longer; and how far
        readers may read."""
        for fold in folds:
            self._note_rules(fold)
        self._visible.advance(self._state.seq)

    def took(self, fold: Fold, author: NodeId | None = None) -> None:
        """What came of ``author``'s logs, or was withheld until now, is durable."""
        self.durable([fold])
        self.report(fold.set_aside)
        for who, epoch, seq, holder in fold.reached:
            if who == self._me:
                self._note_receipt(holder, epoch, seq)
        if fold.recoveries:
            self._learn_recoveries()
        for node, count in fold.dropped_answers.items():
            self._reactions.alert(_answers_dropped(node, count))
        for node, count in fold.dropped_accounts.items():
            self._reactions.alert(_accounts_dropped(node, count))
        for node in fold.changed_recoveries:
            self._reactions.alert(other_recovery_key(node))
        try:
            self._reactions.received(fold)
        except Exception as error:  # it is durable: falling over would not undo it, and come again at a start
            about = "entries that were withheld" if author is None else f"entries of {short_key(author)}"
            self._reactions.bug(about, error)

    def report(self, set_aside: Sequence[SetAside]) -> None:
        for item in set_aside:
            text = f"entry {item.id} is stored but cannot be shown: {item.why}"
            self._reactions.alert(Alert("set_aside", item.id.partition("-")[0], text))

    def unreadable(self, author: NodeId, error: Exception) -> None:
        """A damaged row is no reason to fall over, now and at every start: others may have it whole."""
        text = f"the log of node {short_key(author)} cannot be read from this disk: {error}"
        self._reactions.alert(Alert("damaged", short_key(author), text))

    def _note_rules(self, fold: Fold) -> None:
        if fold.complete:
            self._feed(lambda machine, now: machine.completeness(fold.complete, now))
        if fold.rules:
            self._feed(lambda machine, _: _ruled(machine, fold.rules))

    def _learn_recoveries(self) -> None:
        """Recovery keys that we hear of now may be what a revocation was waiting for."""
        known = {key: row.recovery for key, row in self._state.nodes.items() if row.recovery is not None}
        learned = False

        def learn(machine: Replicator, now: float) -> Sequence[Effect]:
            nonlocal learned
            learned = machine.learn_recoveries(known)
            return machine.trust_changed(now) if learned else ()

        self._feed(learn)
        if learned:
            self._reactions.trust_changed()


def _ruled(machine: Replicator, rules: Sequence[Redaction]) -> list[Effect]:
    return [
        effect
        for rule in rules
        for first, last in rule.ranges
        for effect in machine.mending.ruled(rule.author, rule.epoch, first, last)
    ]


def _answers_dropped(node: NodeId, count: int) -> Alert:
    about = short_key(node)
    text = (
        f"node {about} answers orders that nobody gave, as far as is known here: {count} of its oldest such answers"
        f" were dropped, {MAX_EARLY_ANSWERS} are kept"
    )
    return Alert("answers", about, text)


def _accounts_dropped(node: NodeId, count: int) -> Alert:
    about = short_key(node)
    text = (
        f"node {about} says of one day what more agents cost than can be: {count} accounts were dropped,"
        f" {MAX_ROWS_A_DAY} are kept and counted"
    )
    return Alert("accounts", about, text)
