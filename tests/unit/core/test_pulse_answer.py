"""An answer as messages, and what became of its words."""

from __future__ import annotations

from typing import Any

import pytest

from maw.core.pulse_answer import Part, parts_of, plan


def handed(seq: int, author: str = "neo@mbp", **more: Any) -> dict[str, Any]:
    told = {"mailbox": "scout", "id": f"id-{seq}", "seq": seq, "author": author, "channel": None}
    return {**told, "kind": "direct", "why": "direct", "intent": "chat", **more}


def sent(answer: str, *messages: dict[str, Any], most: int = 5) -> list[tuple[str, dict[str, Any]]]:
    return [(one.path, one.body) for one in plan(answer, "scout", messages, most).sendings]


def test_lines_that_begin_messages() -> None:
    answer = """first
>>> #General:
to all

two lines
**>>> @arthur, @neo@mbp**
to both
>>> ask @arthur
will you?
>>> reply to 42
yes
>>> memory
note this
"""
    before, parts = parts_of(answer)
    assert before == "first"
    assert parts == [
        Part("post", "general", "to all\n\ntwo lines"),
        Part("direct", "@arthur,@neo@mbp", "to both"),
        Part("direct", "@arthur", "will you?", ask=True),
        Part("reply", "42", "yes"),
        Part("memory", "", "note this"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        ">>> print(1)",
        ">>> reply",
        ">>> #not a channel",
        "see >>> #general",
        "```\n>>> #general\nx\n```",
        "~~~~\n```\n>>> #general\n~~~\n>>> @neo\n~~~~",
    ],
)
def test_lines_that_begin_none(text: str) -> None:
    assert parts_of(text) == (text, [])


def test_a_fence_that_is_closed_ends() -> None:
    assert parts_of("```\nx\n```\n>>> #general\nhello")[1] == [Part("post", "general", "hello")]


@pytest.mark.parametrize("text", ["HEARTBEAT_OK", " **HEARTBEAT_OK** \n", "`HEARTBEAT_OK`.", "", "\n"])
def test_nothing_to_say(text: str) -> None:
    found = plan(text, "scout", [handed(1)], 5)
    assert (found.sendings, found.unsent, found.noted) == ((), (), "")


def test_empty_messages_and_ok_in_them_are_left_out() -> None:
    assert sent(">>> #general\n\n>>> @neo\nHEARTBEAT_OK\n>>> #builds\nred") == [
        ("/api/channels/builds/messages", {"text": "red", "intent": "inform"})
    ]


def test_terminal_codes_and_control_characters_do_not_come_along() -> None:
    assert parts_of("\x1b[31mred\x1b[0m\r\nnext\x07\x00")[0] == "red\nnext"


def test_words_before_the_first_line_answer_the_only_one_who_spoke() -> None:
    asks = handed(7, intent="ask")
    assert sent("yes", handed(3), asks, handed(9, intent="inform")) == [
        ("/api/direct", {"to": ["neo@mbp"], "text": "yes", "intent": "inform", "reply_to": "id-7"})
    ]
    for messages in (
        (),
        (handed(1), handed(2, "arthur@pi")),
        (handed(1, why="group"),),
        (handed(1, own=True),),
        (handed(1, new=False),),
    ):
        found = plan("yes", "scout", messages, 5)
        assert (found.sendings, found.noted) == ((), "yes")


def test_an_answer_in_a_channel_names_whom_it_answers() -> None:
    asked = handed(7, channel="general", kind="post", why="mention")
    assert sent("yes", asked) == [
        (
            "/api/channels/general/messages",
            {"text": "@neo@mbp yes", "intent": "inform", "reply_to": "id-7"},
        )
    ]
    assert sent(">>> reply id-7\n@neo it is", asked)[0][1]["text"] == "@neo it is"


def test_who_was_spoken_to_answers() -> None:
    found = plan("12", "scout", [handed(7, mailbox="books")], 5)
    assert [one.speaker for one in found.sendings] == ["books"]


def test_an_operators_order_is_answered() -> None:
    order = handed(41, operator="jonathan", order=True)
    found = plan(">>> obeyed 41\nstopped\nit\n>>> declined 99\n", "scout", [order], 0)
    assert [(one.path, one.body, one.counts) for one in found.sendings] == [
        ("/api/ack", {"ids": ["id-41"], "answer": "obeyed", "note": "stopped it"}, False)
    ]
    assert found.unsent == (("there is no message 99 in this pulse", ""),)
    assert plan(">>> obeyed 41", "scout", [order], 0).sendings[0].body == {
        "ids": ["id-41"],
        "answer": "obeyed",
    }


def test_no_more_than_so_many_and_the_rest_is_told() -> None:
    found = plan("\n".join(f">>> @neo\n{n}" for n in range(4)), "scout", [], 2)
    assert [one.body["text"] for one in found.sendings] == ["0", "1"]
    assert [text for _, text in found.unsent] == ["2", "3"]
    assert all("over 2 messages in one pulse; it was for @neo" in why for why, _ in found.unsent)


def test_the_plan_of_one_answer_is_always_the_same() -> None:
    answer = "x\n>>> #a\nb\n>>> reply 7\nc\n>>> reply 8\nd"
    assert plan(answer, "scout", [handed(7)], 5) == plan(answer, "scout", [handed(7)], 5)
