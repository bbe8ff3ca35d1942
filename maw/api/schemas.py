"""The shapes of the answers, as JSON Schema. docs/api.md tells them in prose; tests hold answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from maw.api.backend import Json
from maw.api.cost_shapes import CAPS, COST_TODAY, COSTS, RUN_TAKEN
from maw.api.message_shapes import BESIDE, FILE, FILE_OF_MESSAGE, MARKS, MESSAGE
from maw.api.people_shapes import CHANNEL_BESIDE, NEW_USER, OF_SPEAKER, PULSE, USER, USER_BESIDE
from maw.core.roster import KINDS, OnHang

_TEXT: Final[Json] = {"type": "string"}
_WHOLE: Final[Json] = {"type": "integer"}
_FLAG: Final[Json] = {"type": "boolean"}
_TIME: Final[Json] = {"type": "string", "format": "date-time"}
_TEXTS: Final[Json] = {"type": "array", "items": {"type": "string"}}

_STATE: Final[Json] = {
    "type": "string",
    "examples": ["stored", "replicated", "delivered", "read", "acked", "failed"],
}


def _or_null(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _object(required: Json, optional: Json | None = None) -> Json:
    """Keys always there, and keys sometimes there. More may come in later versions: readers ignore them."""
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def _list(schema: Json) -> Json:
    return {"type": "array", "items": schema}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


_CHANNEL: Final[Json] = {
    "id": _TEXT,
    "name": _TEXT,
    "created_at": _or_null(_TIME),
    "created_by": _or_null(_TEXT),
    "messages": _WHOLE,
    "last_seq": _WHOLE,
}
_SOUL: Final[Json] = {"agent": _TEXT, "id": _TEXT, "hash": _TEXT, "size": _WHOLE, "said_at": _TIME}
_POLICY: Final[Json] = {
    "version": _WHOLE, "id": _TEXT, "by": _TEXT, "at": _TIME, "heard_at": _TIME, "in_force": _FLAG, "size": _WHOLE,
}  # fmt: skip
_BRIEF: Final = _object(
    {
        **{
            name: MESSAGE[name]
            for name in (
                "id", "seq", "kind", "channel", "author", "role", "known_by", "operator", "order", "intent",
                "created_at", "reply_to",
            )
        },
        "why": {"type": "string", "enum": ["direct", "mention", "group", "watched"]},
        "text": {"type": "string", "description": "how it begins, on one line"},
        "chars": {"type": "integer", "description": "how long it is"},
    }
)  # fmt: skip
"""A message as a digest tells of it."""

_WAKES: Final = _object(
    {
        "agent": _TEXT,
        "used": {"type": "number", "description": "wakes in the last hour; a human's counts a quarter"},
        "held": _list(_object({"what": _TEXT, "since": _TIME, "wakes": {"type": "number"}})),
        "dnd": {"type": "string", "description": "on, off, or from when to when"},
        "quiet": {"type": "boolean", "description": "it is not to be disturbed now"},
        "waiting": {"type": "integer", "description": "messages not announced yet, as far as anybody asked"},
        "hears_by": {**_TEXTS, "description": "ways by which somebody waits to tell it, the best first"},
        "since_start": _object({"wakes": _WHOLE, "digests": _WHOLE, "digest_bytes": _WHOLE}),
    },
    {"hour": _list(_object({"at": _TIME, "via": _TEXT, "causes": _TEXTS, "messages": _WHOLE}))},
)

_KEPT: Final[Json] = {"keep_days": _or_null(_WHOLE)}

_RECIPIENT: Final = _object(
    {"agent": _TEXT, "host": _TEXT, "online": _FLAG, "last_seen": _or_null(_TIME), "state": _STATE},
    {
        "trouble": _or_null(_TEXT),
        "since": _or_null(_TIME),
        "moved_to": {**_or_null(_TEXT), "description": "its address now, where it moved since"},
        "via": _or_null(_TEXT),
        "why": _or_null(_TEXT),
        "delivered_at": _or_null(_TIME),
        "read_at": _or_null(_TIME),
        "acked_at": _or_null(_TIME),
    },
)

_ERROR: Final = _object(
    {
        "code": {"type": "string", "description": "a stable word for programs"},
        "message": {"type": "string", "description": "one sentence for people"},
        "hint": {"type": "string", "description": "what to do next; may be empty"},
    },
    {"candidates": _TEXTS},
)

_RECEIPT: Final = _object(
    {
        "id": _TEXT,
        "seq": _WHOLE,
        "state": _STATE,
        "recipients": _list(_RECIPIENT),
        "message": _ref("Message"),
        "warnings": _TEXTS,
    },
    {
        "reaches": {
            "type": "integer",
            "description": "how many others it is for, as far as they are known here",
        }
    },
)

_BYTES_BY_AGENT: Final[Json] = {"type": "object", "additionalProperties": {"type": "integer"}}
_WHY_BY_AGENT: Final[Json] = {"type": "object", "additionalProperties": {"type": "string"}}
_NUMBER: Final[Json] = {"type": "number"}

_HOST_BRIEF: Final[Json] = {
    "load": _NUMBER,
    "cpus": _WHOLE,
    "memory_bytes": _or_null(_WHOLE),
    "memory_available_bytes": _or_null(_WHOLE),
    "swap_used_bytes": _or_null(_WHOLE),
    "agents_memory_bytes": _BYTES_BY_AGENT,
    "more_fit": _or_null(_WHOLE),
    "days_left": _or_null(_NUMBER),
    "paused": _or_null(_TEXT),
    "refused": _WHY_BY_AGENT,
}

_STATUS: Final = _object(
    {
        "name": _TEXT,
        "key": _TEXT,
        "colony": _TEXT,
        "version": _TEXT,
        "state": {"type": "string", "examples": ["running", "read_only"]},
        "uptime_s": {"type": "number"},
        "pid": _WHOLE,
        "home": _TEXT,
        "rest": _or_null(_TEXT),
        "mesh": _list(_object({"address": _TEXT, "listening": _FLAG}, {"error": _or_null(_TEXT)})),
        "interface": {
            "oneOf": [{"type": "null"}, _object({"name": _TEXT, "state": _TEXT, "since": _or_null(_TIME)})]
        },
        "links_up": _WHOLE,
        "peers_known": _WHOLE,
        "messages": _WHOLE,
        "entries": _WHOLE,
        "seq": _WHOLE,
        "unread": {"type": "object", "additionalProperties": _WHOLE},
        "disk_free_bytes": _WHOLE,
        "database_bytes": _WHOLE,
        "files": _object({"held": _WHOLE, "bytes": _WHOLE, "quota_bytes": _WHOLE}),
        "rss_bytes": _WHOLE,
        "backup": _object({"at": _or_null(_TIME), "where": _or_null(_TEXT), "problem": _or_null(_TEXT)}),
        "alerts": _list(
            _object({"at": _TIME, "kind": _TEXT, "subject": _TEXT, "text": _TEXT, "count": _WHOLE})
        ),
    },
    {
        "wakes": _object(
            {
                "per_hour": _WHOLE,
                "per_sender": _WHOLE,
                "per_groups": _WHOLE,
                "dnd": _TEXT,
                "agents": {"type": "object"},
            }
        ),
        "trouble": _or_null(_TEXT),
        "peers_pending": _WHOLE,
        "links_bounded": _FLAG,
        "entries_repeated": _WHOLE,
        "follows_moved": _WHOLE,
        "trouble_with": _list(_object({"peer": _TEXT, "key": _TEXT, "trouble": _TEXTS})),
        "refused_connections": _object(
            {"count": _WHOLE, "worst": _list(_object({"address": _TEXT, "count": _WHOLE, "why": _TEXT}))}
        ),
        "database_free_bytes": _WHOLE,
        "search": _object(
            {
                "state": {"type": "string", "enum": ["on", "behind", "off"]},
                "why": _or_null(_TEXT),
                "indexed_seq": _WHOLE,
                "behind": _WHOLE,
                "bytes": _WHOLE,
            }
        ),
        "host": _object(_HOST_BRIEF),
        "frozen": _TEXTS,
        "cost": COST_TODAY,
        "halted": _TEXTS,
        "overdue": {"type": "object", "additionalProperties": _WHOLE},
        "without_keeper": _list(_object({"uid": _WHOLE, "agents": _TEXTS})),
    },
)

_PEER: Final = _object(
    {
        "name": _TEXT,
        "key": _TEXT,
        "short": _TEXT,
        "addresses": _TEXTS,
        "state": {
            "type": "string",
            "enum": ["linked", "followed", "connecting", "unreachable", "pending", "forgotten"],
        },
        "since": _or_null(_TIME),
        "rtt_ms": {"type": ["number", "null"]},
        "behind": _or_null(_WHOLE),
        "lacks": _or_null(_WHOLE),
        "how": _TEXT,
        "vouched_by": _TEXTS,
        "last_error": _or_null(_TEXT),
        "last_seen": _or_null(_TIME),
        "version": _or_null(_TEXT),
        "agents": _WHOLE,
        "behind_since": _or_null(_TIME),
        "lacks_since": _or_null(_TIME),
    },
    {"through": _TEXT, "trouble": _TEXTS},
)

_MESSAGE_WITH_THREAD: Final = _object(
    {
        **MESSAGE,
        "root": _TEXT,
        "path": _list(_ref("Message")),
        "replies": _WHOLE,
        "thread": _list(_object({**MESSAGE, "depth": _WHOLE}, BESIDE)),
    },
    {"state": _STATE, "recipients": _list(_RECIPIENT), **MARKS, **BESIDE},
)

_SENT: Final = _object(
    {
        **MESSAGE,
        "state": _STATE,
        "hosts": _list(_object({"host": _TEXT, "state": _STATE, "since": _or_null(_TIME)})),
    },
    {"recipients": _list(_RECIPIENT), **BESIDE},
)

_TRACE: Final = _object(
    {
        **{
            name: MESSAGE[name]
            for name in (
                "id",
                "seq",
                "kind",
                "channel",
                "to",
                "author",
                "host",
                "intent",
                "created_at",
                "reply_to",
            )
        },
        "here": _object({"host": _TEXT, "since": _or_null(_TIME)}),
        "hosts": _list(
            _object(
                {"host": _TEXT, "state": _STATE, "since": _or_null(_TIME)},
                {"online": _FLAG, "trouble": _or_null(_TEXT)},
            )
        ),
        "recipients": _list(_RECIPIENT),
        "groups": _TEXTS,
    }
)

_ORDER: Final = _object(
    {
        "message": _ref("Message"),
        "hosts": _list(_object({"host": _TEXT, "state": _STATE})),
        "agents": _list(
            _object(
                {
                    "agent": _TEXT,
                    "state": {"type": "string", "enum": ["waiting", "seen", "obeyed", "declined"]},
                    "note": _TEXT,
                    "at": _or_null(_TIME),
                }
            )
        ),
    }
)

_ORDER_DRAFT: Final = _object({"colony": _TEXT, "author": _TEXT, "at_ms": _WHOLE, "targets": _TEXTS})

_FRAME: Final[Json] = {
    "oneOf": [
        _object({"type": {"const": "message"}, "message": _ref("Message")}),
        _object({"type": {"enum": ["edited", "redacted"]}, "seq": _WHOLE, "now": _ref("Message")}),
        _object({"type": {"const": "idle"}, "seq": _WHOLE}),
    ]
}

_OPEN_INVITE: Final = _object(
    {
        "id": _TEXT,
        "expires_at": _TIME,
        "uses": _WHOLE,
        "used": _list(_object({"name": _TEXT, "key": _TEXT, "at": _TIME})),
        "for": _or_null(_TEXT),
        "confirm": _FLAG,
        "introducer": _FLAG,
    }
)

_WHOAMI: Final = _object(
    {
        "agent": _or_null(_TEXT),
        "name": _or_null(_TEXT),
        "host": _TEXT,
        "role": _or_null(_TEXT),
        "node_key": _TEXT,
        "colony": _TEXT,
        "known_by": {"type": "string", "enum": ["uid", "token", "operator key", "nobody"]},
        "uid": _or_null(_WHOLE),
    },
    {"pane": _or_null(_TEXT)},
)

_ROSTERED: Final = _object(
    {
        "name": _TEXT,
        "agent": _TEXT,
        "uid": _WHOLE,
        "plan": _object(
            {
                "kind": {"type": "string", "enum": list(KINDS)},
                "command": _TEXTS,
                "cwd": _TEXT,
                "socket": _TEXT,
                "session": _TEXT,
                "env": _TEXTS,
                "resume": _TEXTS,
                "up": _FLAG,
                "respawn": _FLAG,
                "hang": {"type": "string", "enum": list(OnHang)},
                "hang_after_s": _WHOLE,
                "nudge": _FLAG,
                "exec": _TEXTS,
                "wanted": _WHOLE,
            }
        ),
        "pane": {"oneOf": [{"type": "null"}, _object({"socket": _TEXT, "server": _WHOLE, "pane": _TEXT})]},
        "conversation": {
            "oneOf": [
                {"type": "null"},
                _object({"session": _TEXT, "pid": _WHOLE, "transcript": _or_null(_TEXT), "at": _TIME}),
            ]
        },
        "report": {
            "oneOf": [{"type": "null"}, {"type": "object", "description": "what its keeper last found"}]
        },
        "unread": _WHOLE,
        "newest_unread": _WHOLE,
    }
)

_MOVE: Final = _object(
    {
        "id": _TEXT,
        "agent": _TEXT,
        "leaving": _FLAG,
        "host": _TEXT,
        "key": _TEXT,
        "step": _TEXT,
        "why": _or_null(_TEXT),
        "at": _TIME,
        "progress": _or_null(_TEXT),
        "uid": _or_null(_WHOLE),
        "home": _or_null(_TEXT),
        "home_waits": _FLAG,
    }
)
_HOST: Final = _object(
    {
        "name": _TEXT,
        **_HOST_BRIEF,
        "disk_free_bytes": _WHOLE,
        "limits": _object(
            {
                "agents": _or_null(_WHOLE),
                "memory_mib": _or_null(_WHOLE),
                "hours": _or_null(_TEXT),
                "reserve_mib": _WHOLE,
                "session_log_mib": _WHOLE,
            }
        ),
        "agents": _list(
            _object(
                {
                    "agent": _TEXT,
                    "memory_bytes": _WHOLE,
                    "processes": _WHOLE,
                    "since": _TIME,
                    "measured_at": _TIME,
                    "per_day_bytes": _or_null(_WHOLE),
                    "leaking": _FLAG,
                }
            )
        ),
        "session_logs": _list(
            _object(
                {
                    "agent": _or_null(_TEXT),
                    "path": _TEXT,
                    "files": _WHOLE,
                    "bytes": _WHOLE,
                    "largest_bytes": _WHOLE,
                }
            )
        ),
        "folders": _list(_object({"path": _TEXT, "bytes": _WHOLE})),
        "measured_at": _or_null(_TIME),
    }
)

SCHEMAS: Final[Mapping[str, Json]] = MappingProxyType(
    {
        "Error": _object({"error": _ERROR}),
        "UnconfirmedReceipt": _object({"error": _ERROR, "receipt": _ref("Receipt")}),
        "Message": _object(MESSAGE, BESIDE | OF_SPEAKER),
        "Answer": _object({**MESSAGE, "replies": _WHOLE}, BESIDE | OF_SPEAKER),
        "Ask": _object({**MESSAGE, "whose": _TEXT, "waits_for": _TEXTS}, BESIDE | OF_SPEAKER),
        "Talk": _object({"with": _TEXTS, "unread": _WHOLE, "last": _ref("Message")}),
        "TalkMessage": _object({**MESSAGE, "unread": _FLAG}, BESIDE | OF_SPEAKER),
        "Version": _object({"id": _TEXT, "text": _TEXT, "at": _TIME}),
        "Order": _ORDER,
        "OrderDraft": _ORDER_DRAFT,
        "InboxMessage": _object(
            {
                **MESSAGE,
                "why": {"type": "string", "enum": ["direct", "mention", "group", "watched"]},
                **MARKS,
            },
            BESIDE,
        ),
        "SentMessage": _SENT,
        "AuditHead": _object(
            {
                "colony": _TEXT,
                "found": _TEXT,
                "node": _TEXT,
                "statements": {"type": "array", "items": _TEXT},
                "logs": {
                    "type": "array",
                    "items": _object({"author": _TEXT, "host": _TEXT, "epoch": _WHOLE, "last": _WHOLE}),
                },
            }
        ),
        "AuditEntry": _object({"entry": {"type": "array", "items": _TEXT}}, {"why": _TEXT}),
        "Refusal": _object(
            {
                "who": _TEXT,
                "door": {"enum": ["socket", "rest", "link"]},
                "what": _TEXT,
                "code": _TEXT,
                "first": _TEXT,
                "last": _TEXT,
                "times": _WHOLE,
            }
        ),
        "FoundMessage": _object(
            {
                **MESSAGE,
                "snippet": _TEXT,
                "highlights": {
                    "type": "array",
                    "items": {"type": "array", "items": _WHOLE, "minItems": 2, "maxItems": 2},
                    "description": "[start, end] in characters of the snippet",
                },
                "rank": {"type": "number"},
            }
        ),
        "MessageWithThread": _MESSAGE_WITH_THREAD,
        "StreamFrame": _FRAME,
        "Ticket": _object({"ticket": _TEXT, "expires_in_s": _NUMBER}),
        "Receipt": _RECEIPT,
        "Uploaded": _object(FILE),
        "FileOfMessage": _object(FILE_OF_MESSAGE),
        "Heard": _object(
            {
                "claim": _TEXT,
                "agent": _TEXT,
                "text": {"type": "string", "description": "the digest, ready to be printed"},
                "messages": _list(_ref("Brief")),
                "more": _WHOLE,
                "lease_s": {"type": "number"},
            }
        ),
        "Wakes": _WAKES,
        "Brief": _BRIEF,
        "HeardDone": _object(
            {
                "state": {"type": "string", "enum": ["delivered", "failed", "renewed"]},
                "delivered": {"type": "array", "items": _WHOLE},
            }
        ),
        "Trace": _TRACE,
        "Marked": _object({"read": _TEXTS}),
        "Acked": _object({"acked": _TEXTS, "already": _TEXTS, "unknown": _TEXTS}),
        "Whoami": _WHOAMI,
        "Rostered": _ROSTERED,
        "Keeping": _object(
            {
                "stagger_s": _WHOLE,
                "load_per_core": _WHOLE,
                "agents": _list(_ref("Rostered")),
                "refused": _WHY_BY_AGENT,
            }
        ),
        "Bound": _object({"agent": _TEXT, "bound": _FLAG, "why": _TEXT, "unread": _WHOLE}),
        "Status": _STATUS,
        "Peer": _PEER,
        "User": _object(USER, USER_BESIDE),
        "NewUser": _object({**USER, "token": _TEXT}, USER_BESIDE | NEW_USER),
        "Pulse": _object(PULSE),
        "RunTaken": RUN_TAKEN,
        "Costs": COSTS,
        "Birth": _object({"name": _TEXT, "host": _TEXT, "by": _or_null(_TEXT), "born": _or_null(_TEXT)}),
        "Soul": _object({**_SOUL, "text": _TEXT}),
        "SoulVersion": _object(_SOUL),
        "SaidSoul": _object({**_SOUL, "text": _TEXT, "changed": _FLAG}),
        "Dream": _object({"agent": _TEXT, "policy": _or_null(_object({**_POLICY, "text": _TEXT}))}),
        "Trouble": _object({"agent": _TEXT, "kind": _TEXT}),
        "Policy": _object({**_POLICY, "text": _TEXT}),
        "PolicyStatus": _object(
            {
                "policy": _or_null(_object(_POLICY)),
                "agents": _list(
                    _object(
                        {
                            "agent": _TEXT,
                            "state": _TEXT,
                            "version": _or_null(_WHOLE),
                            "late": _FLAG,
                            "last_pulse_at": _or_null(_TIME),
                        }
                    )
                ),
            }
        ),
        "Caps": CAPS,
        "Removed": _object({"removed": _TEXT}),
        "Token": _object({"token": _TEXT}),
        "Channel": _object(_CHANNEL, _KEPT | CHANNEL_BESIDE),
        "Redacted": _object({"redacted": _TEXTS, "already": _TEXTS}),
        "Left": _object({"id": _TEXT, "left": _FLAG}),
        "Retention": _object(
            {**_CHANNEL, **_KEPT, "for": {"type": "string", "enum": ["everybody", "this host"]}},
            CHANNEL_BESIDE,
        ),
        "OpenInvite": _OPEN_INVITE,
        "Dismissed": _object({"dismissed": _list(_object({"kind": _TEXT, "subject": _TEXT}))}),
        "Draft": _object({"type": _TEXT, "colony": _TEXT, "at_ms": _WHOLE, "fields": _TEXT, "about": _TEXT}),
        "Statement": _object(
            {
                "id": _TEXT,
                "type": _TEXT,
                "about": _TEXT,
                "by": _TEXT,
                "at": _TIME,
                "in_force": _FLAG,
                "kept_by": _TEXTS,
                "not_yet": _TEXTS,
            }
        ),
        "Operator": _object(
            {
                "name": _TEXT,
                "key": _TEXT,
                "rights": _TEXTS,
                "until": _or_null(_TIME),
                "hosts": _TEXTS,
                "by": _TEXT,
                "active": _FLAG,
            }
        ),
        "Invite": _object({"id": _TEXT, "line": _TEXT, "expires_at": _TIME, "addresses": _TEXTS}),
        "Joined": _object({"colony": _TEXT, "peer": _object({"name": _TEXT, "key": _TEXT}), "state": _TEXT}),
        "Host": _HOST,
        "Refusals": _object({"refused": _WHY_BY_AGENT}),
        "Move": _MOVE,
        "Moves": _list(_MOVE),
        "Report": {"type": "object", "description": "what was done"},
        "Health": _object({"ok": _FLAG}, {"name": _TEXT, "trouble": _TEXT}),
        "OpenAPI": {"type": "object", "description": "an OpenAPI 3.1 document"},
    }
)

TEXT_ANSWERS: Final = frozenset({"Metrics"})
BYTE_ANSWERS: Final = frozenset({"File"})
"""Answers that are not JSON."""
