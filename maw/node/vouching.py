"""Recovery keys: what is known of them is written down, what contradicts it is told, and we answer for our guests'.

Who joins later believes those that let a node in, before that node's own log (``maw.core.recovery``). An admit that
was made before we knew, or by a version that did not say it, is therefore said again with the hash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from maw.core.effects import Alert
from maw.core.identity import NodeId, Signer, key_text, short_key
from maw.core.statement import Admission, Statement, admit
from maw.core.trust import MAX_BY_ISSUER, TrustBook
from maw.node.alerts import Alerts
from maw.node.membership import Membership
from maw.store import trust as rows
from maw.store.writer import Writer

RECOVERY_KEY: Final = "recovery_key"
MAX_NAMED: Final = 3
ROOM_LEFT: Final = 200
"""Statements of one issuer are bounded: so many are left for what is new."""


def other_recovery_key(node: NodeId) -> Alert:
    """The log of ``node`` names a recovery key that is not the one it named first."""
    text = (
        f"the log of {short_key(node)} ({key_text(node)}) names more than one recovery key. Only who has its key can"
        " write that, and its owner has no reason to; what was known of it counts. If it is stolen: its owner rotates"
        " it (maw key rotate), or maw revoke"
    )
    return Alert(RECOVERY_KEY, short_key(node), text)


class Vouching:
    """``name_of`` gives what a node is called here."""

    def __init__(
        self,
        signer: Signer,
        membership: Membership,
        writer: Writer,
        alerts: Alerts,
        name_of: Callable[[NodeId], str],
    ) -> None:
        self._signer = signer
        self._membership = membership
        self._writer = writer
        self._alerts = alerts
        self._name_of = name_of
        self._told: frozenset[NodeId] = frozenset()
        self._seen: tuple[int, int] | None = None
        self._kept: set[NodeId] = set()

    async def settle(self) -> None:
        """All of it, where anything changed. Raises MawError when the disk does not take it; then it is still due."""
        book = self._membership.book
        seen = (id(book), book.generation)
        if seen == self._seen:
            return
        disputed = self._tell(book)
        if fresh := {key: hashed for key, hashed in book.recoveries.items() if key not in self._kept}:
            await self._writer.submit(lambda conn: rows.know_recoveries(conn, fresh))
            self._kept |= fresh.keys()
            self._membership.copy_soon()
        if lacking := self._lacking(book, disputed):
            await self._membership.keep(lacking)
        self._seen = seen

    def _tell(self, book: TrustBook) -> frozenset[NodeId]:
        """Of whose recovery key not all say the same: one alert, for a liar can speak of a thousand nodes."""
        disputed = book.disputed_recoveries
        about = self._name_of(self._signer.node)
        if not disputed and self._told:
            self._alerts.settle(RECOVERY_KEY, about)
        elif disputed.keys() - self._told:
            # those first whose own log says so: it is their keys that are stolen
            order = sorted(disputed, key=lambda key: (key not in disputed[key], self._name_of(key)))
            words = [self._words(key, disputed[key], key in book.recoveries) for key in order[:MAX_NAMED]]
            more = f"; and {len(order) - MAX_NAMED} more" if len(order) > MAX_NAMED else ""
            text = (
                f"{'; '.join(words)}{more}. Who lies has stolen a node's key, or helps who has: maw revoke; an"
                " operator's word counts anyway"
            )
            self._alerts.raise_alert(Alert(RECOVERY_KEY, about, text))
        self._told = frozenset(disputed)
        return self._told

    def _words(self, key: NodeId, others: frozenset[NodeId], known: bool) -> str:
        liars = sorted("its own log" if one == key else self._name_of(one) for one in others)
        who = ", ".join(liars[:MAX_NAMED]) + (" and others" if len(liars) > MAX_NAMED else "")
        name = f"{self._name_of(key)} ({key_text(key)})"
        if known:
            return f"of {name} another recovery key is named than is known here, by {who}: not believed"
        return f"of {name} different recovery keys are named, by {who}: none is believed"

    def _lacking(self, book: TrustBook, disputed: frozenset[NodeId]) -> list[Statement]:
        """Our admits of those whose recovery key we know and did not say, with it; else the same, dates too."""
        me = self._signer.node
        if me in book.revoked:
            return []
        latest: dict[NodeId, Admission] = {}
        ours = [one for one, _ in book.ruling.admissions if one.issuer == me and not one.back]
        for one in sorted(ours, key=lambda one: one.at_ms):
            latest[one.subject] = one
        due = [
            admit(
                self._signer, book.colony, one.subject, one.name, one.addresses, one.introducer, one.at_ms + 1,
                recovery=book.recoveries[one.subject],
            )
            for one in latest.values()
            if one.recovery is None
            and one.subject in book.recoveries
            and one.subject in book.trusted
            and one.subject not in disputed
        ]  # fmt: skip
        said = sum(one.issuer == me for one in book.statements().values())
        return due[: max(0, MAX_BY_ISSUER - ROOM_LEFT - said)]
