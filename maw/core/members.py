"""Who is trusted, who is pending and who introduces, as it follows from pins made here and statements in force.

Trusted are: the pinned (by invite, by hand in peers.toml, accepted here), and whom an introducer of ours
admits. An introducer is the node that invited us, one that an introducer (or we) admitted with that right,
or one that gave that right to an introducer of ours who joined it: so everybody below a tree of invitations
with that right knows everybody else, each having paired once. Everybody else who was admitted by somebody
known is *pending* until accepted here. What was forgotten here stays forgotten, whatever others say, until a
new local invite. An admit by somebody who has no say here adds a voucher to a trusted peer and changes
nothing else of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Final

from maw.core.identity import NodeId
from maw.core.ruling import Ruling
from maw.core.statement import Admission, Statement

INVITED: Final = "invited"
JOINED: Final = "joined"
BY_HAND: Final = "peers.toml"
ACCEPTED: Final = "accepted"
ADMITTED: Final = "admitted"
MAX_ADDRESSES_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Pin:
    """A peer trusted by a decision taken on this host."""

    key: NodeId
    name: str
    addresses: tuple[str, ...]
    how: str
    introducer: bool = False
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """A peer as the book sees it. ``vouched_by``: whose admits name it."""

    key: NodeId
    name: str
    addresses: tuple[str, ...]
    how: str
    vouched_by: tuple[NodeId, ...]
    admission: bytes | None = None
    """The admit (wire bytes) to show when dialling somebody who may not know it yet."""


@dataclass(slots=True)
class View:
    """None of them is the node itself."""

    trusted: dict[NodeId, Member] = field(default_factory=dict)
    pending: dict[NodeId, Member] = field(default_factory=dict)
    introducers: frozenset[NodeId] = frozenset()
    ruling: Ruling = field(default_factory=Ruling)
    former: frozenset[NodeId] = frozenset()


def work_out(me: NodeId, pins: Iterable[Pin], forgotten: Set[NodeId], ruling: Ruling) -> View:
    """From nothing, each time: it cannot drift."""
    standing = {
        key: replace(pin, key=key)
        for pin in pins
        if (key := ruling.successor(pin.key)) not in forgotten and key != me and pin.key not in forgotten
    }
    heir = ruling.successor
    admissions = [
        (replace(admission, issuer=heir(admission.issuer), subject=heir(admission.subject)), statement)
        for admission, statement in ruling.admissions
        if admission.subject not in forgotten
    ]
    introducers = _find_introducers(me, standing, admissions, forgotten)
    view = View(introducers=frozenset(introducers - set(ruling.revoked)), ruling=ruling)
    latest: dict[tuple[NodeId, NodeId], tuple[Admission, Statement]] = {}
    for admission, statement in sorted(admissions, key=lambda pair: (pair[0].at_ms, pair[1].id)):
        about = (admission.issuer, admission.subject)
        latest.pop(about, None)
        latest[about] = (admission, statement)
    for admission, statement in latest.values():
        if admission.subject != me and admission.subject not in forgotten:
            counts = admission.issuer in introducers or admission.issuer == me
            _enter(view, admission, statement, counts or ruling.admits_everywhere(admission, statement))
    for key, pin in standing.items():
        known = view.trusted.get(key) or view.pending.pop(key, None)
        vouched = known.vouched_by if known else ()
        addresses = tuple(dict.fromkeys((*pin.addresses, *(known.addresses if known else ()))))
        view.trusted[key] = Member(
            key, pin.name or (known.name if known else ""), addresses, pin.how, vouched
        )
    heirs = view.trusted.keys() | {me}
    replaced = {old for old in ruling.revoked if ruling.successor(old) in heirs} - {me}
    view.former = frozenset(view.trusted.keys() & ruling.revoked.keys()) | replaced
    for key in ruling.revoked:
        view.trusted.pop(key, None)
        view.pending.pop(key, None)
    return view


def _find_introducers(
    me: NodeId,
    pins: Mapping[NodeId, Pin],
    admissions: Iterable[tuple[Admission, Statement]],
    forgotten: Set[NodeId],
) -> set[NodeId]:
    """Revoked ones too: what stands of their word still counts."""
    given: dict[NodeId, set[NodeId]] = {}
    joined: set[tuple[NodeId, NodeId]] = set()
    for admission, _ in admissions:
        if admission.introducer:
            given.setdefault(admission.issuer, set()).add(admission.subject)
        if admission.back:
            joined.add((admission.issuer, admission.subject))
    # who let a host in, and gave it the right, introduces wherever that host does
    mutual = [(guest, host) for guest, host in joined if guest in given.get(host, ())]
    for guest, host in mutual:
        given.setdefault(guest, set()).add(host)
    introducers = {key for key, pin in pins.items() if pin.introducer or pin.how == JOINED}
    grew = True
    while grew:
        more = set().union(*(given.get(key, ()) for key in introducers | {me})) - forgotten
        grew = not more <= introducers
        introducers |= more
    introducers.discard(me)
    return introducers


def _enter(view: View, admission: Admission, statement: Statement, counts: bool) -> None:
    """Of several issuers the latest gives the name; their addresses add up, the latest first. ``counts``: who says it
    has a say here."""
    key = admission.subject
    trusted, pending = view.trusted.get(key), view.pending.get(key)
    known = trusted or pending
    vouched = tuple(dict.fromkeys((*(known.vouched_by if known else ()), admission.issuer)))
    if trusted is not None and not counts:
        view.trusted[key] = replace(trusted, vouched_by=vouched)
        return
    before = trusted if counts else pending  # what strangers said of addresses ends with trust
    addresses = dict.fromkeys((*admission.addresses, *(before.addresses if before else ())))
    member = Member(
        key, admission.name, tuple(addresses)[:MAX_ADDRESSES_KEPT], ADMITTED, vouched, statement.wire
    )
    # our own admit stands beside a pin made here; it counts alone too
    if counts:
        view.pending.pop(key, None)
        view.trusted[key] = member
    else:
        view.pending[key] = member
