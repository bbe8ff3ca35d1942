"""Mistakes in TOML are told with their line."""

from __future__ import annotations

import pytest

from maw.core.toml import Document
from maw.errors import BadConfig, BadInput


def refused(call: object) -> BadConfig:
    assert callable(call)
    with pytest.raises(BadConfig) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"a = \n", "f.toml, line 1, column 5: not TOML"),
        (b"[a\nx = 1", "f.toml, line 1, column 3: not TOML"),
        (b"x = 1\nx = 2\n", "f.toml, line 2"),
        (b"x = ", "at the end of the file"),
        (b"ok = 1\nbad = '\xff'\n", "f.toml, line 2: not UTF-8"),
    ],
)
def test_broken_files(raw: bytes, says: str) -> None:
    error = refused(lambda: Document("f.toml", raw))
    assert says in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        (b"x = mbp\n", "text stands in quotes"),
        (b"x = 1\nx = 2\n", "a key stands once"),
        (b"x = {a = 1, a = 2}\n", "a key stands once"),
        (b"[a]\nx = 1\n[a]\ny = 1\n", "a section [name] stands once"),
        (b"[a\nx = 1\n", "a section is written [name]"),
    ],
)
def test_the_hint_is_about_what_is_wrong(raw: bytes, hint: str) -> None:
    assert hint in refused(lambda: Document("f.toml", raw)).hint


def test_a_byte_order_mark_does_no_harm() -> None:
    assert Document("f", b"\xef\xbb\xbfx = 1").table == {"x": 1}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"[s]\n\nn = 'x'", "f, line 3: s.n must be a whole number, not text"),
        (b"[s]\nn = true", "line 2: s.n must be a whole number, not true"),
        (b"s.n = 1.5", "line 1: s.n must be a whole number, not the number 1.5"),
        (b"s = { n = [1] }", "line 1: s.n must be a whole number, not a list"),
        (b"[s]\n'n' = 2024-01-01", "line 2: s.n must be a whole number, not a date"),
        (b"[s]\nn = {}", "line 2: s.n must be a whole number, not a section"),
        (b"[s]\nn = 11", "line 2: s.n must be from 1 to 10, not 11"),
        (b"[t]\nn = 1\n[s]\n# n = 1\nn = 0", "line 5: s.n must be from 1 to 10, not 0"),
    ],
)
def test_a_wrong_number_names_its_line(raw: bytes, says: str) -> None:
    section = Document("f", raw).section("s")
    assert says in refused(lambda: section.number("n", 5, 1, 10)).message


def test_what_is_not_written_has_its_default() -> None:
    section = Document("f", b"").section("s")
    assert (
        section.number("n", 5, 1, 10),
        section.flag("b", True),
        section.text("t"),
        section.texts("l"),
    ) == (
        5,
        True,
        None,
        (),
    )
    assert "n" not in section


def test_one_text_or_a_list() -> None:
    section = Document("f", b"[s]\none = 'a'\nmany = ['a', 'b']\nbad = ['a', 1]").section("s")
    assert section.texts("one") == ("a",)
    assert section.texts("many") == ("a", "b")
    assert "line 4" in refused(lambda: section.texts("bad")).message


def test_flags_and_texts_keep_their_types() -> None:
    section = Document("f", b"[s]\nb = 1\nt = true").section("s")
    assert "true or false, not the number 1" in refused(lambda: section.flag("b", True)).message
    assert "text in quotes, not true" in refused(lambda: section.text("t")).message


def test_an_unknown_key_names_the_nearest() -> None:
    document = Document("f", b"[s]\nadress = 1\n")
    error = refused(lambda: document.section("s").only("address", "port"))
    assert error.message == "f, line 2: s.adress is not known"
    assert error.hint == "did you mean address?"
    assert "known here: node, mesh" in refused(lambda: document.only("node", "mesh")).hint


def test_a_section_that_is_none() -> None:
    assert "line 2: s must be a section" in refused(lambda: Document("f", b"#\ns = 1").section("s")).message
    assert "double brackets" in refused(lambda: Document("f", b"[s]").blocks("s")).message


def test_each_block_knows_its_own_lines() -> None:
    blocks = Document("f", b"[[p]]\nn = 1\n\n[[p]]\n\n[[p]]\nm = 1\nn = 'x'").blocks("p")
    assert len(blocks) == 3
    assert "line 2" in refused(lambda: blocks[0].number("n", 1, 5, 9)).message
    assert "line 4" in blocks[1].wrong("n", "is missing").message
    assert "line 8" in refused(lambda: blocks[2].number("n", 1, 1, 9)).message


def test_what_a_parser_says_gets_file_line_and_key() -> None:
    def parse(text: str) -> str:
        raise BadInput(f"{text} is odd", hint="even it")

    section = Document("f", b"[s]\nx = 'v'").section("s")
    error = refused(lambda: section.parsed("x", parse, "v"))
    assert (error.message, error.hint) == ("f, line 2: s.x is wrong: v is odd", "even it")
