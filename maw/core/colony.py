"""What payloads mean: nodes, agents, channels, messages, mentions.

Each kind has a frozen class with ``content()`` for the wire map and ``read`` for the way back. ``read``
raises ValueError on anything malformed: the fold sets such an entry aside with an alert and goes on. Names
obey the same rules here as at our own doors: a peer may run other code.
Mentions keep the words as written; each host matches its own agents, later ones too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from maw.core.content import (
    NAMED,
    Content,
    read_addresses,
    read_bytes,
    read_choice,
    read_name,
    read_word,
    read_words,
)  # fmt: skip
from maw.core.entry import MAX_COUNT, Kind
from maw.core.files import FILES, File, read_files
from maw.core.identity import ID_BYTES, KEY_BYTES, NodeId
from maw.core.intents import CHAT, INTENTS, NORMAL
from maw.core.profile import MAX_ABOUT, NO_PROFILE, Profile
from maw.core.wishes import NOTHING, WISHED, Wishes, read_wishes

AGENT_ID_BYTES: Final = 16
MOVE_BYTES: Final = 16
MAX_TEXT_BYTES: Final = 64 * 1024
MAX_MENTIONS: Final = 64
MAX_RECIPIENTS: Final = 64
MAX_KEEP_DAYS: Final = 36_500
ROLES: Final = ("agent", "ape")
KNOWN_BY: Final = ("uid", "token")
"""How the author's host knew who spoke. An operator's word is proved by a signature, never by saying so."""
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {"agents": ("agent",), "apes": ("ape",), "all": ROLES}
"""Words that stand for every agent of these roles."""
GENERAL: Final = "general"

_HOST: Final = re.compile(f"{NAMED}(~[a-z2-7]{{6}})?")
MENTION: Final = re.compile(f"{NAMED}(@{NAMED})?")
BY: Final = re.compile(f"({NAMED}@{NAMED}(~[a-z2-7]{{6}})?)?")
MESSAGE_ID: Final = re.compile("[a-z2-7]{6}-[0-9a-z]{1,13}-[0-9]{1,19}")
_VERSION: Final = re.compile("[0-9A-Za-z.+_-]{0,64}")


def is_too_long(text: str) -> bool:
    return len(text) > MAX_TEXT_BYTES // 4 and len(text.encode()) > MAX_TEXT_BYTES


@dataclass(frozen=True, slots=True)
class Open:
    """Begins an epoch: what came before, on which instance, and (in the first) the recovery key's hash."""

    previous: tuple[int, int, bytes] | None
    instance: bytes
    recovery: bytes | None
    why: str
    adopts: tuple[tuple[int, int, bytes], ...] = ()
    """Of epochs that have forked: (epoch, seq, id) of a head through which the branch runs that counts."""
    again: int = 0
    """Up to this seq the epoch publishes again what another branch of those held."""

    def content(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "prev": self.previous, "instance": self.instance, "recovery": self.recovery, "why": self.why
        }  # fmt: skip
        if self.adopts:
            said |= {"adopts": [list(head) for head in self.adopts], "again": self.again}
        return said

    @classmethod
    def read(cls, content: Content) -> Open:
        previous, recovery = content.get("prev"), content.get("recovery")
        if recovery is not None and (type(recovery) is not bytes or len(recovery) != ID_BYTES):
            raise ValueError("recovery is no hash")
        instance = content.get("instance")
        why = content.get("why")
        return cls(
            None if previous is None else _head(previous, "prev"),
            instance if type(instance) is bytes else b"",
            recovery,
            why if type(why) is str else "",
            *_adoption(content),
        )


def _head(value: object, what: str) -> tuple[int, int, bytes]:
    if type(value) is not list or len(value) != 3 or type(value[2]) is not bytes:
        raise ValueError(f"{what} is no head")
    if not all(type(number) is int and 0 <= number <= MAX_COUNT for number in value[:2]):
        raise ValueError(f"{what} holds a number out of range")
    return value[0], value[1], value[2]


def _adoption(content: Content) -> tuple[tuple[tuple[int, int, bytes], ...], int]:
    adopts, again = content.get("adopts", []), content.get("again", 0)
    if type(adopts) is not list or type(again) is not int or not 0 <= again <= MAX_COUNT:
        raise ValueError("adopts is no list of heads, or again no number")
    return tuple(_head(head, "adopts") for head in adopts), again


def read_was(content: Content) -> tuple[int, int, bytes] | None:
    """Where an entry that is published again stood before: (epoch, seq, id). Raises ValueError."""
    return None if "was" not in content else _head(content["was"], "was")


