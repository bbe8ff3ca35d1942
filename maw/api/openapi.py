"""The OpenAPI 3.1 document, made from the table of routes that also registers the handlers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from maw import __version__
from maw.api.backend import Json
from maw.api.fields import Field
from maw.api.limits import MAX_IDEMPOTENCY_KEY
from maw.api.routes import Access, Route, by_path
from maw.api.schemas import BYTE_ANSWERS, SCHEMAS, TEXT_ANSWERS

_DESCRIPTION: Final = (
    "The same routes and answers on the Unix socket (the caller is known by uid, X-Maw-Agent says as which "
    "agent) and on loopback TCP (Authorization: Bearer TOKEN). A 201 for a message means: it is on this "
    "node's disk."
)


def document(routes: Sequence[Route]) -> Json:
    """OpenAPI 3.1 for ``routes``."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "maw", "version": __version__, "description": _DESCRIPTION},
        "servers": [{"url": "http://127.0.0.1:6291"}],
        "paths": {
            path: {route.method.lower(): _operation(route) for route in group}
            for path, group in by_path(routes).items()
        },
        "components": {
            "schemas": dict(SCHEMAS),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "parameters": {
                "IfNoneMatch": _header("If-None-Match", "the ETag of an answer one has"),
                "Agent": _header("X-Maw-Agent", "on the socket: as which of the caller's agents", 65),
                "IdempotencyKey": _header(
                    "Idempotency-Key", "the same key again answers as the first time", MAX_IDEMPOTENCY_KEY
                ),
            },
            "responses": {
                "Error": {
                    "description": "what went wrong, and what to do",
                    "content": _content({"$ref": "#/components/schemas/Error"}),
                }
            },
        },
    }


def _operation(route: Route) -> Json:
    operation: Json = {
        "operationId": route.name,
        "summary": route.about,
        "description": f"For: {route.access.value}.",
        "security": _security(route.access),
        "parameters": _parameters(route),
        "responses": {str(route.status): _answer(route), **_failures(route)},
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": bool(route.body.required),
            "content": _content(route.body.schema()),
        }
    if route.takes:
        schema = {"type": "string", "format": "binary"}
        operation["requestBody"] = {"required": False, "content": {route.takes: {"schema": schema}}}
    return operation


def _security(access: Access) -> list[Json]:
    if access is Access.OPEN:
        return [{}]
    return [{}, {"token": []}] if access in (Access.PUBLIC, Access.ADMIN) else [{"token": []}]


def _parameters(route: Route) -> list[Json]:
    parameters = [
        *(_parameter(field, "path") for field in route.path_fields),
        *(_parameter(field, "query") for field in route.query.fields),
    ]
    if route.access is not Access.OPEN:
        parameters.append({"$ref": "#/components/parameters/Agent"})
    if route.tagged:
        parameters.append({"$ref": "#/components/parameters/IfNoneMatch"})
    if route.idempotent:
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    return parameters


def _parameter(field: Field, place: str) -> Json:
    return {
        "name": field.name,
        "in": place,
        "required": field.required,
        "description": field.about,
        "schema": field.schema(),
    }


def _answer(route: Route) -> Json:
    if route.status == 101:
        return {"description": "a WebSocket of text frames; each is a StreamFrame"}
    schema: Json = {"$ref": f"#/components/schemas/{route.answer}"}
    if route.many:
        schema = {"type": "array", "items": schema}
    if route.answer in TEXT_ANSWERS:
        return {"description": route.about, "content": {"text/plain": {"schema": {"type": "string"}}}}
    if route.answer in BYTE_ANSWERS:
        schema = {"type": "string", "format": "binary"}
        return {"description": route.about, "content": {"application/octet-stream": {"schema": schema}}}
    headers: Json = {"X-Maw-Replica": {"description": "this node's name", "schema": {"type": "string"}}}
    if route.many:
        about = (
            "after_seq of the next call"
            if route.paged
            else "how far this replica was: what follows comes after"
        )
        headers["X-Maw-Next-Seq"] = {
            "description": about,
            "schema": {"type": "integer", "minimum": 0},
        }
    if route.tagged:
        headers["ETag"] = {"description": "for If-None-Match", "schema": {"type": "string"}}
    for name, about in route.headers:
        headers[name] = {"description": about, "schema": {"type": "integer", "minimum": 0}}
    return {"description": route.about, "headers": headers, "content": _content(schema)}


def _failures(route: Route) -> Json:
    failures: Json = {"default": {"$ref": "#/components/responses/Error"}}
    if route.idempotent:
        schema = {"$ref": "#/components/schemas/UnconfirmedReceipt"}
        failures["504"] = {
            "description": "stored here, but not confirmed in time",
            "content": _content(schema),
        }
    if route.tagged:
        failures["304"] = {"description": "what the caller has is still so"}
    if route.answer == "Heard":
        failures["204"] = {"description": "there is nothing to announce"}
    if route.answer == "Health":
        schema = {"$ref": "#/components/schemas/Health"}
        failures["503"] = {"description": "it cannot take messages now", "content": _content(schema)}
    return failures


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _header(name: str, about: str, longest: int | None = None) -> Json:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": about,
        "schema": {"type": "string", **({} if longest is None else {"maxLength": longest})},
    }
