"""Private channels: what they are called, who is in one and who says so, and how their posts are read.

    id          the name, "~" and 12 base32 characters of BLAKE2b over maker's node ‖ agent ‖ nonce ‖ name
    said of it  within an entry of kind 14, ``kind`` 4, sealed for the members' hosts: {"agent", "maker", "nonce",
                "name", "by", "members": [[node, agent, name, host], ...], "about"?, "archived"?, "keep_days"?}
    post        within an entry of kind 14, ``kind`` 5: as a post, ``channel`` is the id, and ``to`` has the members

Whoever made it says who is in it, and nobody else can: the id follows from node and agent. Each post is sealed for who
is in it then, so who comes later cannot read what was said before, and who was sent away not what is said afterwards.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from maw.core.colony import (
    AGENT_ID_BYTES,
    BY,
    GENERAL,
    MAX_KEEP_DAYS,
    NewChannel,
    Recipient,
    Said,
    read_recipients,
)
from maw.core.content import NAMED, Content, read_bytes, read_name, read_word
from maw.core.entry import Kind
from maw.core.identity import KEY_BYTES, NodeId
from maw.core.names import PIECE
from maw.core.sealing import stored_words

NONCE_BYTES: Final = 16
_ID: Final = re.compile(f"{NAMED}~[a-z2-7]{{{PIECE}}}")
_DIGEST: Final = 8


def room_id(name: str, maker: NodeId, agent: bytes, nonce: bytes) -> str:
    piece = blake2b(
        maker + agent + nonce + name.encode(), digest_size=_DIGEST, person=b"maw-room-id"
    ).digest()
    return f"{name}~{base64.b32encode(piece).decode('ascii').lower()[:PIECE]}"


@dataclass(frozen=True, slots=True)
class RoomWord:
    """What its maker says of a private channel; the latest counts. ``maker``: the node that made it, of which the one
    that says so may be the heir. Without members it is over for who hears so."""

    agent: bytes
    maker: NodeId
    nonce: bytes
    name: str
    by: str
    members: tuple[Recipient, ...]
    about: str = ""
    archived: bool = False
    keep_days: int = 0

    @property
    def id(self) -> str:
        return room_id(self.name, self.maker, self.agent, self.nonce)

    @property
    def origin(self) -> tuple[NodeId, bytes, bytes]:
        """What its id is made of beside the name: 60 bits of a hash do not tell two makers apart for ever."""
        return self.maker, self.agent, self.nonce

    def content(self) -> dict[str, Any]:
        return {
            "agent": self.agent, "maker": self.maker, "nonce": self.nonce, "name": self.name, "by": self.by,
            "members": [list(one) for one in self.members], "about": self.about, "archived": self.archived,
            "keep_days": self.keep_days,
        }  # fmt: skip

    @classmethod
    def read(cls, content: Content) -> RoomWord:
        """Raises ValueError on anything malformed."""
        said = NewChannel.read(content)
        members = content.get("members")
        return cls(
            read_bytes(content, "agent", AGENT_ID_BYTES),
            NodeId(read_bytes(content, "maker", KEY_BYTES)),
            read_bytes(content, "nonce", NONCE_BYTES),
            read_name(content, "name", "channel"),
            read_word(content, "by", BY),
            read_recipients({"to": members}) if members != [] else (),
            said.about or "",
            said.archived is True,
            min(said.keep_days or 0, MAX_KEEP_DAYS),
        )

    def check(self, author: NodeId, heirs: Mapping[NodeId, NodeId]) -> int:
        """Whose word it is: 0 for its maker's, 1 for the key that took the maker's place (``heirs``: which key each
        was replaced by), and so on; the highest counts. Raises ValueError where it counts for nobody."""
        if self.name == GENERAL:
            raise ValueError(f"no private channel is called {GENERAL}")
        line = [self.maker]
        while line[-1] != author:
            new = heirs.get(line[-1])
            if new is None or new in line:
                raise ValueError("only its maker says who is in a private channel")
            line.append(new)
        return len(line) - 1

    def told(self) -> NewChannel:
        """As of a public channel."""
        return NewChannel(self.id, self.by, self.keep_days, self.about, self.archived)


def is_member(members: Iterable[Recipient], nodes: Iterable[NodeId], agent: bytes) -> bool:
    """Whether this agent of one of these nodes (a host's key, and those it took the place of) is among them."""
    hosts = {*nodes}
    return any(one.agent == agent and one.node in hosts for one in members)


def stored_said(header: bytes | None, payload: bytes | None, key: bytes | None, *, direct: bool) -> Said:
    """The message of a row as it is stored; ``key``: its content key, where it is sealed. Raises ValueError."""
    content = stored_words(header, payload, key)
    if key is None:
        return Said.read(content, direct=direct)
    return read_said(content["kind"], content, sealed=True)


def read_said(kind: int, content: Mapping[str, Any], *, sealed: bool) -> Said:
    """A message by the kind of its entry or, ``sealed``, by what is within. Raises ValueError."""
    if kind == Kind.DIRECT or not sealed:
        return Said.read(content, direct=kind == Kind.DIRECT)
    name = content.get("channel")
    if kind != Kind.POST or type(name) is not str or _ID.fullmatch(name) is None:
        raise ValueError("it is no message in a private channel")
    said = Said.read({**content, "channel": name.partition("~")[0]}, direct=False)
    return said._replace(channel=name, to=read_recipients(content))
