"""openapi.json is made from the routes, and is sound."""

from __future__ import annotations

import json
from typing import Any

from maw.api.app import ROUTES
from maw.api.openapi import document
from maw.api.routes import Access
from maw.api.schemas import BYTE_ANSWERS, SCHEMAS, TEXT_ANSWERS

DOCUMENT = document(ROUTES)


def operations() -> list[tuple[str, str, Any]]:
    return [(m, p, op) for p, methods in DOCUMENT["paths"].items() for m, op in methods.items()]


def test_it_is_json_and_names_its_version() -> None:
    assert json.loads(json.dumps(DOCUMENT))["openapi"] == "3.1.0"


def test_no_route_is_there_twice_and_every_operation_has_its_own_id() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES) == len(operations())
    assert len({op["operationId"] for _, _, op in operations()}) == len(ROUTES)


def test_every_reference_leads_somewhere() -> None:
    def refs(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [
                *([value["$ref"]] if "$ref" in value else []),
                *(r for v in value.values() for r in refs(v)),
            ]
        return [r for v in value for r in refs(v)] if isinstance(value, list) else []

    found = refs(DOCUMENT)
    assert found
    for ref in found:
        place: Any = DOCUMENT
        for step in ref.removeprefix("#/").split("/"):
            place = place[step]


def test_every_schema_is_used() -> None:
    text = json.dumps(DOCUMENT)
    assert [
        name for name in SCHEMAS if f'"#/components/schemas/{name}"' not in text and name != "StreamFrame"
    ] == []
    assert {route.answer for route in ROUTES} <= set(SCHEMAS) | TEXT_ANSWERS | BYTE_ANSWERS


def test_every_word_of_a_path_is_a_parameter_and_nothing_else_is() -> None:
    for _, path, operation in operations():
        words = {piece[1:-1] for piece in path.split("/") if piece.startswith("{")}
        told = {p["name"] for p in operation["parameters"] if p.get("in") == "path"}
        assert words == told, path


def test_open_routes_need_no_token_and_others_say_so() -> None:
    for route in ROUTES:
        security = DOCUMENT["paths"][route.path][route.method.lower()]["security"]
        assert ({} in security) is (route.access in (Access.OPEN, Access.PUBLIC, Access.ADMIN)), route.name


def test_no_argument_of_path_query_and_body_hides_another() -> None:
    for route in ROUTES:
        names = [f.name for f in (*route.path_fields, *route.query.fields)]
        names += [f.name for f in route.body.fields] if route.body else []
        assert len(set(names)) == len(names), route.name
