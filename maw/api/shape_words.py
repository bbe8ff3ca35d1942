"""The words in which the shapes of answers are written: pieces of JSON Schema."""

from __future__ import annotations

from typing import Final

from maw.api.backend import Json

TEXT: Final[Json] = {"type": "string"}
WHOLE: Final[Json] = {"type": "integer"}
FLAG: Final[Json] = {"type": "boolean"}
TIME: Final[Json] = {"type": "string", "format": "date-time"}
TEXTS: Final[Json] = {"type": "array", "items": {"type": "string"}}
NUMBER: Final[Json] = {"type": "number"}


def or_null(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def record(required: Json, optional: Json | None = None) -> Json:
    """Keys always there, and keys sometimes there. More may come in later versions: readers ignore them."""
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def listed(schema: Json) -> Json:
    return {"type": "array", "items": schema}


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
