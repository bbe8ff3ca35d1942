"""Who is meant by a name: agents, hosts, tokens, users of this machine.

Names are matched whole. A name that two bear is ambiguous and the error lists both; a name nobody bears is
answered with what is near. Only nodes that are trusted here count.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Final

from maw.core.colony import GENERAL, GROUPS, Recipient
from maw.core.entry import Position
from maw.core.identity import NodeId, key_text, parse_key, short_key
from maw.core.message_ids import parse_message_id
from maw.core.names import PUBLIC, is_private, nearest, parse_address
from maw.errors import Ambiguous, BadInput, NotFound, NotSignedIn, Refused
from maw.store.rooms import has_left, is_in
from maw.store.state import AgentRow, ChannelRow, NodeRow, State
from maw.store.travelling import ours

OWN_APE: Final = "~"
"""Says "as myself", as a person at a terminal does."""
TOKEN_PREFIX: Final = "maw_"  # noqa: S105 - what tokens begin with is no secret


def new_token() -> str:
    """160 random bits, as people paste them."""
    return TOKEN_PREFIX + base64.b32encode(secrets.token_bytes(20)).decode("ascii").lower()


def hash_token(token: str) -> bytes:
    """Tokens are random, so a plain hash keeps them as well as a slow one would."""
    return hashlib.blake2b(token.encode(), digest_size=32, person=b"maw-token").digest()


class Directory:
    """Looks names up in the writer's state. ``trusted`` gives the keys that count, without our own."""

    def __init__(self, me: NodeId, state: State, trusted: Callable[[], Collection[NodeId]]) -> None:
        self._me = me
        self._state = state
        self._trusted = trusted

    # -- nodes ------------------------------------------------------------------------------------

    def nodes(self) -> list[NodeRow]:
        """Our own row and those of trusted nodes that have said anything."""
        trusted = self._trusted()
        return [row for key, row in self._state.nodes.items() if key in trusted or key == self._me]

    def host_name(self, row: NodeRow) -> str:
        """The node's name; with a piece of its key when another trusted node is called the same."""
        if not row.name:
            return short_key(row.key)
        for other in self._state.nodes_named[row.name].values():
            if other.n != row.n and self.counts(other.key):
                return f"{row.name}~{short_key(row.key)}"
        return row.name

    def counts(self, key: NodeId) -> bool:
        """Whether it is this node, or a trusted one."""
        return key == self._me or key in self._trusted()

    def name_of(self, key: NodeId) -> str:
        """What the node with this key calls itself, or the first characters of its key."""
        row = self._state.nodes.get(key)
        return (row.name if row else "") or short_key(key)

    def name_and_version(self, key: NodeId) -> tuple[str, str]:
        """As ``name_of``, and the version of maw it last said it runs, or ""."""
        row = self._state.nodes.get(key)
        return self.name_of(key), row.version if row else ""

    def find_hosts(self, word: str) -> list[NodeRow]:
        """Nodes that ``word`` names: by name, ``name~piece``, piece of the key, or the whole key."""
        return [
            row
            for row in self.nodes()
            if word in (row.name, short_key(row.key), f"{row.name}~{short_key(row.key)}")
            or (word.startswith("mk1") and _is_key(word, row.key))
        ]

    # -- agents -----------------------------------------------------------------------------------

    def agents(self) -> list[AgentRow]:
        """Everybody alive on trusted nodes and here."""
        known = {row.n for row in self.nodes()}
        return [
            row
            for row in self._state.agent_at.values()
            if row.node in known and not row.gone and not row.away
        ]

    def agents_called(self, name: str, host: str | None = None) -> list[AgentRow]:
        """Those of them whose name is ``name``; on the host that ``host`` names, where one is given, or moved from
        there."""
        hosts = None if host is None else {row.n for row in self.find_hosts(host)}
        found: dict[int, AgentRow] = {}
        for row in self._state.agents_named.get(name, {}).values():
            if row.gone or (hosts is not None and row.node not in hosts):
                continue
            lives = self.now(row) if row.away and hosts is not None else row
            if not lives.away and not lives.gone and self.counts(self._state.node_at[lives.node].key):
                found[lives.n] = lives
        return list(found.values())

    def now(self, row: AgentRow) -> AgentRow:
        """The row of this agent where it lives now."""
        home = self._state.nodes.get(self._state.travels.home(self._state.node_at[row.node].key, row.id))
        found = None if home is None else self._state.agents.get((home.n, row.id))
        return found or row

    def addresses(self, row: AgentRow) -> list[str]:
        """Where it lives, and under which it was known before."""
        state = self._state
        former = state.travels.former(state.node_at[row.node].key, row.id)
        names = [state.nodes[key].name for key in former if key in state.nodes]
        return [self.address(row), *(f"{row.name}@{name}" for name in names)]

    def born_at(self, row: AgentRow) -> int:
        """When it was made, in ms: on the host where that was."""
        state = self._state
        former = state.travels.former(state.node_at[row.node].key, row.id)
        there = (state.agents.get((state.nodes[key].n, row.id)) for key in former if key in state.nodes)
        return min([row.created, *(one.created for one in there if one is not None)])

    def moved(self, words: Sequence[str]) -> list[str]:
        """Of addresses of agents that moved away from there: where they are now."""
        told: list[str] = []
        for word in words:
            name, _, host = word.removeprefix("@").lower().partition("@")
            hosts = {row.n for row in self.find_hosts(host)} if host else set()
            found = [row for row in self.agents_called(name, host) if row.node not in hosts] if hosts else []
            told += [f"{name}@{host} has moved to {self.address(row)}" for row in found]
        return told

    def address(self, agent: AgentRow) -> str:
        return f"{agent.name}@{self.host_name(self._state.node_at[agent.node])}"

    def owner_of(self, agent: AgentRow) -> str | None:
        """The name of the agent whose role this one is."""
        if agent.profile.of is None:
            return None
        owner = self._state.agents.get((agent.node, agent.profile.of))
        return owner.name if owner else None

    def roles_of(self, agent: AgentRow) -> list[AgentRow]:
        """The agents of this host that are roles of this one."""
        return [row for row in self._state.local.values() if row.profile.of == agent.id]

    def find_agent(self, text: str) -> AgentRow:
        """The one agent that ``text`` (``arthur``, ``@arthur@mbp``) names. NotFound, Ambiguous, BadInput."""
        wanted = parse_address(text)
        if wanted.name in GROUPS and wanted.host is None:
            raise BadInput(
                f"@{wanted.name} is a group; direct messages go to agents",
                code="group_not_agent",
                hint=f"mention it in a channel: maw post general '@{wanted.name} …'",
            )
        found = self.agents_called(wanted.name, wanted.host)
        if not found:
            raise self._no_agent(str(wanted))
        if len(found) > 1:
            candidates = sorted(self.address(row) for row in found)
            raise Ambiguous(
                f"{len(found)} agents are called {wanted}: {', '.join(candidates)}",
                hint=f"say which: @{candidates[0]}",
                candidates=candidates,
            )
        return found[0]

    def _no_agent(self, word: str) -> NotFound:
        addresses = {self.address(row): row.name for row in self.agents()}
        near = nearest(word.partition("@")[0], addresses.values())
        close = sorted(address for address, name in addresses.items() if name in near)
        hint = f"did you mean @{close[0]}?" if close else "`maw agent list` shows who is there"
        return NotFound(f"no agent is called {word}", code="no_such_agent", hint=hint, candidates=close)

    def recipient(self, agent: AgentRow) -> Recipient:
        node = self._state.node_at[agent.node]
        return Recipient(node.key, agent.id, agent.name, node.name or short_key(node.key))

    def mentioned(self, words: Sequence[str]) -> list[AgentRow]:
        """The agents whom these mentions name now; groups and unknown words name nobody in particular."""
        found: dict[int, AgentRow] = {}
        for word in words:
            name, _, host = word.partition("@")
            found |= {row.n: row for row in self.agents_called(name, host or None)}
        return list(found.values())

    # -- this host's own --------------------------------------------------------------------------

    def local(self, name: str) -> AgentRow:
        row = self._state.local.get(name) or self._state.local.get(parse_address(name).name)
        if row is None:
            near = nearest(name, self._state.local)
            hint = f"did you mean {near[0]}?" if near else f"`maw agent add {name}` makes it"
            if there := self.agents_called(parse_address(name).name):
                hint = f"it is {self.address(there[0])}: say it on that host"
            raise NotFound(
                f"no agent of this host is called {name}", code="no_such_agent", hint=hint, candidates=near
            )
        return row

    def by_uid(self, uid: int, name: str | None, *, is_root: bool) -> AgentRow | None:
        """The agent that this uid speaks as: by name; ``~`` is the uid's own ape, if it has one. Nobody without a
        name: a program that does not say who it is must not pass for the human whose account it runs in."""
        if name is None:
            return None
        if name == OWN_APE:
            apes = [row for row in self._state.local.values() if row.uid == uid and row.role == "ape"]
            return min(apes, key=lambda row: row.n) if apes else None
        row = self.local(name)
        if row.uid != uid and not is_root:
            raise Refused(
                f"{row.name} belongs to another user of this machine (uid {row.uid})",
                code="not_yours",
                hint="`maw whoami` shows whom you speak as",
            )
        return row

    def by_token(self, token: str) -> AgentRow:
        hashed = hash_token(token)
        for row in self._state.local.values():
            if row.token_hash is not None and secrets.compare_digest(row.token_hash, hashed):
                return row
        raise NotSignedIn(
            "this token is not known here",
            code="bad_token",
            hint="`maw agent token NAME` on this host makes a new one",
        )

    # -- channels and messages ----------------------------------------------------------------------

    def rooms_of(self, agent: bytes | None) -> list[ChannelRow]:
        """The private channels that this agent of ours is in; for anybody else there are none."""
        state = self._state
        if agent is None or not state.rooms:
            return []
        keys = ours(state, self._me, agent)
        return [
            state.channel_at[n]
            for n in state.rooms
            if is_in(state, n, keys, agent) and not has_left(state, n, agent)
        ]

    def room_to_leave(self, name: str, agent: bytes) -> ChannelRow:
        """The private channel that ``name`` means among those in which this agent of ours is, or ever was: a name, an
        id or its beginning. NotFound, Ambiguous."""
        base, _, piece = name.lstrip("#").lower().partition("~")
        state = self._state
        found = sorted(
            state.channel_at[n].name
            for n, guests in state.guests.items()
            if agent in guests and n in state.channel_at
        )
        meant = [one for one in found if one.startswith(f"{base}~{piece}")]
        if len(meant) > 1:
            raise _ambiguous_channel(name, meant)
        if not meant:
            raise NotFound(
                f"you never were in a private channel {name}",
                code="no_such_channel",
                hint="`maw channel list` shows those you are in",
                candidates=nearest(name, found),
            )
        return state.channels[meant[0]]

    def channel(self, name: str, agent: bytes | None = None) -> ChannelRow:
        """The channel that ``name`` means to this agent of ours: a public one, or a private one that it is in.
        NotFound; Ambiguous where that may be several.

        ``general`` is always the public one. Any other name means none while it may mean two: that of a private one in
        which the agent was, too, so that what was meant for few is not said to all by whom they sent away. Who left it
        himself is not asked."""
        word = name.lstrip("#").lower()
        base, _, piece = word.partition("~")
        row = self._state.channels.get(base) if piece in ("", PUBLIC) else None
        if piece != PUBLIC and word != GENERAL:
            rooms = [one for one in self.rooms_of(agent) if one.name.startswith(f"{base}~{piece}")]
            names = [one.name for one in rooms] or (self._was_in(base, agent) if row else [])
            if len(names) + (row is not None) > 1:
                raise _ambiguous_channel(word, sorted([*names, *([f"{base}~{PUBLIC}"] if row else [])]))
            row = rooms[0] if rooms else row
        if row is None and word == GENERAL:
            return ChannelRow(0, GENERAL, 0, "")  # there from the start, before anybody has said a word in it
        if row is None:
            known = [one.name for one in self.rooms_of(agent)]
            near = nearest(word, [*(one for one in self._state.channels if not is_private(one)), *known])
            hint = f"did you mean {near[0]}?" if near else f"`maw channel create {word}` makes it"
            if self.agents_called(word):
                hint = f"@{word} is an agent: maw send @{word} …"
            raise NotFound(f"no channel is called {word}", code="no_such_channel", hint=hint, candidates=near)
        return row

    def _was_in(self, name: str, agent: bytes | None) -> list[str]:
        """The private channels of this name in which an agent of ours once was, and which it did not leave itself."""
        state = self._state
        return [
            state.channel_at[n].name
            for n, guests in state.guests.items()
            if n in state.channel_at
            and state.channel_at[n].name.startswith(f"{name}~")
            and guests.get(agent or b"") is False
        ]

    def position(self, message: str) -> Position:
        """Where the message with this id stands. NotFound when its author is not known here; Ambiguous when two
        are: an id holds six characters of a key, and a key can be made to begin like another."""
        ref = parse_message_id(message)
        authors = [
            key
            for key in self._state.nodes
            if short_key(key) == ref.node_prefix and ref.seq <= self._state.head(key, ref.epoch).seq
        ]
        if not authors:
            raise no_such_message(message)
        if len(authors) > 1:
            raise Ambiguous(
                f"{len(authors)} nodes have keys that begin alike, and each a message {message}",
                hint="give the number in front of the message instead: it is this host's own",
                candidates=[f"{message} of {self.name_of(key)} ({key_text(key)})" for key in authors],
            )
        return Position(authors[0], ref.epoch, ref.seq)


def _ambiguous_channel(word: str, candidates: Sequence[str]) -> Ambiguous:
    return Ambiguous(
        f"{len(candidates)} channels are or were called {word}: {', '.join(candidates)}",
        hint=f"say which: {candidates[0]}; of one that you do not want: maw channel leave ID",
        candidates=candidates,
    )


def no_such_message(ref: str, kind: type[NotFound] = NotFound) -> NotFound:
    return kind(
        f"no message {ref} is here",
        code="no_such_message",
        hint="it may not have arrived yet, or be for another agent: say --as NAME",
    )


def _is_key(word: str, key: NodeId) -> bool:
    try:
        return parse_key(word) == key
    except BadInput:
        return False
