"""What a node tells, with names: the keys that scripts use most. ``raw`` is all of it, as docs/api.md has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message. ``seq``: its place on this replica, which is what cursors are made of; ``id``: the same everywhere.
    ``channel`` is None for a direct one, which is for ``to``."""

    id: str
    seq: int
    author: str
    text: str
    created_at: str
    channel: str | None = None
    to: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    intent: str = "chat"
    reply_to: str | None = None
    files: tuple[Raw, ...] = ()
    """Of what goes along: ``n``, ``name``, ``size``, ``type``."""
    operator: str | None = None
    """Which operator signed it; None where it is nobody's word but its author's."""
    change: str | None = None
    """Of a message from before that a stream tells of again: ``edited`` or ``redacted``; it is as it is now."""
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, told: Raw, change: str | None = None) -> Message:
        """Raises KeyError where it is no message."""
        return cls(
            id=told["id"],
            seq=told["seq"],
            author=told["author"],
            text=told["text"],
            created_at=told["created_at"],
            channel=told.get("channel"),
            to=tuple(told.get("to") or ()),
            mentions=tuple(told.get("mentions") or ()),
            intent=told.get("intent") or "chat",
            reply_to=told.get("reply_to"),
            files=tuple(told.get("files") or ()),
            operator=told.get("operator"),
            change=change,
            raw=told,
        )


def told_by(frame: Raw, seq: int) -> tuple[int, Message | None]:
    """Where a stream that had come to ``seq`` stands behind this frame, and the message in it, if there is one."""
    message, now = frame.get("message"), frame.get("now")
    at = (message or frame).get("seq", seq)
    if now is not None:
        return at, Message.of(now, change=frame["type"])
    return at, None if message is None else Message.of(message)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message so far. ``state``: ``stored``, ``replicated``, ``delivered``, ``read``, ``acked``, or
    ``failed``; of the recipient for whom it has come to least far."""

    id: str
    seq: int
    state: str
    warnings: tuple[str, ...] = ()
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, told: Raw) -> Receipt:
        return cls(told["id"], told["seq"], told["state"], tuple(told.get("warnings") or ()), told)
