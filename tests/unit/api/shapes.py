"""Holds a JSON value against a schema of openapi.json: the part of JSON Schema that maw uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def misfits(value: Any, schema: Mapping[str, Any], document: Mapping[str, Any], at: str = "$") -> list[str]:
    """What of ``value`` is not as ``schema`` says; empty when it fits."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        return misfits(value, document["components"]["schemas"][name], document, at)
    if "oneOf" in schema:
        fitting = [one for one in schema["oneOf"] if not misfits(value, one, document, at)]
        return [] if len(fitting) == 1 else [f"{at}: fits {len(fitting)} of oneOf"]
    if "const" in schema:
        return [] if value == schema["const"] else [f"{at}: not {schema['const']!r}"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(value, kind) for kind in kinds):
        return [f"{at}: {value!r} is not {' or '.join(kinds)}"]
    if value is not None and "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value!r} is none of {schema['enum']}"]
    return [*_in_object(value, schema, document, at), *_in_array(value, schema, document, at)]


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def _in_object(value: Any, schema: Mapping[str, Any], document: Mapping[str, Any], at: str) -> list[str]:
    if not isinstance(value, dict):
        return []
    known = schema.get("properties", {})
    found = [f"{at}: {key} is missing" for key in schema.get("required", ()) if key not in value]
    if known:
        found += [f"{at}: {key} is not in the schema" for key in value if key not in known]
    for key, inner in known.items():
        if key in value:
            found += misfits(value[key], inner, document, f"{at}.{key}")
    return found


def _in_array(value: Any, schema: Mapping[str, Any], document: Mapping[str, Any], at: str) -> list[str]:
    if not isinstance(value, list):
        return []
    inner = schema["items"]
    return [what for i, item in enumerate(value) for what in misfits(item, inner, document, f"{at}[{i}]")]
