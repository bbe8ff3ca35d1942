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
RUN_TAKEN: Final = _closed(
    {
        "agent": _TEXT,
        "run": _TEXT,
        "counted": {**_FLAG, "description": "false: it was told before, and counts once"},
        "today": _closed({"day": _DAY, **COUNTS}),
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
        "more": {**_FLAG, "description": "there are more lines than are shown: ask for fewer days"},
    }
)