@dataclass(frozen=True, slots=True)
class Card:
    """What a node calls itself, and where it can be reached."""

    name: str
    addresses: tuple[str, ...]
    version: str

    def content(self) -> dict[str, Any]:
        return {"name": self.name, "addresses": list(self.addresses), "version": self.version}

    @classmethod
    def read(cls, content: Content) -> Card:
        return cls(
            read_name(content, "name", "node"),
            read_addresses(content),
            read_word(content, "version", _VERSION),
        )


@dataclass(frozen=True, slots=True)
class AgentCard:
    """An agent of the author's host: made, changed, or gone."""

    id: bytes
    name: str
    role: str
    gone: bool = False
    profile: Profile = NO_PROFILE
    moved: tuple[NodeId, bytes] | None = None
    """From which host it came, and by which move: see ``moving``."""

    def content(self) -> dict[str, Any]:
        said: dict[str, Any] = {"id": self.id, "name": self.name, "role": self.role, "gone": self.gone}
        if self.moved is not None:
            said["moved"] = list(self.moved)
        return said | self.profile.content()

    @classmethod
    def read(cls, content: Content) -> AgentCard:
        return cls(
            read_bytes(content, "id", AGENT_ID_BYTES),
            read_name(content, "name", "agent"),
            read_choice(content, "role", ROLES),
            content.get("gone") is True,
            Profile.read(content),
            _moved(content.get("moved")),
        )


def _moved(value: object) -> tuple[NodeId, bytes] | None:
    if value is None:
        return None
    if type(value) is not list or [len(part) for part in value if type(part) is bytes] != [
        KEY_BYTES,
        MOVE_BYTES,
    ]:
        raise ValueError("moved names no host and no move")
    return NodeId(value[0]), value[1]


@dataclass(frozen=True, slots=True)
class NewChannel:
    """A channel is known by its name; the first to say it made it. Also later, and then ``by`` nobody, it says what is
    not None: for how many days messages are kept there (0 is for ever), what it is for, whether it is archived."""

    name: str
    by: str
    keep_days: int | None = None
    about: str | None = None
    archived: bool | None = None

    def content(self) -> dict[str, Any]:
        more = {"keep_days": self.keep_days, "about": self.about, "archived": self.archived}
        said = {key: value for key, value in more.items() if value is not None}
        return {"name": self.name, "by": self.by, **said}

    @classmethod
    def read(cls, content: Content) -> NewChannel:
        days = content.get("keep_days")
        if days is not None and (type(days) is not int or not 0 <= days <= MAX_KEEP_DAYS):
            raise ValueError(f"keep_days is no number from 0 to {MAX_KEEP_DAYS}")
        about, archived = content.get("about"), content.get("archived")
        if about is not None and (type(about) is not str or len(about) > MAX_ABOUT):
            raise ValueError(f"about is no text of at most {MAX_ABOUT} characters")
        if archived is not None and type(archived) is not bool:
            raise ValueError("archived is neither true nor false")
        by = read_word(content, "by", BY)
        return cls(read_name(content, "name", "channel"), by, days, about, archived)


class Recipient(NamedTuple):
    """Whom a direct message is for: the stable id, and the names as they were when it was sent."""

    node: NodeId
    agent: bytes
    name: str
    host: str


