"""Whatever is typed: names, mentions and shown text keep their promises."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from maw.core.names import MAX_MENTIONS, check_name, folded_name, mentions, nearest, parse_address
from maw.core.text import cells, check_message, one_line, shown
from maw.errors import BadInput

NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
MENTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}(@[a-z0-9][a-z0-9_-]{0,31})?", re.ASCII)
ANY_TEXT = st.text(st.characters(codec=None, categories=None))
MARKUP = st.text(st.sampled_from("@`~ab-._/:\n wé\u200d\ufe0f❤👩漢\x1b"))


@given(ANY_TEXT | MARKUP)
def test_a_name_is_either_refused_or_of_the_one_form(text: str) -> None:
    try:
        name = check_name(text, "channel")
    except BadInput:
        return
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", name, re.ASCII)
    assert check_name(name, "channel") == name
    assert name == text.lower()


@given(ANY_TEXT)
def test_a_folded_name_is_allowed_or_nothing(text: str) -> None:
    name = folded_name(text)
    assert name == "" or check_name(name, "node") == name


@given(NAMES, st.none() | NAMES)
def test_an_address_survives_writing_and_reading(name: str, host: str | None) -> None:
    text = name if host is None else f"{name}@{host}"
    try:
        assert str(parse_address(f"@{text}")) == text
    except BadInput as error:
        assert error.code == "reserved_name"


@given(MARKUP | ANY_TEXT)
def test_mentions_are_words_of_the_text(text: str) -> None:
    found = mentions(text)
    assert len(found) == len(set(found)) <= MAX_MENTIONS
    for one in found:
        assert MENTION.fullmatch(one)
        assert f"@{one}" in text.lower()


@given(NAMES, MARKUP.filter(lambda text: "`" not in text and "~" not in text))
def test_a_name_standing_alone_is_always_mentioned(name: str, rest: str) -> None:
    assert name in mentions(f"@{name} \n{rest}")


@given(ANY_TEXT | MARKUP)
def test_shown_text_holds_nothing_that_hides_or_commands(text: str) -> None:
    seen = shown(text)
    for at, char in enumerate(seen):
        if char in "\ufe0f\u200d":
            assert at > 0  # only ever after the emoji that it belongs to
            continue
        assert char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
    assert shown(seen) == seen


@given(ANY_TEXT, st.integers(1, 40))
def test_one_line_is_one_line_and_fits(text: str, width: int) -> None:
    line = one_line(text, width)
    assert "\n" not in line
    assert cells(line) <= width


@given(ANY_TEXT)
def test_a_message_is_refused_or_can_be_sent(text: str) -> None:
    try:
        check_message(text)
    except BadInput:
        return
    assert 0 < len(text.encode("utf-8")) <= 64 * 1024
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


@given(NAMES, st.lists(NAMES, max_size=20))
def test_suggestions_are_known_words_and_a_known_word_is_the_first(word: str, known: list[str]) -> None:
    found = nearest(word, [*known, word])
    assert set(found) <= {*known, word}
    if len(word) < 3:
        assert word in found
    assert word in nearest(word, [word])
