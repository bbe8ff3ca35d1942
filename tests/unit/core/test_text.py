"""What a message may hold, and how text of others is shown."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from maw.core.text import MAX_MESSAGE_BYTES, cells, check_message, one_line, shown
from maw.errors import BadInput

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
RED_HEART = "\u2764\ufe0f"
RAINBOW_FLAG = "\U0001f3f3\ufe0f\u200d\U0001f308"


@pytest.mark.parametrize(
    "text", ["hello", "a\n\tb", "สวัสดี", FAMILY, "x" * MAX_MESSAGE_BYTES, "\u202eabc", "é" * 32768]
)
def test_what_a_message_may_hold(text: str) -> None:
    check_message(text)


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", "empty", "empty"),
        (" \n\t ", "empty", "empty"),
        ("\u200b\u2060\ufeff", "empty", "empty"),
        ("\u3164\u2800", "empty", "empty"),
        ("x" * (MAX_MESSAGE_BYTES + 1), "too_long", "65,537 bytes"),
        ("é" * 32769, "too_long", "65,538 bytes"),
        ("a\rb", "control_character", "carriage return, U+000D, at position 2"),
        ("\x1b[31m", "control_character", "escape, U+001B, at position 1"),
        ("ab\0", "control_character", "NUL, U+0000, at position 3"),
        ("\x7f", "control_character", "delete"),
        ("a\x9b", "control_character", "U+009B, at position 2"),
        ("a\x85", "control_character", "U+0085"),
        ("ok\ud800", "not_unicode", "U+D800, at position 3"),
        ("\udcff", "not_unicode", "U+DCFF"),  # how Python hands over an argument that is not UTF-8
    ],
)
def test_what_it_may_not(text: str, code: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_message(text)
    assert caught.value.code == code
    assert says in caught.value.message
    assert caught.value.hint


def test_windows_line_ends_are_told_how_to_go() -> None:
    with pytest.raises(BadInput) as caught:
        check_message("a\r\nb")
    assert "tr -d" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "two\nlines\tand a tab",
        "กำลังทำ · 漢字 · עברית · العربية",
        "e\u0301",
        RED_HEART,
        FAMILY,
        RAINBOW_FLAG,
        "\U0001f44d\U0001f3fd",
        "\U0001f469\U0001f3fd\u200d\U0001f680",
        "1\ufe0f\u20e3 #\ufe0f\u20e3",
        "\u00a9\ufe0f",
        "\U0001f1f9\U0001f1ed",
        "\u00a0\u3000",
        "\ue0b0",
        "\U0001faef",  # unassigned today, and kept for emoji
    ],
)
def test_what_is_fit_to_be_seen_stays(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[2J", "⟨U+001B⟩[2J"),
        ("a\rb", "a⟨U+000D⟩b"),
        ("\0\x07\x08\x7f", "⟨U+0000⟩⟨U+0007⟩⟨U+0008⟩⟨U+007F⟩"),
        ("\x9b31m\x85", "⟨U+009B⟩31m⟨U+0085⟩"),
        ("a\u202eb\u2066c", "a⟨U+202E⟩b⟨U+2066⟩c"),
        ("\u200e\u200f\u061c", "⟨U+200E⟩⟨U+200F⟩⟨U+061C⟩"),
        ("\u034f\u115f\u1160\u17b4\u17b5", "⟨U+034F⟩⟨U+115F⟩⟨U+1160⟩⟨U+17B4⟩⟨U+17B5⟩"),
        ("\u180b\u180e\u180f\u3164\uffa0", "⟨U+180B⟩⟨U+180E⟩⟨U+180F⟩⟨U+3164⟩⟨U+FFA0⟩"),
        ("a\u200bb\u00adc\ufeff", "a⟨U+200B⟩b⟨U+00AD⟩c⟨U+FEFF⟩"),
        ("\u2028\u2029", "⟨U+2028⟩⟨U+2029⟩"),
        ("x\U000e0041\U000e007f", "x⟨U+E0041⟩⟨U+E007F⟩"),
        ("a\ufe0f", "a⟨U+FE0F⟩"),
        (RED_HEART + "\ufe0f", RED_HEART + "⟨U+FE0F⟩"),
        ("\u2764\ufe0e", "\u2764⟨U+FE0E⟩"),
        ("a\u200db", "a⟨U+200D⟩b"),
        ("\U0001f468\u200d", "\U0001f468⟨U+200D⟩"),
        ("\u200d\U0001f468", "⟨U+200D⟩\U0001f468"),
        ("1\ufe0f", "1⟨U+FE0F⟩"),
        ("\ufe0f", "⟨U+FE0F⟩"),
        ("\u200d", "⟨U+200D⟩"),
        ("\ufffe\U0010ffff\ufdd0", "⟨U+FFFE⟩⟨U+10FFFF⟩⟨U+FDD0⟩"),
        ("\u0378", "⟨U+0378⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("\U0001d173", "⟨U+1D173⟩"),
        ("\ufff9\ufffb", "⟨U+FFF9⟩⟨U+FFFB⟩"),
    ],
)
def test_what_hides_or_commands_is_marked(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_no_character_of_unicode_that_is_a_control_or_a_format_gets_through_alone() -> None:
    drawn = {0x600, 0x601, 0x602, 0x603, 0x604, 0x605, 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    through = [
        f"{code:04X}"
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and chr(code) not in "\n\t"
        and code not in drawn
        and shown(chr(code)) == chr(code)
    ]
    assert through == []


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("hello", 10, "hello"),
        ("hello", 5, "hello"),
        ("hello world", 8, "hello w…"),
        ("a\n b\t\tc", 10, "a b c"),
        ("漢字漢字", 5, "漢字…"),
        ("\x1b[1mx", 30, "⟨U+001B⟩[1mx"),
        ("", 5, ""),
    ],
)
def test_one_line_fits_its_width(text: str, width: int, expected: str) -> None:
    line = one_line(text, width)
    assert line == expected
    assert cells(line) <= width


@pytest.mark.parametrize(
    ("text", "columns"),
    [("abc", 3), ("漢", 2), ("e\u0301", 1), ("กำ", 2), ("ที่", 1), ("\U0001f600", 2), ("é", 1)],
)
def test_cells_count_columns(text: str, columns: int) -> None:
    assert cells(text) == columns
