"""Each kind takes what it should from a query and from JSON, and says what it wants otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from maw.api.fields import Kind
from maw.api.kinds import Choice, Flag, Line, Name, Recipients, Ref, Refs, Seconds, Text, Whole
from maw.errors import BadInput

TAKEN: list[tuple[Kind, str, object]] = [
    (Whole(0), "0", 0),
    (Whole(0), "9223372036854775807", 2**63 - 1),
    (Whole(0), "007", 7),
    (Seconds(60), "0", 0.0),
    (Seconds(60), "60", 60.0),
    (Seconds(60), "0.25", 0.25),
    (Choice(("a", "b")), "b", "b"),
    (Flag(), "false", False),
    (Line(), "  #general ", "#general"),
    (Line(), "ไทย", "ไทย"),
    (Name("channel"), "Fire_2", "fire_2"),
    (Ref(), "42", "42"),
    (Refs(), "1,abc", ["1", "abc"]),
    (Recipients(), "@arthur", ["@arthur"]),
    (Text(), " x\n\ty ", " x\n\ty "),
]

REFUSED_TEXT: list[tuple[Kind, str]] = [
    *[
        (Whole(0), t)
        for t in ("", "-1", "+1", "1.0", "1e3", "abc", " 1", "1\n", "٣", "9223372036854775808", "9" * 99)
    ],
    (Whole(5, 6), "4"),
    *[(Seconds(60), t) for t in ("", "-1", "nan", "inf", "1e1", "60.1", ".5", "5.", "1\n", "9" * 30)],
    (Choice(("a",)), "A"),
    (Flag(), "yes"),
    *[(Line(5), t) for t in ("", "   ", "a\nb", "x" * 6, "a\x1bb", "\u202e", "\ud800")],
    *[(Text(), t) for t in ("", " \n", "\ud800")],
    *[(Refs(), t) for t in ("", ",", "a,,b")],
]

WRONG_JSON: list[tuple[Kind, list[Any]]] = [
    (Whole(0), [True, 1.0, "1", -1, 2**63, None, []]),
    (Seconds(60), [True, -1, 61, float("nan"), float("inf"), 1e300, "1", 1e-9]),
    (Choice(("a",)), ["b", 1, None, ["a"]]),
    (Flag(), [0, 1, "true", None]),
    (Line(), [1, None, [], True]),
    (Text(), [1, None, [], {}]),
    (Ref(), [0, -1, 2**63, 1.5, True, None, [], ""]),
    (Refs(), [[], [True], "1", ["ok", ""], {}, list(range(1, 1002))]),
    (Recipients(), [[], [""], 1, {}, ["a"] * 65, [["a"]]]),
]
REFUSED_JSON = [(kind, value) for kind, values in WRONG_JSON for value in values]


@pytest.mark.parametrize(("kind", "text", "value"), TAKEN)
def test_text_that_is_taken(kind: Kind, text: str, value: object) -> None:
    assert kind.from_text(text) == value


@pytest.mark.parametrize(("kind", "text"), REFUSED_TEXT)
def test_text_that_is_refused(kind: Kind, text: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        kind.from_text(text)


@pytest.mark.parametrize(("kind", "value"), REFUSED_JSON)
def test_json_that_is_refused(kind: Kind, value: object) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        kind.from_json(value)


def test_json_that_is_taken() -> None:
    assert Refs().from_json([1, "k7-1-2"]) == ["1", "k7-1-2"]
    assert Recipients().from_json(["a", " b@c "]) == ["a", "b@c"]
    assert Seconds(60).from_json(2) == 2.0
    assert Name("agent").from_json("Arthur") == "arthur"


@pytest.mark.parametrize("name", ["", "-x", "a b", "x" * 33, "K\u212a", "agents"])
def test_names_say_for_themselves_what_is_wrong(name: str) -> None:
    with pytest.raises(BadInput):
        Name("agent").from_text(name)


def test_text_is_measured_in_bytes() -> None:
    assert Text().from_text("é" * 32768)
    with pytest.raises(BadInput, match="65537") as refused:
        Text().from_text("é" * 32768 + "x")
    assert refused.value.code == "too_large"


@pytest.mark.parametrize("kind", [kind for kind, _, _ in TAKEN])
def test_every_kind_has_a_schema(kind: Kind) -> None:
    assert {"type", "oneOf"} & set(kind.schema())
