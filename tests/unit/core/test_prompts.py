"""What an agent's screen is taken for: only an empty prompt is one into which something may be typed."""

from __future__ import annotations

import pytest

from maw.core.prompts import Prompt, Shows, bright, holds, paste_of, read_prompt

RULE = "─" * 60


def claude(
    inside: str | list[str] = "❯ ", above: str = "● done", below: str = "  ? for shortcuts"
) -> list[str]:
    middle = [inside] if isinstance(inside, str) else inside
    return ["✻ Claude Code", "", above, "", RULE, *middle, RULE, below, "", ""]


@pytest.mark.parametrize(
    "inside",
    ["❯ ", "❯", "> ", "❯\u00a0", '\x1b[39m❯ \x1b[2mTry "fix lint"\x1b[0m', "❯ \x1b[2mpush it\x1b[22m "],
)
def test_an_empty_box_and_what_is_only_suggested(inside: str) -> None:
    assert read_prompt("claude", claude(inside)) == Prompt(Shows.EMPTY)


@pytest.mark.parametrize(
    "inside",
    ["❯ x", "> fix the", "❯ \x1b[2mpush\x1b[22m it", "❯ \x1b[38;5;231mhello\x1b[0m", ["❯ ", "  two"]],
)
def test_a_half_typed_line_is_one(inside: str | list[str]) -> None:
    assert read_prompt("claude", claude(inside)).shows is Shows.TYPED


def test_a_colour_whose_number_is_two_is_not_dim() -> None:
    assert bright("\x1b[38;5;2mtyped\x1b[0m") == "typed"
    assert bright("\x1b[38;2;1;2;2mtyped\x1b[0m") == "typed"
    assert bright("\x1b[1;2mghost\x1b[22m real") == " real"


@pytest.mark.parametrize(
    "above",
    [
        "✻ Pondering… (esc to interrupt)",
        "✶ Investigating… (31m 40s · ↓ 108.6k tokens)",
        "Press up to edit queued messages",
    ],
)
def test_work_is_seen(above: str) -> None:
    assert read_prompt("claude", claude(above=above)).shows is Shows.WORKS


@pytest.mark.parametrize(
    "screen",
    [
        ["Do you want to proceed?", "❯ 1. Yes", "  2. No", "", "Esc to cancel"],
        claude("❯ 1. Yes"),
        claude(above="Do you trust the files in this folder?"),
        [RULE, " Bash command", RULE, "Would you like to run it?", " ❯ 1. Yes", "   2. No", " Tab to amend"],
    ],
)
def test_a_question_is_never_taken_for_a_prompt(screen: list[str]) -> None:
    assert read_prompt("claude", screen).shows is Shows.ASKS


@pytest.mark.parametrize(
    "screen",
    [[], ["$ "], ["user@host:~$ claude", ""], [RULE], [RULE, "text", RULE], [*claude(), *["later"] * 9]],
)
def test_what_is_not_known_is_not_typed_into(screen: list[str]) -> None:
    assert read_prompt("claude", screen).shows is Shows.UNKNOWN


@pytest.mark.parametrize("kind", ["gemini", "opencode", "command"])
def test_a_kind_whose_prompt_is_not_known_is_refused(kind: str) -> None:
    assert read_prompt(kind, claude()).shows is Shows.UNKNOWN


def test_codex() -> None:
    assert (
        read_prompt("codex", ["• done", "", "› \x1b[2mExplain this codebase\x1b[0m", "", "  100% left"]).shows
        is Shows.EMPTY
    )
    assert read_prompt("codex", ["• done", "", "› fix", "", "  100% left"]).shows is Shows.TYPED
    assert read_prompt("codex", ["• Working (3s • esc to interrupt)", "", "› ", ""]).shows is Shows.WORKS
    assert (
        read_prompt("codex", ["allow command?", "› 1. Yes", "press enter to confirm or esc to cancel"]).shows
        is Shows.ASKS
    )


def test_our_own_text_is_known_again_in_the_box() -> None:
    text = '2 messages\narthur@mbp · ask: "how are you, and so on"'
    assert holds(Prompt(Shows.TYPED, ("2 messages", 'arthur@mbp · ask: "how are you, and so on"')), text)
    assert holds(
        Prompt(Shows.TYPED, ("2 messages", 'arthur@mbp · ask: "how', 'are you, and so on"')), text
    ), "wrapped"
    assert holds(Prompt(Shows.TYPED, ("2 messages", 'arthur@mbp · ask: "how')), text), "cut"
    assert holds(Prompt(Shows.TYPED, ("[Pasted text #3 +14 lines]",)), text)
    assert not holds(Prompt(Shows.TYPED, ("rm -rf2 messages", 'arthur@mbp · ask: "how')), text), (
        "over a human's line"
    )
    assert not holds(Prompt(Shows.TYPED, ("2 messages", "and a word of a human's")), text)
    assert not holds(Prompt(Shows.EMPTY), text)


def test_nothing_in_a_paste_presses_a_key() -> None:
    assert paste_of("a\x1b[201~\x03b\r\tc\x7f\x9bd\ne\n") == "a [201~ b  c  d\ne"
