"""What a message may hold, and how words that somebody else wrote are shown on a terminal.

``check_message`` refuses on the way in what no reader could want; ``shown`` marks on the way out whatever a
reader could not see or a terminal would obey, as ``⟨U+202E⟩``. Both are needed: peers may run other code.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from typing import Final

from maw.errors import BadInput

MAX_MESSAGE_BYTES: Final = 64 * 1024
_REFUSED: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but newline and tab, and halves of surrogate pairs."""


def check_message(text: str) -> None:
    """Raises BadInput when ``text`` is empty, over 64 KiB of UTF-8, or holds control characters."""
    if (
        text.isascii()
        and text.isprintable()
        and len(text) <= MAX_MESSAGE_BYTES
        and not text.isspace()
        and text
    ):
        return  # most are, and to look at each character costs more than to sign them all
    if refused := _REFUSED.search(text):
        char, at = refused[0], refused.start()
        if char < "\ud800":
            raise _control(char, at)
        raise BadInput(
            f"the text is not valid Unicode: half a surrogate pair, {_code(char)}, at position {at + 1}",
            code="not_unicode",
            hint="send it as UTF-8",
        )
    size = len(text.encode())
    if size > MAX_MESSAGE_BYTES:
        raise BadInput(
            f"the text is {size:,} bytes, a message holds at most {MAX_MESSAGE_BYTES:,}",
            code="too_long",
            hint="send it in parts, or put it in a file and send where it is",
        )
    if all(char.isspace() or char in _BLANK or _hidden(ord(char)) for char in text):
        raise BadInput(
            "the text is empty", code="empty", hint="give it as words, or - to read it from standard input"
        )


def shown(text: str) -> str:
    """The text with everything invisible or dangerous made visible; newline and tab stay as they are."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if _plain(char) or _joins_emoji(text, at) else f"⟨{_code(char)}⟩" for at, char in enumerate(text)
    )


def one_line(text: str, width: int) -> str:
    """``shown`` on one line of at most ``width`` terminal cells, cut with … where it is longer."""
    line = " ".join(shown(text).split())
    if cells(line) <= width:
        return line
    used = 0
    for at, char in enumerate(line):
        used += cells(char)
        if used > width - 1:
            return line[:at].rstrip() + "…"
    return line


def pieces(line: str, width: int) -> list[str]:
    """A line of shown text in pieces of at most ``width`` terminal cells, at least one."""
    if cells(line) <= width:
        return [line]
    found, begun, used = [], 0, 0
    for at, char in enumerate(line):
        size = cells(char)
        if used + size > width:
            found.append(line[begun:at])
            begun, used = at, 0
        used += size
    return [*found, line[begun:]]


def cells(text: str) -> int:
    """How many columns of a terminal the text takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_cell(char) for char in text)


def _cell(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me") or char in "\u200d\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _control(char: str, at: int) -> BadInput:
    name = _NAMES.get(char, "a control character")
    hint = {
        "\r": "the text has Windows line ends: pipe it through `tr -d '\\r'` first",
        "\x1b": "it has terminal colours or codes: turn them off at the source (often NO_COLOR=1)",
        "\0": "it looks like binary data: send where the file is instead",
    }.get(char, "leave it out: of the control characters only newline and tab may be in a message")
    return BadInput(
        f"the text has {name}, {_code(char)}, at position {at + 1}", code="control_character", hint=hint
    )


_NAMES: Final = {
    "\0": "a NUL",
    "\a": "a bell",
    "\b": "a backspace",
    "\r": "a carriage return",
    "\x1b": "an escape",
    "\x7f": "a delete",
}

_BLANK: Final = "\u2800"  # BRAILLE PATTERN BLANK: a symbol to Unicode, nothing to the eye


def _code(char: str) -> str:
    return f"U+{ord(char):04X}"


def _plain(char: str) -> bool:
    """Whether a reader sees this character, and no terminal obeys it."""
    code = ord(char)
    if _hidden(code):
        return False
    if char.isprintable() or char in "\n\t":
        return True
    match unicodedata.category(char):
        case "Zs" | "Co":
            return True
        case "Cf":
            return _within(code, _SIGNS)
        case "Cn":
            # Kept free for emoji, so that those newer than this Python's tables are not taken for a trick.
            return 0x1F000 <= code <= 0x1FAFF or 0x1FC00 <= code <= 0x1FFFD
        case _:
            return False


def _joins_emoji(text: str, at: int) -> bool:
    """Whether the character is the VS16 or ZWJ in the middle of an emoji such as ❤️ or 👩‍🚀."""
    char, before = text[at], text[at - 1] if at else ""
    after = text[at + 1] if at + 1 < len(text) else ""
    if char == "\ufe0f":
        return _pictured(before) or (before in _KEYCAPS and before != "" and after == "\u20e3")
    if char != "\u200d" or not _pictured(after):
        return False
    if before == "\ufe0f":
        return at >= 2 and _pictured(text[at - 2])
    return _pictured(before)


def _pictured(char: str) -> bool:
    return char != "" and _within(ord(char), _PICTURES)


def _hidden(code: int) -> bool:
    return code >= 0xAD and _within(code, _IGNORABLE)


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    at = bisect_right(ranges, (code, 0x110000))
    return at > 0 and code <= ranges[at - 1][1]


_KEYCAPS: Final = "0123456789#*"

# Unicode, DerivedCoreProperties.txt: Default_Ignorable_Code_Point, unassigned ones included.
_IGNORABLE: Final = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)

# PropList.txt: Prepended_Concatenation_Mark. Format characters by category, yet drawn.
_SIGNS: Final = (
    (0x0600, 0x0605),
    (0x06DD, 0x06DD),
    (0x070F, 0x070F),
    (0x0890, 0x0891),
    (0x08E2, 0x08E2),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
)

# emoji-data.txt: Extended_Pictographic, neighbouring ranges drawn together, and the skin tones.
_PICTURES: Final = (
    (0x00A9, 0x00A9),
    (0x00AE, 0x00AE),
    (0x203C, 0x203C),
    (0x2049, 0x2049),
    (0x2122, 0x2122),
    (0x2139, 0x2139),
    (0x2194, 0x2199),
    (0x21A9, 0x21AA),
    (0x231A, 0x231B),
    (0x2328, 0x2328),
    (0x23CF, 0x23CF),
    (0x23E9, 0x23FA),
    (0x24C2, 0x24C2),
    (0x25AA, 0x25AB),
    (0x25B6, 0x25B6),
    (0x25C0, 0x25C0),
    (0x25FB, 0x25FE),
    (0x2600, 0x27BF),
    (0x2934, 0x2935),
    (0x2B05, 0x2B07),
    (0x2B1B, 0x2B1C),
    (0x2B50, 0x2B50),
    (0x2B55, 0x2B55),
    (0x3030, 0x3030),
    (0x303D, 0x303D),
    (0x3297, 0x3297),
    (0x3299, 0x3299),
    (0x1F000, 0x1F1E5),
    (0x1F201, 0x1FAFF),
    (0x1FC00, 0x1FFFD),
)
