"""Bodies that are no JSON are refused with the place where they break."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from maw.api.app import ROUTES
from maw.api.bodies import decode_body
from maw.errors import BadInput

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = sorted({f.name for r in ROUTES for f in (*r.query.fields, *(r.body.fields if r.body else ()))})


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{", "line 1, column 2"),
        (b'{"a":\n\n  }', "line 3, column 3"),
        (b"\xff", "byte 0 is 0xff"),
        (b"nul", "line 1, column 1"),
        (b"NaN", "NaN"),
        (b"-Infinity", "Infinity"),
        (b"[" * 10**5, "deep"),
        (b"9" * 5000, "digits"),
        (b"\xef\xbb\xbf{}", "line 1, column 1"),
    ],
)
def test_where_it_breaks(raw: bytes, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        decode_body(raw)
    assert words in refused.value.message
    assert refused.value.hint


def test_nothing_is_an_empty_object() -> None:
    assert decode_body(b"") == {}


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_a_clear_refusal(raw: bytes) -> None:
    try:
        decode_body(raw)
    except BadInput as error:
        assert error.message.isprintable()


@given(st.data())
def test_any_json_is_an_argument_list_or_a_clear_refusal(data: st.DataObject) -> None:
    route = data.draw(st.sampled_from([route for route in ROUTES if route.body is not None]))
    assert route.body is not None
    value = data.draw(JSON | st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
    try:
        args = route.body.from_body(value)
    except BadInput as error:
        assert error.message.isprintable()
        assert json.dumps(error.as_json(), ensure_ascii=False).encode()
    else:
        assert set(args) == set(route.body.by_name)


@given(st.data())
def test_any_query_is_an_argument_list_or_a_clear_refusal(data: st.DataObject) -> None:
    route = data.draw(st.sampled_from(ROUTES))
    names = st.sampled_from(NAMES) | st.text()
    value = st.text() | st.integers().map(str) | st.floats().map(str)
    query = MultiDict(data.draw(st.lists(st.tuples(names, value), max_size=4)))
    try:
        args = route.query.from_query(query)
    except BadInput as error:
        assert error.message.isprintable()
        assert json.dumps(error.as_json(), ensure_ascii=False).encode()
    else:
        assert set(args) == set(route.query.by_name)
