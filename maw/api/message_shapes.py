"""The shape of a message, and what may stand beside it: see maw/api/schemas.py."""

from __future__ import annotations

from typing import Final

from maw.api.backend import Json

_TEXT: Final[Json] = {"type": "string"}
_WHOLE: Final[Json] = {"type": "integer"}
_FLAG: Final[Json] = {"type": "boolean"}
_TIME: Final[Json] = {"type": "string", "format": "date-time"}
_TEXTS: Final[Json] = {"type": "array", "items": {"type": "string"}}


def _or_null(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


MESSAGE: Final[Json] = {
    "id": _TEXT,
    "seq": _WHOLE,
    "kind": {"type": "string", "enum": ["post", "direct"]},
    "channel": _or_null(_TEXT),
    "to": _TEXTS,
    "author": _TEXT,
    "author_name": _TEXT,
    "host": _TEXT,
    "role": {"type": "string", "enum": ["agent", "ape"]},
    "known_by": {"type": "string", "enum": ["uid", "token", "operator key", "unknown"]},
    "operator": _or_null(_TEXT),
    "order": _FLAG,
    "intent": {"type": "string", "enum": ["chat", "ask", "inform", "ack"]},
    "text": _TEXT,
    "mentions": _TEXTS,
    "created_at": _TIME,
    "received_at": _TIME,
    "reply_to": _or_null(_TEXT),
    "clock_suspect": _FLAG,
    "disputed": _FLAG,
}

REDACTED: Final[Json] = {
    "redacted": {
        "type": "object",
        "properties": {
            "why": {"type": "string", "enum": ["redacted", "retention"]},
            "by": _or_null(_TEXT),
            "reason": _or_null(_TEXT),
            "days": _or_null(_WHOLE),
            "at": _TIME,
        },
        "required": ["why", "by", "reason", "days", "at"],
    }
}
"""Of messages whose text was dropped: `text` says so in words."""

WISHED: Final[Json] = {
    "priority": {"type": "string", "enum": ["low", "high"]},
    "expires_at": _TIME,
    "expired": _FLAG,
    "due_at": _TIME,
    "overdue": _FLAG,
    "groups": _TEXTS,
}
"""Of messages whose author wished for it."""

EDITED: Final[Json] = {"edited_at": _TIME, "edits": _WHOLE}
"""Of messages whose author has put other words in place of the first."""

FILE: Final[Json] = {"name": _TEXT, "size": _WHOLE, "type": _TEXT, "hash": _TEXT}
FILE_OF_MESSAGE: Final[Json] = {
    "n": _WHOLE,
    **FILE,
    "state": {"type": "string", "enum": ["here", "away", "coming", "looking", "in_vain"]},
    "fetched": _WHOLE,
    "through": _or_null(_TEXT),
    "holder": _TEXT,
    "linked": _FLAG,
}
ATTACHED: Final[Json] = {
    "files": {
        "type": "array",
        "items": {"type": "object", "properties": {"n": _WHOLE, **FILE}, "required": ["n", *FILE]},
    }
}
"""Of messages with which files go."""

BESIDE: Final[Json] = {"sealed": _FLAG, "unreadable": _TEXT, **WISHED, **EDITED, **ATTACHED, **REDACTED}

MARKS: Final[Json] = {"delivered_at": _or_null(_TIME), "read_at": _or_null(_TIME)}
"""Of messages for the speaking agent."""
