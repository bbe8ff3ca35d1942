"""Messages as a digest needs them: what is to be announced of one, its line, and the same as data."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from maw.core.budget import AGENT, APE, OPERATOR, Cause
from maw.core.claims import LEASE_S, Pending
from maw.core.digest import NONCE_CHARS, Brief, clipped
from maw.core.intents import ACK, HIGH, INFORM, LOW, NORMAL
from maw.node.authoring import wall_clock_ms
from maw.node.presenting import Json


@dataclass(slots=True)
class Heard:
    """What is to be put in front of the agent, under a claim. ``messages`` are briefs, as docs/api.md has them."""

    claim: str
    agent: str
    text: str
    messages: list[Json]
    more: int

    def as_json(self) -> Json:
        return {
            "claim": self.claim, "agent": self.agent, "text": self.text, "messages": self.messages,
            "more": self.more, "lease_s": LEASE_S,
        }  # fmt: skip


def to_announce(message: Json, received_ms: int, *, watch_wakes: bool = False) -> Pending:
    """A message object of a mailbox, as the rules see it. ``watch_wakes``: if it is there since its channel is watched,
    it wakes the agent all the same."""
    kind = APE if message["role"] == "ape" else AGENT
    if message["operator"] is not None:
        kind = OPERATOR
    prio = message.get("priority", NORMAL)
    wakes = kind == OPERATOR or (message["intent"] not in (INFORM, ACK) and prio != LOW)
    is_watched = message.get("why") == "watched"
    if is_watched and not watch_wakes and kind != OPERATOR:
        wakes = False
    cause = Cause(message["author"], kind, is_watched or message.get("why") == "group")
    return Pending(message["seq"], cause, wakes, received_ms / 1000, prio=prio)


def weight(item: Pending) -> tuple[bool, int, bool, bool, int]:
    """Which messages of many stand in the digest: operators' first, then by priority, then those that want something,
    then the older."""
    rank = _PRIORITY.get(item.prio, 1)
    return (item.cause.kind != OPERATOR, rank, not item.wakes, item.cause.group, item.seq)


_PRIORITY: Final = {HIGH: 0, LOW: 2}


def brief_of(message: Json, said_ms: int) -> Brief:
    """Its line. ``said_ms``: when it was said."""
    age = None if message["clock_suspect"] else (wall_clock_ms() - said_ms) / 1000
    return Brief(
        message["seq"],
        message["author"],
        message["role"],
        message["known_by"],
        message["intent"],
        message["text"],
        age,
        message["operator"],
        message["order"],
        message["channel"],
        message.get("why") == "group",
        message.get("of"),
        message.get("looks_like"),
        message.get("priority") == HIGH,
        _overdue_s(message),
        tuple((file["name"], file["size"]) for file in message.get("files", ())),
    )


def _overdue_s(message: Json) -> float | None:
    if not message.get("overdue"):
        return None
    return wall_clock_ms() / 1000 - datetime.fromisoformat(message["due_at"]).timestamp()


_KEPT: Final = (
    "id", "seq", "kind", "channel", "author", "role", "known_by", "operator", "order", "intent", "created_at",
    "reply_to", "why", "of", "looks_like",
)  # fmt: skip


def brief_json(message: Json) -> Json:
    """The message without its body: how that begins, as the digest has it, and how long it is."""
    kept = {key: message.get(key) for key in _KEPT}
    files = {"files": message["files"]} if message.get("files") else {}
    return {**kept, "text": clipped(message["text"]), "chars": len(message["text"]), **files}


def fresh_nonce() -> str:
    """For the frame of one digest: drawn when all that stands in it was written already."""
    return base64.b32encode(secrets.token_bytes(5)).decode("ascii").lower()[:NONCE_CHARS]
