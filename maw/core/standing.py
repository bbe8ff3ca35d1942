"""What still counts of keys that are ended: what a revocation, a rotation or a dismissal lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from maw.core.authority import MAX_STANDS, Dismissal, Grant
from maw.core.identity import NodeId
from maw.core.ruling import Spoken
from maw.core.statement import Admission, Statement


def to_stand(
    statements: Iterable[tuple[Statement, Spoken | None]],
    issuers: Collection[NodeId],
    *,
    shut: Collection[bytes],
    recoveries: Mapping[NodeId, bytes],
    void: Collection[bytes],
) -> list[bytes]:
    """Ids of statements by ``issuers``, as many as one statement lists: first who was shut out (``shut``: revocations
    that count), then who was let in or appointed, the rest last, each as they came. So a thief who says much brings
    nobody back.

    ``void``: those that are not to stand. Nor does an admit that names another recovery key than is known
    (``recoveries``): that is a lie, and as long as it stood, newcomers would not know whom to believe.
    """

    def weight(pair: tuple[Statement, Spoken | None]) -> int:
        statement, said = pair
        if isinstance(said, Dismissal) or statement.id in shut:
            return 0
        return 1 if isinstance(said, Admission | Grant) else 2

    def lies(said: Spoken | None) -> bool:
        if not isinstance(said, Admission) or said.recovery is None:
            return False
        return recoveries.get(said.subject, said.recovery) != said.recovery

    theirs = [
        pair
        for pair in statements
        if pair[0].issuer in issuers and pair[0].id not in void and not lies(pair[1])
    ]
    return [statement.id for statement, _ in sorted(theirs, key=weight)[:MAX_STANDS]]
