"""Answers and errors leave in one shape."""

from __future__ import annotations

import json

import pytest

from maw.api.replies import error_reply, http_error_reply, malformed_reply, one_line, reply, with_headers
from maw.errors import Ambiguous, BadInput, MawError, NotSignedIn, Unavailable, Unconfirmed


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput("x"), 400),
        (BadInput("x", code="too_large"), 413),
        (NotSignedIn("x"), 401),
        (Ambiguous("x", candidates=["a", "b"]), 409),
        (Unavailable("x"), 503),
        (MawError("x"), 500),
    ],
)
def test_errors(error: MawError, status: int) -> None:
    answer = error_reply(error)
    assert answer.status == status
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == error.as_json()


def test_a_receipt_stands_beside_the_error() -> None:
    answer = error_reply(Unconfirmed("x"), receipt={"id": "1"})
    assert isinstance(answer.body, bytes)
    assert set(json.loads(answer.body)) == {"error", "receipt"}


def test_headers_of_one_answer_do_not_leak_into_the_next() -> None:
    headers = with_headers(X_Maw_Replica="mbp")
    first = reply([], headers=headers)
    first.headers["X-Maw-Next-Seq"] = "7"
    second = reply([], headers=headers)
    assert "X-Maw-Next-Seq" not in second.headers
    assert "X-Maw-Next-Seq" not in second.fixed.by_name
    assert second.fixed.by_name["X-Maw-Replica"] == "mbp"
    assert second.fixed.by_name["Cache-Control"] == "no-store"


def test_what_is_no_http_ends_the_connection() -> None:
    answer = malformed_reply(400, "bad\r\n  \x1b[2J line" * 100)
    assert answer.keep_alive is False
    assert isinstance(answer.body, bytes)
    message = json.loads(answer.body)["error"]["message"]
    assert message.isprintable()
    assert len(message) < 300


def test_statuses_without_words_of_their_own() -> None:
    assert http_error_reply(426).status == 426
    assert one_line("a\n\tb\x00") == "a b?"
