"""What a request may carry: one description that both checks a value and documents it.

A *kind* turns what came (text in a query, a JSON value in a body) into a checked value, or raises
ValueError with the rest of a sentence: "must be …". A *field* is a kind with a name; a *field set* reads
a whole query or body, and refuses what it does not know with the nearest name that it does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from multidict import MultiMapping

from maw.api.backend import Json
from maw.core.names import nearest
from maw.errors import BadInput


class Kind(Protocol):
    """One sort of value. Both readers raise ValueError("must be …")."""

    def from_text(self, text: str) -> object: ...
    def from_json(self, value: object) -> object: ...
    def schema(self) -> Json: ...


class Field(NamedTuple):
    """A named value. ``default`` is taken as it is when the field is left out."""

    name: str
    kind: Kind
    about: str
    required: bool = False
    default: object = None

    def schema(self) -> Json:
        """Its JSON Schema, with the default where it has one."""
        schema = self.kind.schema()
        return schema if self.default is None else {**schema, "default": self.default}


def shown(value: object) -> str:
    """What came, short and in ASCII, so that quoting it back drives nobody's terminal."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value[:64] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "…"


def _or_null(schema: Json) -> Json:
    """An optional field of a body may be there and null, which is as if it were left out."""
    if "type" not in schema:
        return {**schema, "oneOf": [*schema["oneOf"], {"type": "null"}]}
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **more}


@dataclass(frozen=True, slots=True)
class FieldSet:
    """The fields of one query or body. ``what`` names it in errors: "parameter", "field"."""

    what: str
    fields: tuple[Field, ...]
    by_name: Mapping[str, Field]
    defaults: Mapping[str, object]
    required: tuple[str, ...]

    @classmethod
    def of(cls, what: str, fields: Sequence[Field]) -> FieldSet:
        return cls(
            what=what,
            fields=tuple(fields),
            by_name={field.name: field for field in fields},
            defaults={field.name: field.default for field in fields if not field.required},
            required=tuple(field.name for field in fields if field.required),
        )

    def schema(self) -> Json:
        """All of it as the JSON Schema of an object."""
        schema: Json = {
            "type": "object",
            "properties": {
                field.name: {
                    "description": field.about,
                    **(field.schema() if field.required else _or_null(field.schema())),
                }
                for field in self.fields
            },
            "additionalProperties": False,
        }
        return {**schema, "required": list(self.required)} if self.required else schema

    def from_query(self, query: MultiMapping[str]) -> dict[str, Any]:
        """The checked values by name. Raises BadInput naming the parameter."""
        values: dict[str, Any] = dict(self.defaults)
        seen: set[str] = set()
        for name, text in query.items():
            field = self._known(name)
            if name in seen:
                raise BadInput(f"parameter {name} is given more than once", code="bad_parameter")
            seen.add(name)
            try:
                values[name] = field.kind.from_text(text)
            except ValueError as error:
                raise BadInput(
                    f"parameter {name} {error}, not {shown(text)}", hint=field.about, code="bad_parameter"
                ) from None
        self._complete(values)
        return values

    def from_body(self, body: object) -> dict[str, Any]:
        """The checked values by name. Raises BadInput naming the field."""
        if not isinstance(body, dict):
            raise BadInput(
                f"the body must be a JSON object, not {shown(body)}", hint=self._takes(), code="bad_body"
            )
        values: dict[str, Any] = dict(self.defaults)
        for name, value in body.items():
            field = self._known(name)
            if value is None and not field.required:
                continue
            try:
                values[name] = field.kind.from_json(value)
            except ValueError as error:
                raise BadInput(
                    f"field {name} {error}, not {shown(value)}", hint=field.about, code="bad_field"
                ) from None
        self._complete(values)
        return values

    def _known(self, name: str) -> Field:
        try:
            return self.by_name[name]
        except KeyError:
            near = nearest(name[:64], self.by_name, limit=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise BadInput(
                f"unknown {self.what} {shown(name)}",
                hint=hint + self._takes(),
                code=f"unknown_{self.what}",
                candidates=near,
            ) from None

    def _complete(self, values: Mapping[str, object]) -> None:
        for name in self.required:
            if name not in values:
                raise BadInput(
                    f"{self.what} {name} is missing",
                    hint=self.by_name[name].about,
                    code=f"missing_{self.what}",
                )

    def _takes(self) -> str:
        if not self.fields:
            return f"this takes no {self.what}s"
        return f"this takes: {', '.join(self.by_name)}"
