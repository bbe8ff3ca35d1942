"""The shapes of what agents cost, as JSON Schema; part of maw/api/schemas.py."""

from __future__ import annotations

from typing import Final

from maw.api.backend import Json

_TEXT: Final[Json] = {"type": "string"}
_WHOLE: Final[Json] = {"type": "integer"}
_FLAG: Final[Json] = {"type": "boolean"}
_NUMBER: Final[Json] = {"type": "number"}
_DAY: Final[Json] = {"type": "string", "format": "date", "description": "of UTC"}
_TEXT_OR_NULL: Final[Json] = {"type": ["string", "null"]}

COUNTS: Final[Json] = {
    "wakes": _WHOLE,
    "pulses": _WHOLE,
    "messages": _WHOLE,
    "bytes": {**_WHOLE, "description": "of its messages, as they are signed"},
    "runs": _WHOLE,
    "unpriced_runs": {**_WHOLE, "description": "runs whose runner told no money"},
    "untold_runs": {**_WHOLE, "description": "runs whose runner told no tokens"},
    "runner_s": _NUMBER,
    "input_tokens": _WHOLE,
    "output_tokens": _WHOLE,
    "cache_tokens": _WHOLE,
    "usd": {**_NUMBER, "description": "as the runners told it; to the millionth"},
}


def _closed(properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_LINE: Final = _closed({"day": _DAY, "agent": _TEXT, "model": _TEXT_OR_NULL, **COUNTS})
_CAP: Final = _closed(
    {
        "scope": {"type": "string", "enum": ["agent", "host", "colony"]},
        "of": {**_TEXT, "description": "whose it is: an agent, a host, or the Colony"},
        "unit": {"type": "string", "enum": ["usd", "tokens", "runner_s"]},
        "limit": {**_NUMBER, "description": "a day: dollars, tokens or seconds"},
        "spent": {**_NUMBER, "description": "since the day began, or since it was resumed"},
        "assumed": {**_NUMBER, "description": "of it, what runs count as that told nothing"},
        "unknown_runs": {**_WHOLE, "description": "runs that told nothing, which nobody can count"},
        "percent": _WHOLE,
        "source": {**_TEXT, "description": "who set it"},
    }
)
_HALTED: Final = _closed({"agent": _TEXT, "why": _TEXT})
_CAPS: Final[Json] = {
    "caps": {"type": "array", "items": _CAP},
    "unseen": {
        "type": "array",
        "items": _TEXT,
        "description": "agents of this host whose kept session tells nobody what it spends: no cap sees that",
    },
    "halted": {"type": "array", "items": _HALTED, "description": "agents of this host"},
}
CAPS: Final = _closed(_CAPS)
RUN_TAKEN: Final = _closed(
    {
        "agent": _TEXT,
        "run": _TEXT,
        "counted": {**_FLAG, "description": "false: it was told before, and counts once"},
        "today": _closed({"day": _DAY, **COUNTS}),
        "halted": {**_TEXT_OR_NULL, "description": "why the agent is halted now"},
    }
)
COSTS: Final = _closed(
    {
        "today": _DAY,
        "since": _DAY,
        "until": _DAY,
        "scope": {"type": "string", "enum": ["host", "colony"]},
        "items": {"type": "array", "items": _LINE},
        "total": _closed(COUNTS),
        **_CAPS,
        "more": {**_FLAG, "description": "there are more lines than are shown: ask for fewer days"},
    }
)
COST_TODAY: Final = _closed(
    {
        "day": _DAY,
        "agents": {
            "type": "object",
            "description": "of this host, that cost anything today",
            "additionalProperties": _closed(
                {
                    **{name: COUNTS[name] for name in ("runs", "runner_s", "usd", "unpriced_runs")},
                    "tokens": _WHOLE,
                }
            ),
        },
        "caps": {"type": "array", "items": _closed({"of": _TEXT, "unit": _TEXT, "percent": _WHOLE})},
    }
)
"""In the state of the node."""
