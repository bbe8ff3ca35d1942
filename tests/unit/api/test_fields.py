"""Queries and bodies are read by name, and what is wrong is named."""

from __future__ import annotations

import pytest
from multidict import MultiDict

from maw.api.fields import Field, FieldSet, shown
from maw.api.kinds import Flag, Line, Whole
from maw.errors import BadInput

FIELDS = FieldSet.of(
    "field",
    (
        Field("name", Line(), "a name", required=True),
        Field("count", Whole(1, 9), "how many", default=3),
        Field("loud", Flag(), "shout"),
    ),
)


def test_defaults_are_filled_in_and_values_checked() -> None:
    assert FIELDS.from_body({"name": "x"}) == {"name": "x", "count": 3, "loud": None}
    assert FIELDS.from_query(MultiDict(name=" x ", count="9", loud="true")) == {
        "name": "x",
        "count": 9,
        "loud": True,
    }


def test_null_is_as_good_as_left_out_where_nothing_is_required() -> None:
    assert FIELDS.from_body({"name": "x", "count": None})["count"] == 3
    with pytest.raises(BadInput, match="field name must be text, not null"):
        FIELDS.from_body({"name": None})


def test_one_read_does_not_change_the_next() -> None:
    FIELDS.from_body({"name": "x"})["count"] = 99
    assert FIELDS.from_body({"name": "x"})["count"] == 3


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({}, "missing_field", "field name is missing"),
        ({"name": "x", "cuont": 1}, "unknown_field", 'unknown field "cuont"'),
        ({"name": "x", "count": 10}, "bad_field", "field count must be a whole number from 1 to 9, not 10"),
        ({"name": "x", "count": {"a": 1}}, "bad_field", "not an object"),
        ([1], "bad_body", "must be a JSON object, not a list"),
        (None, "bad_body", "not null"),
    ],
)
def test_what_is_wrong_is_named(body: object, code: str, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        FIELDS.from_body(body)
    assert refused.value.code == code
    assert words in refused.value.message


def test_the_nearest_known_name_is_offered() -> None:
    with pytest.raises(BadInput) as refused:
        FIELDS.from_body({"name": "x", "cuont": 1})
    assert refused.value.candidates == ("count",)
    with pytest.raises(BadInput, match="unknown parameter") as none:
        FieldSet.of("parameter", ()).from_query(MultiDict(x="1"))
    assert none.value.candidates == ()
    assert none.value.hint == "this takes no parameters"


def test_a_parameter_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="more than once"):
        FIELDS.from_query(MultiDict([("name", "a"), ("name", "b")]))


@pytest.mark.parametrize("value", ["\x1b[2J", "x" * 10**6, "\u202e", "\ud800", 10**50, 1.5, True, [1], {}])
def test_what_is_quoted_back_is_short_printable_ascii(value: object) -> None:
    quoted = shown(value)
    assert len(quoted) <= 60
    assert quoted.replace("…", "").isascii()
    assert quoted.isprintable()
