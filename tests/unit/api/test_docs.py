"""docs/api.md tells of every route, parameter and limit there is, and of no other route."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from maw.api.app import ROUTES
from maw.api.limits import MAX_BODY_BYTES, MAX_CONFIRM_S, MAX_IDEMPOTENCY_KEY, MAX_PAGE, MAX_WAIT_S
from maw.api.routes import Route

DOC = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `((?:GET|POST|DELETE) /\S*)` \| (.*) \|$", DOC, re.MULTILINE))


def test_the_routes_are_these() -> None:
    assert set(ROWS) == {f"{route.method} {route.path}" for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_row_names_what_the_route_takes(route: Route) -> None:
    row = ROWS[f"{route.method} {route.path}"]
    wanted = [] if route.idempotent else [f"{field.name}=" for field in route.query.fields]
    wanted += [f'"{field.name}"' for field in route.body.fields] if route.body else []
    assert [word for word in wanted if word not in row] == []


def test_the_limits_are_told() -> None:
    for limit in (
        f"1 to {MAX_PAGE}",
        f"at most {MAX_WAIT_S:g}",
        f"at most {MAX_CONFIRM_S:g}",
        f"at most {MAX_BODY_BYTES // 1024} KiB",
        f"1 to {MAX_IDEMPOTENCY_KEY} printable",
    ):
        assert limit in DOC, limit
