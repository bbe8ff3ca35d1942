"""Peers as people see them: who is linked, who is not and why, who lacks what, who vouched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maw.core.identity import NodeId, key_text, short_key
from maw.core.members import Member
from maw.net.link import Link
from maw.net.switchboard import Switchboard
from maw.node.conduct import Conduct
from maw.node.inventory import Inventory
from maw.node.membership import Membership
from maw.node.mesh import Mesh
from maw.node.presenting import Json, iso
from maw.node.runtime import Runtime
from maw.store.state import State


class Peering:
    """Makes peer objects out of what the book, the board and the redialler know."""

    def __init__(
        self,
        membership: Membership,
        asking: Mapping[NodeId, str],
        board: Switchboard,
        mesh: Mesh,
        runtime: Runtime,
        state: State,
        inventory: Inventory,
        conduct: Conduct,
    ) -> None:
        """``asking``: who showed an invite that the owner is to confirm."""
        self._membership = membership
        self._asking = asking
        self._board = board
        self._mesh = mesh
        self._runtime = runtime
        self._state = state
        self._inventory = inventory
        self._conduct = conduct

    def listing(self) -> list[Json]:
        book = self._membership.book
        trusted = sorted(book.trusted.values(), key=lambda member: member.name)
        pending = sorted(book.pending.values(), key=lambda member: member.name)
        gone = [Member(key, self._name(key, ""), (), "forgotten", ()) for key in sorted(book.forgotten)]
        waiting = [Member(key, name, (), "asks to join", ()) for key, name in self._asking.items()]
        agents = self._inventory.agents()
        return [
            *(self._trusted(member, agents) for member in trusted),
            *(self._base(member, "pending", agents) for member in [*pending, *waiting]),
            *(self._base(member, "forgotten", agents) for member in gone),
        ]

    def troubles(self) -> list[Json]:
        """Peers that are slow, flood us or break the rules, and how: for status."""
        trusted = self._membership.book.trusted
        named = {key: trusted[key].name if key in trusted else short_key(key) for key in self._conduct.all()}
        return [
            {"peer": self._name(key, name), "key": key_text(key), "trouble": self._conduct.words(key)}
            for key, name in named.items()
        ]

    def _base(self, member: Member, state: str, agents: Mapping[NodeId, int]) -> Json:
        row = self._state.nodes.get(member.key)
        return {
            "name": self._name(member.key, member.name),
            "key": key_text(member.key),
            "short": short_key(member.key),
            "addresses": list(self.addresses(member)),
            "state": state,
            "since": None,
            "rtt_ms": None,
            "behind": None,
            "lacks": None,
            "how": member.how,
            "vouched_by": [self._name(key, short_key(key)) for key in member.vouched_by],
            "last_error": None,
            "last_seen": self._seen(member.key),
            "version": row.version or None if row else None,
            "agents": agents.get(member.key, 0),
            "behind_since": None,
            "lacks_since": None,
            "trouble": self._conduct.words(member.key),
        }

    def _trusted(self, member: Member, agents: Mapping[NodeId, int]) -> Json:
        shown = self._base(member, "connecting", agents)
        link = self._board.get(member.key)
        dialled = self._mesh.dial_states().get(member.key)
        if link is not None and link.ended is None:
            number = self._runtime.number_of(member.key)
            followed = self._runtime.machine.followed
            live: dict[str, Any] = {
                "state": "linked",
                "since": iso(int(link.up_since * 1000)),
                "rtt_ms": round(link.rtt * 1000, 2) if link.rtt is not None else None,
                "address": link.remote_address,
                "direction": "outbound" if link.outbound else "inbound",
                "version": link.hello.version,
                "clock_skew_ms": _skew(link),
            }
            if number is not None:
                lag = self._inventory.lag(member.key)
                behind, lacks = followed.behind(number), followed.offers.lacks(number)
                live |= {"behind": behind, "lacks": lacks}
                live |= {"behind_since": iso(lag.behind) if behind else None}
                live |= {"lacks_since": iso(lag.lacks) if lacks else None}
            return shown | live
        if through := self._through(member.key):
            shown["through"] = through
        if self._mesh.linking.by_choice(member.key) and dialled is None:
            shown["state"] = "followed" if through else "connecting"
        elif dialled is not None:
            shown["state"] = "unreachable" if dialled.last_error else "connecting"
            shown |= {"since": iso(int(dialled.since * 1000)), "last_error": dialled.last_error}
        return shown

    def online(self, key: NodeId) -> bool:
        """Linked; or not by our own choice, and its log comes through somebody who is."""
        if self._board.linked(key):
            return True
        return self._mesh.linking.by_choice(key) and self._through(key) is not None

    def _through(self, key: NodeId) -> str | None:
        """The peer through whom the log of one that is not linked comes."""
        link = self._runtime.machine.followed.through(key)
        bearer = None if link is None else self._runtime.peer_of(link)
        return None if bearer is None or bearer == key else self._name(bearer, short_key(bearer))

    def addresses(self, member: Member) -> Sequence[str]:
        """Where the peer may be found: what it says itself first, then what its admission or pin says."""
        row = self._state.nodes.get(member.key)
        return tuple(dict.fromkeys((*(row.addresses if row else ()), *member.addresses)))

    def _name(self, key: NodeId, otherwise: str) -> str:
        row = self._state.nodes.get(key)
        return (row.name if row else "") or otherwise or short_key(key)

    def _seen(self, key: NodeId) -> str | None:
        row = self._state.nodes.get(key)
        return iso(row.seen) if row else None


def _skew(link: Link) -> int | None:
    """How far the peer's clock was ahead of ours when the link came up; None when it did not say."""
    return link.hello.clock_ms - int(link.up_since * 1000) if link.hello.clock_ms else None
