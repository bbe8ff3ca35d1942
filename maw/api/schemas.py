"""The shapes of the answers, as JSON Schema. docs/api.md tells them in prose; tests hold answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from maw.api.agent_shapes import HOST, HOST_BRIEF, MOVE, POLICY, ROSTERED, SOUL, WHY_BY_AGENT
from maw.api.backend import Json
from maw.api.cost_shapes import CAPS, COST_TODAY, COSTS, RUN_TAKEN
from maw.api.message_shapes import BESIDE, FILE, FILE_OF_MESSAGE, MARKS, MESSAGE
from maw.api.people_shapes import CHANNEL_BESIDE, NEW_USER, OF_SPEAKER, PULSE, USER, USER_BESIDE
from maw.api.shape_words import FLAG, NUMBER, TEXT, TEXTS, TIME, WHOLE, listed, or_null, record, ref

_STATE: Final[Json] = {
    "type": "string",
    "examples": ["stored", "replicated", "delivered", "read", "acked", "failed"],
}


_CHANNEL: Final[Json] = {
    "id": TEXT,
    "name": TEXT,
    "created_at": or_null(TIME),
    "created_by": or_null(TEXT),
    "messages": WHOLE,
    "last_seq": WHOLE,
}
_BRIEF: Final = record(
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

_WAKES: Final = record(
    {
        "agent": TEXT,
        "used": {"type": "number", "description": "wakes in the last hour; a human's counts a quarter"},
        "held": listed(record({"what": TEXT, "since": TIME, "wakes": {"type": "number"}})),
        "dnd": {"type": "string", "description": "on, off, or from when to when"},
        "quiet": {"type": "boolean", "description": "it is not to be disturbed now"},
        "waiting": {"type": "integer", "description": "messages not announced yet, as far as anybody asked"},
        "hears_by": {**TEXTS, "description": "ways by which somebody waits to tell it, the best first"},
        "since_start": record({"wakes": WHOLE, "digests": WHOLE, "digest_bytes": WHOLE}),
    },
    {"hour": listed(record({"at": TIME, "via": TEXT, "causes": TEXTS, "messages": WHOLE}))},
)

_KEPT: Final[Json] = {"keep_days": or_null(WHOLE)}

_RECIPIENT: Final = record(
    {"agent": TEXT, "host": TEXT, "online": FLAG, "last_seen": or_null(TIME), "state": _STATE},
    {
        "trouble": or_null(TEXT),
        "since": or_null(TIME),
        "moved_to": {**or_null(TEXT), "description": "its address now, where it moved since"},
        "via": or_null(TEXT),
        "why": or_null(TEXT),
        "delivered_at": or_null(TIME),
        "read_at": or_null(TIME),
        "acked_at": or_null(TIME),
    },
)

_ERROR: Final = record(
    {
        "code": {"type": "string", "description": "a stable word for programs"},
        "message": {"type": "string", "description": "one sentence for people"},
        "hint": {"type": "string", "description": "what to do next; may be empty"},
    },
    {"candidates": TEXTS},
)

_RECEIPT: Final = record(
    {
        "id": TEXT,
        "seq": WHOLE,
        "state": _STATE,
        "recipients": listed(_RECIPIENT),
        "message": ref("Message"),
        "warnings": TEXTS,
    },
    {
        "reaches": {
            "type": "integer",
            "description": "how many others it is for, as far as they are known here",
        }
    },
)

_STATUS: Final = record(
    {
        "name": TEXT,
        "key": TEXT,
        "colony": TEXT,
        "version": TEXT,
        "state": {"type": "string", "examples": ["running", "read_only"]},
        "uptime_s": {"type": "number"},
        "pid": WHOLE,
        "home": TEXT,
        "rest": or_null(TEXT),
        "mesh": listed(record({"address": TEXT, "listening": FLAG}, {"error": or_null(TEXT)})),
        "interface": {
            "oneOf": [{"type": "null"}, record({"name": TEXT, "state": TEXT, "since": or_null(TIME)})]
        },
        "links_up": WHOLE,
        "peers_known": WHOLE,
        "messages": WHOLE,
        "entries": WHOLE,
        "seq": WHOLE,
        "unread": {"type": "object", "additionalProperties": WHOLE},
        "disk_free_bytes": WHOLE,
        "database_bytes": WHOLE,
        "files": record({"held": WHOLE, "bytes": WHOLE, "quota_bytes": WHOLE}),
        "rss_bytes": WHOLE,
        "backup": record({"at": or_null(TIME), "where": or_null(TEXT), "problem": or_null(TEXT)}),
        "alerts": listed(record({"at": TIME, "kind": TEXT, "subject": TEXT, "text": TEXT, "count": WHOLE})),
    },
    {
        "wakes": record(
            {
                "per_hour": WHOLE,
                "per_sender": WHOLE,
                "per_groups": WHOLE,
                "dnd": TEXT,
                "agents": {"type": "object"},
            }
        ),
        "trouble": or_null(TEXT),
        "peers_pending": WHOLE,
        "links_bounded": FLAG,
        "entries_repeated": WHOLE,
        "follows_moved": WHOLE,
        "trouble_with": listed(record({"peer": TEXT, "key": TEXT, "trouble": TEXTS})),
        "refused_connections": record(
            {"count": WHOLE, "worst": listed(record({"address": TEXT, "count": WHOLE, "why": TEXT}))}
        ),
        "database_free_bytes": WHOLE,
        "search": record(
            {
                "state": {"type": "string", "enum": ["on", "behind", "off"]},
                "why": or_null(TEXT),
                "indexed_seq": WHOLE,
                "behind": WHOLE,
                "bytes": WHOLE,
            }
        ),
        "host": record(HOST_BRIEF),
        "frozen": TEXTS,
        "cost": COST_TODAY,
        "halted": TEXTS,
        "overdue": {"type": "object", "additionalProperties": WHOLE},
        "without_keeper": listed(record({"uid": WHOLE, "agents": TEXTS})),
    },
)

_PEER: Final = record(
    {
        "name": TEXT,
        "key": TEXT,
        "short": TEXT,
        "addresses": TEXTS,
        "state": {
            "type": "string",
            "enum": ["linked", "followed", "connecting", "unreachable", "pending", "forgotten"],
        },
        "since": or_null(TIME),
        "rtt_ms": {"type": ["number", "null"]},
        "behind": or_null(WHOLE),
        "lacks": or_null(WHOLE),
        "how": TEXT,
        "vouched_by": TEXTS,
        "last_error": or_null(TEXT),
        "last_seen": or_null(TIME),
        "version": or_null(TEXT),
        "agents": WHOLE,
        "behind_since": or_null(TIME),
        "lacks_since": or_null(TIME),
    },
    {"through": TEXT, "trouble": TEXTS},
)

_MESSAGE_WITH_THREAD: Final = record(
    {
        **MESSAGE,
        "root": TEXT,
        "path": listed(ref("Message")),
        "replies": WHOLE,
        "thread": listed(record({**MESSAGE, "depth": WHOLE}, BESIDE)),
    },
    {"state": _STATE, "recipients": listed(_RECIPIENT), **MARKS, **BESIDE},
)

_SENT: Final = record(
    {
        **MESSAGE,
        "state": _STATE,
        "hosts": listed(record({"host": TEXT, "state": _STATE, "since": or_null(TIME)})),
    },
    {"recipients": listed(_RECIPIENT), **BESIDE},
)

_TRACE: Final = record(
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
        "here": record({"host": TEXT, "since": or_null(TIME)}),
        "hosts": listed(
            record(
                {"host": TEXT, "state": _STATE, "since": or_null(TIME)},
                {"online": FLAG, "trouble": or_null(TEXT)},
            )
        ),
        "recipients": listed(_RECIPIENT),
        "groups": TEXTS,
    }
)

_ORDER: Final = record(
    {
        "message": ref("Message"),
        "hosts": listed(record({"host": TEXT, "state": _STATE})),
        "agents": listed(
            record(
                {
                    "agent": TEXT,
                    "state": {"type": "string", "enum": ["waiting", "seen", "obeyed", "declined"]},
                    "note": TEXT,
                    "at": or_null(TIME),
                }
            )
        ),
    }
)

_ORDER_DRAFT: Final = record({"colony": TEXT, "author": TEXT, "at_ms": WHOLE, "targets": TEXTS})

_FRAME: Final[Json] = {
    "oneOf": [
        record({"type": {"const": "message"}, "message": ref("Message")}),
        record({"type": {"enum": ["edited", "redacted"]}, "seq": WHOLE, "now": ref("Message")}),
        record({"type": {"const": "idle"}, "seq": WHOLE}),
    ]
}

_OPEN_INVITE: Final = record(
    {
        "id": TEXT,
        "expires_at": TIME,
        "uses": WHOLE,
        "used": listed(record({"name": TEXT, "key": TEXT, "at": TIME})),
        "for": or_null(TEXT),
        "confirm": FLAG,
        "introducer": FLAG,
    }
)

_WHOAMI: Final = record(
    {
        "agent": or_null(TEXT),
        "name": or_null(TEXT),
        "host": TEXT,
        "role": or_null(TEXT),
        "node_key": TEXT,
        "colony": TEXT,
        "known_by": {"type": "string", "enum": ["uid", "token", "operator key", "nobody"]},
        "uid": or_null(WHOLE),
    },
    {"pane": or_null(TEXT)},
)

SCHEMAS: Final[Mapping[str, Json]] = MappingProxyType(
    {
        "Error": record({"error": _ERROR}),
        "UnconfirmedReceipt": record({"error": _ERROR, "receipt": ref("Receipt")}),
        "Message": record(MESSAGE, BESIDE | OF_SPEAKER),
        "Answer": record({**MESSAGE, "replies": WHOLE}, BESIDE | OF_SPEAKER),
        "Ask": record({**MESSAGE, "whose": TEXT, "waits_for": TEXTS}, BESIDE | OF_SPEAKER),
        "Talk": record({"with": TEXTS, "unread": WHOLE, "last": ref("Message")}),
        "TalkMessage": record({**MESSAGE, "unread": FLAG}, BESIDE | OF_SPEAKER),
        "Version": record({"id": TEXT, "text": TEXT, "at": TIME}),
        "Order": _ORDER,
        "OrderDraft": _ORDER_DRAFT,
        "InboxMessage": record(
            {
                **MESSAGE,
                "why": {"type": "string", "enum": ["direct", "mention", "group", "watched"]},
                **MARKS,
            },
            BESIDE,
        ),
        "SentMessage": _SENT,
        "AuditHead": record(
            {
                "colony": TEXT,
                "found": TEXT,
                "node": TEXT,
                "statements": {"type": "array", "items": TEXT},
                "logs": {
                    "type": "array",
                    "items": record({"author": TEXT, "host": TEXT, "epoch": WHOLE, "last": WHOLE}),
                },
            }
        ),
        "AuditEntry": record({"entry": {"type": "array", "items": TEXT}}, {"why": TEXT}),
        "Refusal": record(
            {
                "who": TEXT,
                "door": {"enum": ["socket", "rest", "link"]},
                "what": TEXT,
                "code": TEXT,
                "first": TEXT,
                "last": TEXT,
                "times": WHOLE,
            }
        ),
        "FoundMessage": record(
            {
                **MESSAGE,
                "snippet": TEXT,
                "highlights": {
                    "type": "array",
                    "items": {"type": "array", "items": WHOLE, "minItems": 2, "maxItems": 2},
                    "description": "[start, end] in characters of the snippet",
                },
                "rank": {"type": "number"},
            }
        ),
        "MessageWithThread": _MESSAGE_WITH_THREAD,
        "StreamFrame": _FRAME,
        "Ticket": record({"ticket": TEXT, "expires_in_s": NUMBER}),
        "Receipt": _RECEIPT,
        "Uploaded": record(FILE),
        "FileOfMessage": record(FILE_OF_MESSAGE),
        "Heard": record(
            {
                "claim": TEXT,
                "agent": TEXT,
                "text": {"type": "string", "description": "the digest, ready to be printed"},
                "messages": listed(ref("Brief")),
                "more": WHOLE,
                "lease_s": {"type": "number"},
            }
        ),
        "Wakes": _WAKES,
        "Brief": _BRIEF,
        "HeardDone": record(
            {
                "state": {"type": "string", "enum": ["delivered", "failed", "renewed"]},
                "delivered": {"type": "array", "items": WHOLE},
            }
        ),
        "Trace": _TRACE,
        "Marked": record({"read": TEXTS}),
        "Acked": record({"acked": TEXTS, "already": TEXTS, "unknown": TEXTS}),
        "Whoami": _WHOAMI,
        "Rostered": ROSTERED,
        "Keeping": record(
            {
                "stagger_s": WHOLE,
                "load_per_core": WHOLE,
                "agents": listed(ref("Rostered")),
                "refused": WHY_BY_AGENT,
            }
        ),
        "Bound": record({"agent": TEXT, "bound": FLAG, "why": TEXT, "unread": WHOLE}),
        "Status": _STATUS,
        "Peer": _PEER,
        "User": record(USER, USER_BESIDE),
        "NewUser": record({**USER, "token": TEXT}, USER_BESIDE | NEW_USER),
        "Pulse": record(PULSE),
        "RunTaken": RUN_TAKEN,
        "Costs": COSTS,
        "Birth": record({"name": TEXT, "host": TEXT, "by": or_null(TEXT), "born": or_null(TEXT)}),
        "Soul": record({**SOUL, "text": TEXT}),
        "SoulVersion": record(SOUL),
        "SaidSoul": record({**SOUL, "text": TEXT, "changed": FLAG}),
        "Dream": record({"agent": TEXT, "policy": or_null(record({**POLICY, "text": TEXT}))}),
        "Trouble": record({"agent": TEXT, "kind": TEXT}),
        "Policy": record({**POLICY, "text": TEXT}),
        "PolicyStatus": record(
            {
                "policy": or_null(record(POLICY)),
                "agents": listed(
                    record(
                        {
                            "agent": TEXT,
                            "state": TEXT,
                            "version": or_null(WHOLE),
                            "late": FLAG,
                            "last_pulse_at": or_null(TIME),
                        }
                    )
                ),
            }
        ),
        "Caps": CAPS,
        "Removed": record({"removed": TEXT}),
        "Token": record({"token": TEXT}),
        "Channel": record(_CHANNEL, _KEPT | CHANNEL_BESIDE),
        "Redacted": record({"redacted": TEXTS, "already": TEXTS}),
        "Left": record({"id": TEXT, "left": FLAG}),
        "Retention": record(
            {**_CHANNEL, **_KEPT, "for": {"type": "string", "enum": ["everybody", "this host"]}},
            CHANNEL_BESIDE,
        ),
        "OpenInvite": _OPEN_INVITE,
        "Dismissed": record({"dismissed": listed(record({"kind": TEXT, "subject": TEXT}))}),
        "Draft": record({"type": TEXT, "colony": TEXT, "at_ms": WHOLE, "fields": TEXT, "about": TEXT}),
        "Statement": record(
            {
                "id": TEXT,
                "type": TEXT,
                "about": TEXT,
                "by": TEXT,
                "at": TIME,
                "in_force": FLAG,
                "kept_by": TEXTS,
                "not_yet": TEXTS,
            }
        ),
        "Operator": record(
            {
                "name": TEXT,
                "key": TEXT,
                "rights": TEXTS,
                "until": or_null(TIME),
                "hosts": TEXTS,
                "by": TEXT,
                "active": FLAG,
            }
        ),
        "Invite": record({"id": TEXT, "line": TEXT, "expires_at": TIME, "addresses": TEXTS}),
        "Joined": record({"colony": TEXT, "peer": record({"name": TEXT, "key": TEXT}), "state": TEXT}),
        "Host": HOST,
        "Refusals": record({"refused": WHY_BY_AGENT}),
        "Move": MOVE,
        "Moves": listed(MOVE),
        "Report": {"type": "object", "description": "what was done"},
        "Health": record({"ok": FLAG}, {"name": TEXT, "trouble": TEXT}),
        "OpenAPI": {"type": "object", "description": "an OpenAPI 3.1 document"},
    }
)

TEXT_ANSWERS: Final = frozenset({"Metrics"})
BYTE_ANSWERS: Final = frozenset({"File"})
"""Answers that are not JSON."""
