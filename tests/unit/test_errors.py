"""The one tree of errors: every leaf has its status, its exit code and a word for machines."""

from __future__ import annotations

import inspect

import pytest

from maw import errors
from maw.errors import MawError

ALL = [item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, MawError)]
EXIT_CODES = {
    "BadInput": 2, "BadConfig": 2, "TooLarge": 2, "NotSignedIn": 6, "NotFound": 3, "Hidden": 3, "Ambiguous": 4,
    "NotRunning": 5, "Refused": 6, "Conflict": 6, "Unavailable": 6, "TooMany": 6, "Unconfirmed": 7, "LinkError": 6,
    "ProtocolViolation": 6, "HandshakeRefused": 6, "LinkClosed": 6, "InternalError": 70, "MawError": 70,
}  # fmt: skip


def test_the_exit_codes_scripts_rely_on() -> None:
    assert {item.__name__: item.exit_code for item in ALL} == EXIT_CODES


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_the_one_shape(kind: type[MawError]) -> None:
    error = kind("what happened", hint="what to do", candidates=["a@b"])
    assert str(error) == error.message == "what happened"
    assert 400 <= kind.status < 600
    assert kind.default_code.replace("_", "").isalpha()
    told = {
        "code": kind.default_code,
        "message": "what happened",
        "hint": "what to do",
        "candidates": ["a@b"],
    }
    beside = {"retry_after": 1.0} if kind is errors.TooMany else {}
    assert error.as_json() == {"error": {**told, **beside}}
    assert kind("x", code="special").code == "special"
    assert "candidates" not in str(kind("x").as_json())


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_in_the_tree(kind: type[MawError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