class Said(NamedTuple):
    """A message: a post in a channel, or (``channel`` None) a direct one to ``to``."""

    agent: bytes
    name: str
    role: str
    known_by: str
    text: str
    mentions: tuple[str, ...]
    reply_to: str | None = None
    channel: str | None = None
    to: tuple[Recipient, ...] = ()
    word: Any = None
    """An operator's signature on all this, as it came: see ``word``."""
    once: bytes | None = None
    """The mark of the request that posted it: see ``once``. Only its author's host knows what to do with it."""
    intent: str = CHAT
    prio: str = NORMAL
    expires: int | None = None
    due: int | None = None
    groups: tuple[str, ...] = ()
    files: tuple[File, ...] = ()

    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "agent": self.agent, "name": self.name, "role": self.role, "known": self.known_by,
            "text": self.text, "mentions": list(self.mentions),
        }  # fmt: skip
        if self.word is not None:
            content["op"] = self.word
        if self.once is not None:
            content["once"] = self.once
        if self.reply_to:
            content["reply"] = self.reply_to
        if self.intent != CHAT:
            content["intent"] = self.intent
        if self[_WISHES] != NOTHING:
            content |= self.wishes().content()
        if self.files:
            content[FILES] = [file.content() for file in self.files]
        if self.channel is not None:
            content["channel"] = self.channel
        if self.channel is None or self.to:  # a post in a private channel is for who is in it
            content["to"] = [list(recipient) for recipient in self.to]
        return content

    @classmethod
    def read(cls, content: Content, *, direct: bool) -> Said:
        text = content.get("text")
        if type(text) is not str or not text or is_too_long(text):
            raise ValueError("text is missing, empty or too long")
        once, intent = content.get("once"), content.get("intent", CHAT)
        get = content.get
        try:
            speaker = _speaker(get("agent"), get("name"), get("role"), get("known"))
            channel = None if direct else _channel(get("channel"))
        except TypeError:
            raise ValueError("agent, name, role, known or channel is a list or a map") from None
        return cls(
            *speaker,
            text,
            read_words(content, "mentions", MAX_MENTIONS, 70, MENTION),
            read_word(content, "reply", MESSAGE_ID) if "reply" in content else None,
            channel,
            read_recipients(content) if direct else (),
            content.get("op"),
            once if type(once) is bytes else None,
            intent if intent in INTENTS else CHAT,  # a word of a later version's is none of ours
            *(NOTHING if WISHED.isdisjoint(content) else read_wishes(content)),
            read_files(content) if FILES in content else (),
        )

    def wishes(self) -> Wishes:
        return Wishes(self.prio, self.expires, self.due, self.groups)

    def targets(self) -> tuple[str, ...]:
        """Where the message stands, as an operator signs it."""
        if self.channel is not None:
            return (f"#{self.channel}",)
        return tuple(f"{to.name}@{to.host}" for to in self.to)


@lru_cache(maxsize=1024)
def _speaker(agent: object, name: object, role: object, known: object) -> tuple[bytes, str, str, str]:
    """The same few say most of what is said, and are checked once. Raises ValueError, or TypeError (no key)."""
    content = {"agent": agent, "name": name, "role": role, "known": known}
    return (
        read_bytes(content, "agent", AGENT_ID_BYTES),
        read_name(content, "name", "agent"),
        read_choice(content, "role", ROLES),
        read_choice(content, "known", KNOWN_BY),
    )


@lru_cache(maxsize=1024)
def _channel(name: object) -> str:
    return read_name({"channel": name}, "channel", "channel")


_PLAIN: Final = Said._fields.index("prio")
_WISHES: Final = slice(_PLAIN, _PLAIN + len(Wishes._fields))
"""Where the wishes stand among the fields."""


def read_recipients(content: Content) -> tuple[Recipient, ...]:
    value = content.get("to")
    if type(value) is not list or not 0 < len(value) <= MAX_RECIPIENTS:
        raise ValueError(f"to is no list of 1 to {MAX_RECIPIENTS}")
    found = []
    for item in value:
        if type(item) is not list or len(item) != 4:
            raise ValueError("to holds something that is no recipient")
        fields = dict(zip(("node", "agent", "name", "host"), item, strict=True))
        found.append(
            Recipient(
                NodeId(read_bytes(fields, "node", KEY_BYTES)),
                read_bytes(fields, "agent", AGENT_ID_BYTES),
                read_name(fields, "name", "agent"),
                read_word(fields, "host", _HOST),
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class HeldHere:
    """A receipt for authors that are not linked to us directly: their logs are on our disk up to here."""

    held: tuple[tuple[NodeId, int, int], ...]

    def content(self) -> dict[str, Any]:
        return {"held": [list(item) for item in self.held]}

    @classmethod
    def read(cls, content: Content) -> HeldHere:
        value = content.get("held")
        if type(value) is not list or len(value) > 1000:
            raise ValueError("held is no list of at most 1000")
        for item in value:
            if (
                type(item) is not list
                or len(item) != 3
                or type(item[0]) is not bytes
                or len(item[0]) != ID_BYTES
            ):
                raise ValueError("held holds something that is no position")
            if not all(type(number) is int and 0 <= number <= MAX_COUNT for number in item[1:]):
                raise ValueError("held holds a number out of range")
        return cls(tuple((NodeId(author), epoch, seq) for author, epoch, seq in value))


READERS: Final[Mapping[int, Callable[[Content], object]]] = {
    Kind.CARD: Card.read,
    Kind.AGENT: AgentCard.read,
    Kind.CHANNEL: NewChannel.read,
    Kind.RECEIPT: HeldHere.read,
}
"""By kind, what is no message: how it is read, and so checked."""
