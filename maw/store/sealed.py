"""Folding what is sealed: where it can be opened as if it had been said in the open, elsewhere next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maw.core.clock import shown_time
from maw.core.colony import Said
from maw.core.editing import Edit
from maw.core.entry import Entry, Kind, unpack_payload
from maw.core.identity import NodeId
from maw.core.lent import Lent, Loan
from maw.core.moving import MOVED
from maw.core.rooms import RoomWord, read_said
from maw.core.seal_keys import SealKey
from maw.core.sealing import KeyIsGoneError, Sealed, open_box, overridden
from maw.store.asides import Withheld
from maw.store.opened import find_key, open_for
from maw.store.rooms import fold_room, refuse_stranger
from maw.store.state import NodeRow, SaidKey
from maw.store.travelling import is_here, is_lending

if TYPE_CHECKING:
    from maw.store.fold import Fold

MAX_BORROWED: Final = 20_000
"""Keys of one lender that wait for their entries: they are in memory, and whoever had an agent once can lend without
end. Each has his own, so that one who does keeps up nobody else's."""
STRANGE_LOAN: Final = "lent: the agent is not known to have come from there"


def fold_sealed(fold: Fold, entry: Entry, place: int, said: Said | None) -> int | None:
    """The seq at which it became visible, if it is a message that this host may read. Raises ValueError for what claims
    to be for this host and does not open."""
    outer = unpack_payload(entry.payload or b"")
    sealed = Sealed.read(outer)
    key = _key(fold, entry, place, sealed)
    if key is None:
        _spoke(fold, entry, sealed)
        return None
    fold.changes.opened.append((place, key))
    if is_lending(fold.state):
        fold.changes.to_lend.append((place,))
    if (seen := fold.stands_already(entry, place)) is not None:
        return seen
    if said is not None:
        return fold.take_message(entry, place, said)
    content = open_for(fold.state, fold.me, entry, sealed, key) | overridden(outer)
    if content["kind"] == Kind.EDIT:
        edit = Edit.read(content)
        fold.take_edit(entry, place, edit, _room(fold, entry, edit))
        return None
    if content["kind"] == Kind.CHANNEL:
        fold_room(fold, entry, RoomWord.read(content))
        return None
    said = read_said(content["kind"], content, sealed=True)
    if said.channel is not None and entry.author != fold.me:
        refuse_stranger(fold, entry, said)
    return fold.take_message_of_others(entry, place, said)


def _room(fold: Fold, entry: Entry, edit: Edit) -> int | None:
    """The private channel that an edit names. Raises Withheld where its author is not known to be in it."""
    if edit.channel is None:
        return None
    if entry.author != fold.me:
        who = Said(edit.agent, "", "", "", edit.text, edit.mentions, channel=edit.channel)
        refuse_stranger(fold, entry, who)
    at = shown_time(entry.hlc, fold.now_ms).ms
    return fold.channel(fold.node(entry.author), edit.channel, "", at).n


def _key(fold: Fold, entry: Entry, place: int, sealed: Sealed) -> bytes | None:
    key, fold.fresh_key = fold.fresh_key or fold.keys.get(entry.id), None
    if key is not None:
        return key
    try:
        return find_key(fold.state, fold.me, entry, sealed) or _borrowed(fold, entry, sealed)
    except KeyIsGoneError:
        if (lent := _borrowed(fold, entry, sealed)) is not None:
            return lent
        if entry.author != fold.me and entry.author not in fold.state.former_me:
            fold.changes.unopened.append((place, fold.now_ms))
        raise


def _borrowed(fold: Fold, entry: Entry, sealed: Sealed) -> bytes | None:
    """A key that the host lent for which it was sealed; one that opens nothing is none. Of a branch that gave way it
    opens nothing here."""
    loan = fold.state.borrowed.get(entry.position)
    if loan is None or loan[0] != entry.id:
        return None
    fold.give_back(entry.position)
    try:
        open_box(sealed, entry.colony, entry.author, loan[1])
    except ValueError:
        return None
    return loan[1]


def fold_lent(fold: Fold, entry: Entry) -> None:
    """Keys of what was sealed for the host where an agent lived that lives here now. Raises ValueError; Withheld while
    it is not known that the agent came from there."""
    sealed = Sealed.read(unpack_payload(entry.payload or b""))
    key = find_key(fold.state, fold.me, entry, sealed)
    if key is None:
        return  # another host's affair
    if not _is_from(fold, entry, sealed.agent):
        raise Withheld(STRANGE_LOAN)
    content = open_box(sealed, entry.colony, entry.author, key)
    if content["kind"] != Kind.LENT:
        raise ValueError("it holds nothing that is lent")
    loans = Lent.read(content).loans
    if len(loans) > room_of(fold, entry.author):
        raise ValueError(f"its node lent more than {MAX_BORROWED} keys of what is not here")
    for loan in loans:
        borrow(fold, entry.author, loan)


def _is_from(fold: Fold, entry: Entry, agent: bytes) -> bool:
    state = fold.state
    if entry.author != fold.me and is_here(state, fold.me, entry.author, agent):
        return True
    coming = (row for row in state.moves.values() if not row.leaving and row.agent == agent)
    return any(row.node == entry.author and row.step == MOVED for row in coming)


def room_of(fold: Fold, lender: NodeId) -> int:
    """How many more keys of this node may wait here."""
    borrowed = fold.state.borrowed
    if len(borrowed) < MAX_BORROWED // 2:  # so many of one are not worth counting
        return MAX_BORROWED - len(borrowed)
    return MAX_BORROWED - sum(loan[2] == lender for loan in borrowed.values())


def borrow(fold: Fold, lender: NodeId, loan: Loan) -> None:
    fold.state.borrowed[loan.position] = loan.id, loan.key, lender
    fold.changes.borrowed.append((*loan.position, loan.id, loan.key, lender))


def _spoke(fold: Fold, entry: Entry, sealed: Sealed) -> None:
    """That its author said something is all that this host learns."""
    node = fold.state.nodes.get(entry.author)
    agent = None if node is None else fold.state.agents.get((node.n, sealed.agent))
    at = shown_time(entry.hlc, fold.now_ms).ms
    if agent is not None and at > (agent.last_said or 0):
        agent.last_said = at
        fold.changes.agents[agent.n] = agent


def fold_seal_key(fold: Fold, entry: Entry, node: NodeRow, said: SealKey) -> None:
    """The last by (epoch, seq) counts, in whatever order they come."""
    before = fold.state.seal_keys.get(node.n)
    if before is None or (before.epoch, before.seq) < (entry.epoch, entry.seq):
        named = SaidKey(entry.epoch, entry.seq, said.key)
        fold.state.seal_keys[node.n] = fold.changes.seal_keys[node.n] = named
