"""The shapes of answers about agents and the machine under them, as JSON Schema; part of maw/api/schemas.py."""

from __future__ import annotations

from typing import Final

from maw.api.backend import Json
from maw.api.shape_words import FLAG, NUMBER, TEXT, TEXTS, TIME, WHOLE, listed, or_null, record
from maw.core.roster import KINDS, OnHang

SOUL: Final[Json] = {"agent": TEXT, "id": TEXT, "hash": TEXT, "size": WHOLE, "said_at": TIME}

POLICY: Final[Json] = {
    "version": WHOLE, "id": TEXT, "by": TEXT, "at": TIME, "heard_at": TIME, "in_force": FLAG, "size": WHOLE,
}  # fmt: skip

BYTES_BY_AGENT: Final[Json] = {"type": "object", "additionalProperties": {"type": "integer"}}

WHY_BY_AGENT: Final[Json] = {"type": "object", "additionalProperties": {"type": "string"}}

HOST_BRIEF: Final[Json] = {
    "load": NUMBER,
    "cpus": WHOLE,
    "memory_bytes": or_null(WHOLE),
    "memory_available_bytes": or_null(WHOLE),
    "swap_used_bytes": or_null(WHOLE),
    "agents_memory_bytes": BYTES_BY_AGENT,
    "more_fit": or_null(WHOLE),
    "days_left": or_null(NUMBER),
    "paused": or_null(TEXT),
    "refused": WHY_BY_AGENT,
}

HOST: Final = record(
    {
        "name": TEXT,
        **HOST_BRIEF,
        "disk_free_bytes": WHOLE,
        "limits": record(
            {
                "agents": or_null(WHOLE),
                "memory_mib": or_null(WHOLE),
                "hours": or_null(TEXT),
                "reserve_mib": WHOLE,
                "session_log_mib": WHOLE,
            }
        ),
        "agents": listed(
            record(
                {
                    "agent": TEXT,
                    "memory_bytes": WHOLE,
                    "processes": WHOLE,
                    "since": TIME,
                    "measured_at": TIME,
                    "per_day_bytes": or_null(WHOLE),
                    "leaking": FLAG,
                }
            )
        ),
        "session_logs": listed(
            record(
                {
                    "agent": or_null(TEXT),
                    "path": TEXT,
                    "files": WHOLE,
                    "bytes": WHOLE,
                    "largest_bytes": WHOLE,
                }
            )
        ),
        "folders": listed(record({"path": TEXT, "bytes": WHOLE})),
        "measured_at": or_null(TIME),
    }
)

ROSTERED: Final = record(
    {
        "name": TEXT,
        "agent": TEXT,
        "uid": WHOLE,
        "plan": record(
            {
                "kind": {"type": "string", "enum": list(KINDS)},
                "command": TEXTS,
                "cwd": TEXT,
                "socket": TEXT,
                "session": TEXT,
                "env": TEXTS,
                "resume": TEXTS,
                "up": FLAG,
                "respawn": FLAG,
                "hang": {"type": "string", "enum": list(OnHang)},
                "hang_after_s": WHOLE,
                "nudge": FLAG,
                "exec": TEXTS,
                "wanted": WHOLE,
            }
        ),
        "pane": {"oneOf": [{"type": "null"}, record({"socket": TEXT, "server": WHOLE, "pane": TEXT})]},
        "conversation": {
            "oneOf": [
                {"type": "null"},
                record({"session": TEXT, "pid": WHOLE, "transcript": or_null(TEXT), "at": TIME}),
            ]
        },
        "report": {
            "oneOf": [{"type": "null"}, {"type": "object", "description": "what its keeper last found"}]
        },
        "unread": WHOLE,
        "newest_unread": WHOLE,
    }
)

MOVE: Final = record(
    {
        "id": TEXT,
        "agent": TEXT,
        "leaving": FLAG,
        "host": TEXT,
        "key": TEXT,
        "step": TEXT,
        "why": or_null(TEXT),
        "at": TIME,
        "progress": or_null(TEXT),
        "uid": or_null(WHOLE),
        "home": or_null(TEXT),
        "home_waits": FLAG,
        "warnings": TEXTS,
    }
)
