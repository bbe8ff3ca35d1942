"""Folding what is sealed: where it can be opened as if it had been said in the open, elsewhere next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maw.core.clock import shown_time
from maw.core.colony import Said
from maw.core.editing import Edit
from maw.core.entry import Entry, Kind, unpack_payload
from maw.core.rooms import RoomWord, read_said
from maw.core.seal_keys import SealKey
from maw.core.sealing import KeyIsGoneError, Sealed, overridden
from maw.store.opened import find_key, open_for
from maw.store.rooms import fold_room, refuse_stranger
from maw.store.state import NodeRow, SaidKey

if TYPE_CHECKING:
    from maw.store.fold import Fold


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
    if (seen := fold.stands_already(entry, place)) is not None:
        return seen
    if said is not None:
        return fold.take_message(entry, place, said)
    content = open_for(entry, sealed, key, (fold.me, *fold.state.former_me)) | overridden(outer)
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
        return find_key(fold.state, fold.me, entry, sealed)
    except KeyIsGoneError:
        if entry.author != fold.me and entry.author not in fold.state.former_me:
            fold.changes.unopened.append((place, fold.now_ms))
        raise


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
