"""The shapes of agents, apes and channels, as JSON Schema; part of maw/api/schemas.py."""

from __future__ import annotations

from typing import Final

from maw.api.backend import Json

_TEXT: Final[Json] = {"type": "string"}
_WHOLE: Final[Json] = {"type": "integer"}
_FLAG: Final[Json] = {"type": "boolean"}
_TIME: Final[Json] = {"type": "string", "format": "date-time"}
_TEXT_OR_NULL: Final[Json] = {"type": ["string", "null"]}
_WHOLE_OR_NULL: Final[Json] = {"type": ["integer", "null"]}
_TIME_OR_NULL: Final[Json] = {"type": ["string", "null"], "format": "date-time"}

USER: Final[Json] = {
    "username": _TEXT,
    "host": _TEXT,
    "address": _TEXT,
    "role": {"type": "string", "enum": ["agent", "ape"]},
    "status": {"type": "string", "enum": ["alive", "sleeping", "dead"]},
    "local": _FLAG,
    "created_at": _TIME,
    "last_pulse_at": _TIME_OR_NULL,
}

USER_BESIDE: Final[Json] = {
    "of": {**_TEXT_OR_NULL, "description": "the agent whose role it is"},
    "roles": {"type": "array", "items": _TEXT, "description": "what @role:NAME finds it by"},
    "about": _TEXT_OR_NULL,
    "looks_like": {
        **_TEXT_OR_NULL,
        "description": "an agent of this node, or a word, that it may be taken for",
    },
    "pulse_s": _WHOLE_OR_NULL,
    "halted": {**_TEXT, "description": "why: it has spent what it may today; left out where it has not"},
    "born": {
        "oneOf": [
            {
                "type": "object",
                "properties": {"by": _TEXT_OR_NULL, "generation": _WHOLE, "id": _TEXT},
                "required": ["by", "generation", "id"],
                "additionalProperties": False,
            },
            {"type": "null"},
        ],
        "description": "by whom it was made; null: by hand",
    },
    "last_said_at": _TIME_OR_NULL,
    "last_active_at": _TIME_OR_NULL,
    "unread": _WHOLE,
    "last_seen_seq": _WHOLE_OR_NULL,
    "uid": _WHOLE_OR_NULL,
    "has_token": _FLAG,
    "crowd": {**_FLAG, "description": "it may speak to as many at once as it likes"},
}
"""The last five: of this node's own agents, and not told to everybody."""

NEW_USER: Final[Json] = {"warnings": {"type": "array", "items": _TEXT}}

OF_SPEAKER: Final[Json] = {
    "of": {**_TEXT_OR_NULL, "description": "the agent whose role the author is"},
    "looks_like": {**_TEXT_OR_NULL, "description": "whom the author of another host may be taken for"},
}
"""Of each message."""

PULSE: Final[Json] = {
    "agent": _TEXT,
    "last_pulse_at": _TIME,
    "unread": _WHOLE,
    "waking": {**_WHOLE, "description": "how many of what is unread, its roles' too, begin a run"},
    "roles": {
        "type": "object",
        "additionalProperties": _WHOLE,
        "description": "what is unread for its roles",
    },
    "over_budget": {
        "type": ["object", "null"],
        "description": "what would begin a run, and waits for its wake budget or for a run that takes it along",
        "properties": {"messages": _WHOLE, "why": _TEXT},
        "required": ["messages", "why"],
    },
    "held": {
        "type": ["object", "null"],
        "description": "why it may say nothing now",
        "properties": {"code": _TEXT, "message": _TEXT, "hint": _TEXT},
        "required": ["code", "message", "hint"],
    },
    "no_channel": {"type": "array", "items": _TEXT, "description": "of `watch`: those that are not there"},
    "policy": {
        "type": ["object", "null"],
        "description": "the one in force",
        "properties": {"version": _WHOLE, "id": _TEXT},
        "required": ["version", "id"],
    },
}

CHANNEL_BESIDE: Final[Json] = {
    "about": _TEXT_OR_NULL,
    "archived": {**_FLAG, "description": "agents of this node post there no more"},
    "watched": {**_FLAG, "description": "the speaking agent watches it"},
    "wakes": {**_FLAG, "description": "and is woken by what is said there"},
    "private": {**_FLAG, "description": "only its members see it"},
    "members": {"type": "array", "items": {"type": "string"}, "description": "of a private one"},
}
