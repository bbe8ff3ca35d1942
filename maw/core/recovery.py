"""Which recovery key is a node's own: whoever has it may end that node's key, and name the one that takes its place.

A node says the hash of it in the first entry of its log. Who has stolen the node's key can write an entry before that
one, and be heard first by who joins later; so whoever let the node in says the hash too, in the admit.

1. What is known here of a node's recovery key stays, whatever is said later: a thief's word is later.
2. Where nothing is known, an admit by who let the node in and stands above it *binds* it, and so do our own admit and,
   for the first node of a Colony, the founding statement. Two that contradict each other bind nothing while both stand.
3. Where nothing binds it, its log's first word counts, unless an admit that stands names another.
4. The key that takes another's place inherits its recovery key, but not one that was let in by itself: its own thief
   would have it "replace" a node of his.

So who is above a node can keep its recovery key from becoming known to newcomers, until he is revoked, and can give it
to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from maw.core.identity import NodeId


@dataclass(slots=True)
class Named:
    """What admits and the founding say of one node's recovery key."""

    by: dict[bytes, set[NodeId]] = field(default_factory=dict)
    """hash -> who names it, in words that stand."""
    binding: set[bytes] = field(default_factory=set)
    """Those of them that bind."""

    def add(self, hashed: bytes, issuer: NodeId, *, binds: bool) -> None:
        self.by.setdefault(hashed, set()).add(issuer)
        if binds:
            self.binding.add(hashed)


_NOTHING = Named()


def believable(
    me: NodeId, known: Mapping[NodeId, bytes], named: Mapping[NodeId, Named], heard: Mapping[NodeId, bytes]
) -> dict[NodeId, bytes]:
    """What can be known of nodes of which nothing is ``known``. ``heard``: what each log said first."""
    found: dict[NodeId, bytes] = {}
    for key in {*named, *heard} - known.keys():
        words = named.get(key, _NOTHING)
        binding = words.binding | {hashed for hashed, by in words.by.items() if me in by}
        if len(binding) == 1:
            found |= dict.fromkeys([key], *binding)
        elif not binding and key in heard and words.by.keys() <= {heard[key]}:
            found[key] = heard[key]
    return found


def disputed(
    known: Mapping[NodeId, bytes], named: Mapping[NodeId, Named], heard: Mapping[NodeId, bytes]
) -> dict[NodeId, frozenset[NodeId]]:
    """Nodes of whose recovery key not all say the same, and who says otherwise than is known (everybody, where nothing
    is); the node itself where its log does."""
    found: dict[NodeId, frozenset[NodeId]] = {}
    for key in {*named, *heard}:
        said = {hashed: set(by) for hashed, by in named.get(key, _NOTHING).by.items()}
        if key in heard:
            said.setdefault(heard[key], set()).add(key)
        others = [by for hashed, by in said.items() if hashed != known.get(key)]
        if len(said.keys() | ({known[key]} if key in known else set())) > 1:
            found[key] = frozenset().union(*others)
    return found
