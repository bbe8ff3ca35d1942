"""The index file: shelves that fill, are asked from the newest on, and are written anew."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maw.core.folding import indexed
from maw.core.queries import expression, marked, parse
from maw.store import search
from maw.store.search import Doc, SearchIndex, Upto


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SearchIndex]:
    monkeypatch.setattr(search, "SHELF_MESSAGES", 10)
    made = SearchIndex(tmp_path / "odd%name?.db")
    assert made.open("one") == Upto()
    yield made
    made.close()


def docs(*seqs: int, text: str = "hello number {}") -> list[Doc]:
    return [Doc(seq, seq * 1000, indexed(text.format(seq)), "p") for seq in seqs]


def ask(index: SearchIndex, typed: str, below: int = 1 << 62, *, ranked: bool = True) -> list[int]:
    asked = expression(parse(typed, 0), [], [marked(["x"])], marked(["p"]))
    with index.limited(time.monotonic() + 30):
        return [
            seq for one in index.standing() for seq, _ in index.match(one.n, asked, below, 100, ranked=ranked)
        ]


def test_shelves_fill_and_are_asked_from_the_newest_on(index: SearchIndex) -> None:
    for first in range(1, 26, 5):
        index.add(docs(*range(first, first + 5)), Upto(first + 4, 77))
    assert [(one.first, one.last, one.messages) for one in index.shelves()] == [
        (21, 25, 5),
        (11, 20, 10),
        (1, 10, 10),
    ]
    assert ask(index, "hello") == list(range(25, 0, -1))
    assert ask(index, "hello", below=12, ranked=False) == list(range(11, 0, -1))
    assert ask(index, "17") == [17]
    index.close()
    assert index.open("one") == Upto(25, 77)
    assert ask(index, "17") == [17]


def test_a_shelf_written_anew_forgets_what_is_gone(index: SearchIndex) -> None:
    index.add(docs(*range(1, 11), text="swordfish {}"), Upto(10, 1))
    index.soil([4])
    (old,) = index.shelves()
    assert old.dirty
    new = index.begin_anew()
    index.put(new, docs(1, 2, 3, text="carp {}"))
    assert ask(index, "carp") == [], "not before it is whole"
    index.replace(old.n, new)
    assert (ask(index, "swordfish"), ask(index, "carp")) == ([], [3, 2, 1])
    assert not any(one.dirty for one in index.shelves())
    assert b"swordfish" not in index.path.read_bytes()
    (left,) = index.shelves()
    index.replace(left.n, index.begin_anew())
    assert index.shelves() == []


def test_what_was_begun_and_not_ended_is_dropped_at_the_next_start(index: SearchIndex) -> None:
    index.add(docs(1, 2), Upto(2, 1))
    index.put(index.begin_anew(), docs(1))
    index.close()
    index.open("one")
    assert len(index.shelves()) == 1 and ask(index, "hello") == [2, 1]


def test_another_database_or_another_format_begins_anew(index: SearchIndex) -> None:
    index.add(docs(1), Upto(1, 1))
    index.close()
    assert index.open("other") == Upto()
    index.add(docs(1), Upto(1, 1))
    index._conn.execute("PRAGMA user_version = 99")
    index.close()
    assert index.open("other") == Upto()
    index.close()
    index.path.write_bytes(b"no database at all" * 100)
    assert index.open("other") == Upto()


def test_a_write_that_fails_leaves_nothing(index: SearchIndex) -> None:
    index.add(docs(1, 2), Upto(2, 1))
    with pytest.raises(sqlite3.Error):
        index.add([*docs(3), Doc(4, 0, None, "p")._replace(seq="no")], Upto(4, 1))  # type: ignore[arg-type]
    assert index.upto() == Upto(2, 1) and ask(index, "hello") == [2, 1]


def test_a_question_ends_when_its_time_is_over(index: SearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_STEPS", 1)
    index.add(docs(*range(1, 11)), Upto(10, 1))
    asked = expression(parse("hello", 0), [], [], marked(["p"]))
    with pytest.raises(sqlite3.OperationalError, match="interrupted"), index.limited(time.monotonic() - 1):
        index.match(index.standing()[0].n, asked, 100, 100, ranked=True)


def test_this_python_can_search() -> None:
    assert search.why_off() is None
