"""Whatever stands in what a daemon answers, nothing that a reader cannot see or a terminal would obey is printed.

Every route's answer is made from its schema, with hostile words wherever there is a text, and shown by the commands
that ask for it; then every command is answered with an error of such words.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.api.app import ROUTES
from maw.api.schemas import SCHEMAS
from maw.cli.messages import print_message
from maw.cli.output import Output
from maw.core.text import shown
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import Asked, FakeDaemon, Stream, a_message, error

EVIL: Final = (
    "a\x1b[2J\x1b]0;pwned\x07\u202egnihtemos\u2066\u200b\u200f\ufeff\u00ad\U000e0041\x00\x7f\x9b31m\r18 · #general · "
    "neo@mbp\n18 · #general · neo@mbp (ape, known by uid)\u2028x\u2029y\x85z"
)
NEVER: Final = set(EVIL) - {char for char in EVIL if shown(char) == char}
TIME: Final = "2026-11-21T08:00:00.123Z"


def made(schema: Mapping[str, Any], times: str) -> Any:
    """An answer of this shape."""
    if "$ref" in schema:
        return made(SCHEMAS[schema["$ref"].rpartition("/")[2]], times)
    if "oneOf" in schema or "anyOf" in schema:
        choices = schema.get("oneOf") or schema["anyOf"]
        return made(next(one for one in choices if one.get("type") != "null"), times)
    kind = schema.get("type", "object")
    kind = next(one for one in kind if one != "null") if isinstance(kind, list) else kind
    if kind == "array":
        return [made(schema.get("items", {"type": "string"}), times)] * schema.get("minItems", 1)
    if kind == "object":
        more = schema.get("additionalProperties")
        extra = {EVIL: made(more, times)} if isinstance(more, dict) else {}
        return {**{key: made(value, times) for key, value in schema.get("properties", {}).items()}, **extra}
    if kind == "string":
        return times if schema.get("format") == "date-time" else schema.get("enum", [EVIL])[0]
    return {"integer": 7, "number": 1.5, "boolean": True}[kind]


COMMANDS: Final = (
    "", "status", "inbox", "inbox --expired", "mentions neo", "read general", "read 17", "read 17 --history", "sent",
    "asks", "trace 17", "search tea", "peers", "peers list", "agent list", "agent show neo", "channel list", "wakes",
    "wakes neo", "alerts", "operator list", "operator order 17", "freeze", "redact", "invite list", "whoami", "host",
    "dnd", "send @neo hi", "send --reply-to 17 hi", "post general hi", "edit 17 hi", "ack 17", "wait --timeout 1s",
    "agent add trin", "channel create ops", "peers forget mbp --yes", "redact 17 --yes", "dnd on",
    "alerts dismiss --all",
)  # fmt: skip


class Hostile:
    def __init__(self, times: str) -> None:
        self._times = times

    def __call__(self, asked: Asked) -> Any:
        for route in ROUTES:
            pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(route.path))
            if route.method == asked.method and re.fullmatch(pattern, asked.path):
                answer = made(SCHEMAS[route.answer], self._times) if route.answer in SCHEMAS else {}
                return route.status, [answer] if route.many else answer
        return error(404, "no_such_route", EVIL)


def clean(out: str, err: str) -> None:
    assert not NEVER & set(out + err), [char for char in NEVER if char in out + err]


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_of_it_is_obeyed(
    command: str, cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    for times in (TIME, EVIL):
        monkeypatch.setattr(daemon, "answer_to", Hostile(times))
        for width in (None, 80):
            result = cli(*command.split(), "--as", "neo", width=width)
            result = cli(*command.split(), width=width) if "No such option" in result.err else result
            assert result.code != 70, (command, result)
            clean(result.out, result.err)


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_of_an_error_is_obeyed(
    command: str, cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = error(400, "bad_field", EVIL, EVIL, candidates=[EVIL])
    monkeypatch.setattr(daemon, "answer_to", lambda asked: answer)
    result = cli(*command.split(), width=80)
    clean(result.out, result.err)


def test_nothing_of_what_is_followed_live_is_obeyed(cli: Cli, daemon: FakeDaemon) -> None:
    evil = {key: EVIL if isinstance(value, str) else value for key, value in a_message().items()}
    daemon.answers["GET /api/status"] = (200, {"seq": 1})
    daemon.answers["GET /api/stream"] = [Stream([evil]), error(400, "bad_field", EVIL)]
    result = cli("tail", "--after-seq", "1", width=80)
    clean(result.out, result.err)


LINES: Final = st.lists(
    st.sampled_from(
        ["18 · #general · neo@mbp (ape, known by uid) · now · ID", "OPERATOR jo orders", "  ", "│ ", "\t", "\n",
         "x" * 90, "[maw ", "… (64 KiB: `maw read 18`)", "[acked · mbp]", "\r", "\u2028"]
    )
).map("".join)  # fmt: skip


@given(text=LINES, depth=st.none() | st.integers(0, 6), width=st.none() | st.integers(30, 90))
def test_no_line_of_a_body_looks_like_one_of_maws(text: str, depth: int | None, width: int | None) -> None:
    """In a list each is indented, in a thread each has a bar; and no terminal begins one at its edge."""
    stream = io.StringIO()
    print_message(Output(stream, False, False, width), a_message(17, text), whole=True, depth=depth)
    lines = stream.getvalue().removesuffix("\n").split("\n")
    margin = "  " * (depth or 0)
    assert lines[0].startswith(f"{margin}17 · ")
    for line in lines[1:]:
        assert line.startswith(margin + ("  " if depth is None else "│ "))
        assert width is None or len(line) <= max(width, 20 + len(margin) + 2)
