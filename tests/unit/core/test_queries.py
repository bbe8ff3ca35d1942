"""What a search means; and that nothing anybody types is a syntax error of the index, or finds what it should not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maw.core.folding import MAX_WORD, fold, indexed, offsets
from maw.core.highlights import SNIPPET, Finder, snippet
from maw.core.queries import DAY_MS, Query, Term, day_marks, days_between, expression, marked, parse
from maw.errors import BadInput

NOW = 1_800_000_000_000
SCRIPTS = st.text(
    st.sampled_from("abcdeABÉéß _-.@:*\"'()^{}~+\t\n検索機能入門かがｶﾞราคาที่ยาดี한국어İﬁ①👩‍🚀\u200b\u0301")
)
ODD = SCRIPTS | st.text(max_size=40)
PIECES = st.sampled_from(
    [
        "from:",
        "in:",
        "since:",
        "-",
        '"',
        "*",
        "AND",
        "OR",
        "NOT",
        "NEAR(",
        "text:",
        "^",
        "about : x",
        "@neo",
        "{",
    ]
)


def words(query: Query) -> list[str]:
    return [term.phrase() for term in query.terms]


@pytest.mark.parametrize(
    ("typed", "phrases"),
    [
        ("disk full", ['"disk"', '"full"']),
        ('"disk full"', ['"disk full"']),
        ("“disk full”", ['"disk full"']),
        ("deplo*", ['"deplo" *']),
        ("get_user_name*", ['"get user name" *']),
        ("TypeError:expected", ['"typeerror expected"']),
        ("E11000 0x7F", ['"e11000"', '"0x7f"']),
        ("Zürich STRASSE straße", ['"zurich"', '"strasse"']),
        ("AND OR not", ['"and"', '"or"', '"not"']),
        ('"unbalanced one', ['"unbalanced one"']),
        ("from: in: x", ['"from"', '"in"', '"x"']),
        ("*** yes !!!", ['"yes"']),
        ("検索機", ['"検索 索機"']),
        ("字", ['"字" *']),
        ('"検索 foo"', ['"検索 索 foo"']),
        ("foo検索", ['"foo 検索"']),
        ("neo@example.com", ['"neo example com"']),
    ],
)
def test_words(typed: str, phrases: list[str]) -> None:
    assert words(parse(typed, NOW)) == phrases


def test_filters() -> None:
    asked = parse(
        'x from:neo from:@arthur@mbp -from:eve in:#dev -in:noise @trinity -mentions:eve -"a b" -has:mention',
        NOW,
    )
    assert (asked.authors, asked.not_authors) == (("neo", "@arthur@mbp"), ("eve",))
    assert (asked.channels, asked.not_channels) == (("dev",), ("noise",))
    assert (asked.mentions, asked.not_mentions, asked.has_mention) == (("@trinity",), ("eve",), False)
    assert asked.without == (Term(("a", "b")),)
    beside = parse(
        "", NOW, channel="#dev", author="neo", mentions="@all", since="2026-11-01", until="2026-11-02"
    )
    assert beside == parse("in:dev from:neo mentions:@all since:2026-11-01 until:2026-11-02", NOW)


@pytest.mark.parametrize(
    ("typed", "since", "until"),
    [
        ("since:2027-01-15", NOW - NOW % DAY_MS, None),
        ("until:2027-01-15", None, NOW - NOW % DAY_MS + DAY_MS),
        ("since:7d", NOW - 7 * DAY_MS, None),
        ("until:12h", None, NOW - DAY_MS // 2 + 1),
        ("since:2027-01-15T08:00:00Z", NOW, None),
        ("since:2027-01-15T09:00:00+01:00", NOW, None),
        ("since:1901-01-01", 0, None),
        ("since:7d since:1d", NOW - DAY_MS, None),
    ],
)
def test_times(typed: str, since: int | None, until: int | None) -> None:
    asked = parse(typed, NOW)
    assert (asked.since_ms, asked.until_ms) == (since, until)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "no word"),
        ("-noise", "no word"),
        ("-in:noise", "no word"),
        ("*** !!", "no word"),
        ("since:yesterday", "since:yesterday is no time"),
        ("until:2026-13-01", "is no time"),
        ("-since:7d x", "means nothing"),
        ("has:link", "has:link is not known"),
        ("x" * 1001, "1001 characters"),
        (" ".join("abcdefghijklmnopqrstuvwxyzäöü0123456789"), "too many parts"),
    ],
)
def test_what_means_nothing_is_refused_in_one_sentence(typed: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse(typed, NOW)


def test_each_day_of_a_span_is_in_its_marks_and_no_other() -> None:
    for first, last in ((0, 0), (31, 32), (5, 700), (64, 95), (20_000, 21_500)):
        marks = set(days_between(first * DAY_MS, last * DAY_MS + 5))
        assert len(marks) < 62 + (last - first) // 32
        for day in (first, last, (first + last) // 2, first - 1, last + 1, last + 40):
            if day >= 0:
                assert bool(marks.intersection(day_marks(day * DAY_MS + 7))) is (first <= day <= last), day


# -- held against the index itself ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        conn.execute("CREATE VIRTUAL TABLE t USING fts5(text, about, tokenize='ascii')")
        yield conn


def found(index: sqlite3.Connection, text: str, query: Query) -> bool:
    index.execute("DELETE FROM t")
    index.execute("INSERT INTO t VALUES (?, 'p')", (indexed(text),))
    asked = expression(query, [], [marked(["x"], "r1")], marked(["p"]))
    return bool(index.execute("SELECT 1 FROM t WHERE t MATCH ?", (asked,)).fetchall())


@given(
    typed=st.lists(PIECES | ODD, max_size=6).map(" ".join) | st.lists(PIECES | ODD, max_size=6).map("".join),
    text=ODD,
)
@settings(max_examples=150)
def test_nothing_typed_is_a_syntax_error(index: sqlite3.Connection, typed: str, text: str) -> None:
    with suppress(BadInput):
        found(index, text, parse(typed, NOW))


@given(text=ODD, start=st.integers(0, 40), end=st.integers(0, 40))
@settings(max_examples=150)
def test_whoever_copies_a_part_of_a_text_finds_it(
    index: sqlite3.Connection, text: str, start: int, end: int
) -> None:
    """Whole words of it, or of an unspaced run any part: index and finder agree, and the spans lie in the text."""
    kept = text[start:end].replace('"', " ")
    with suppress(BadInput):
        query = parse(f'"{kept}"', NOW)
        spans = Finder(query).spans(text)
        assert found(index, text, query) is (spans is not None)
        for first, last in spans or ():
            assert 0 <= first < last <= len(text)
        whole = parse(text.replace('"', " "), NOW) if not text.startswith("-") else None
        if whole is not None and not (whole.without or whole.mentions or whole.authors):
            assert Finder(parse('"' + text.replace('"', " ") + '"', NOW)).spans(text) is not None


@given(text=ODD)
def test_folding_says_where_each_letter_came_from(text: str) -> None:
    folded, where = fold(text), offsets(text)
    assert fold(folded) == folded
    if where is None:
        assert len(folded) == len(text)
    else:
        assert len(where) == len(folded) + 1 and where == sorted(where)


def test_long_words_are_cut_alike_on_both_sides(index: sqlite3.Connection) -> None:
    key = "a1" * 200
    assert max(map(len, indexed(f"key {key} end").split())) == MAX_WORD
    assert found(index, f"key {key} end", parse(f'"{key} end"', NOW))
    assert Finder(parse(f'"{key} end"', NOW)).spans(f"key {key} end") == [(4, 8 + len(key))]


def test_a_snippet_is_where_most_was_found() -> None:
    text = "alpha " + "x " * 400 + "alpha\nbeta " + "y " * 400
    spans = Finder(parse("alpha beta", NOW)).spans(text)
    assert spans is not None
    cut = snippet(text, spans)
    assert len(cut.text) <= SNIPPET + 2 and cut.text[0] == cut.text[-1] == "…" and "\n" not in cut.text
    assert [cut.text[start:end] for start, end in cut.highlights] == ["alpha", "beta"]
    assert snippet("short\ttext", []) == ("short text", [])
