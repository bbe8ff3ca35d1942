"""When the log must go on in a new epoch: every way in which a database can be another than it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from maw.core.entry import Head
from maw.node.instance import Fingerprint, cursors_may_be_ahead, take_fingerprint, why_new_epoch

HERE = Fingerprint("boot", "machine", "1:2")
LAST = (7, Head(5, b"h" * 32))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, None),
        ({"mark": (0, 0)}, None),
        ({"mark": (7, 4)}, None),
        ({"mark": (6, 99)}, None),
        ({"last": None, "mark": (0, 0), "stored": None}, "first"),
        ({"last": None}, "the database is new beside an old key"),
        ({"last": None, "mark": (0, 0), "lost": True}, "the database is new beside an old key"),
        ({"mark": (7, 6)}, "the database is older than what this node has already said"),
        ({"mark": (8, 1)}, "the database is older than what this node has already said"),
        ({"stored": None}, "the database was never run here"),
        ({"stored": "boot|other|1:2"}, "the machine id changed"),
        ({"stored": "boot|machine|1:3"}, "the database file is another one"),
        ({"stored": "before|machine|1:2"}, "the machine was booted again"),
        ({"clock_fell": True}, "the clock fell behind"),
        ({"stored": "before|other|1:3", "mark": (9, 9)},
         "the database is older than what this node has already said"),
    ],
)  # fmt: skip
def test_why(changed: dict[str, object], why: str | None) -> None:
    given = {"last": LAST, "stored": HERE.text(), "now": HERE, "mark": (7, 5), "clock_fell": False, **changed}
    assert why_new_epoch(**given) == why  # type: ignore[arg-type]


def test_the_fingerprint_tells_a_copy_from_its_original(tmp_path: Path) -> None:
    one, copy = tmp_path / "one.db", tmp_path / "copy.db"
    one.write_bytes(b"x")
    copy.write_bytes(one.read_bytes())
    assert take_fingerprint(one) == take_fingerprint(one)
    assert take_fingerprint(one).file != take_fingerprint(copy).file
    assert take_fingerprint(one).boot == take_fingerprint(copy).boot


def test_a_machine_without_ids_still_has_a_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> str:
        raise FileNotFoundError

    (tmp_path / "c.db").write_bytes(b"")
    monkeypatch.setattr(Path, "read_text", absent)
    taken = take_fingerprint(tmp_path / "c.db")
    assert (taken.boot, taken.machine) == ("", "")
    assert taken.text().startswith("||")


def test_cursors_may_be_ahead_of_a_database_that_is_not_the_one_that_ran_here() -> None:
    ahead = {
        why: cursors_may_be_ahead(why)
        for why in (
            "the database is older than what this node has already said",
            "the machine id changed",
            "the database file is another one",
            "the machine was booted again",
            "the clock fell behind",
        )
    }
    assert list(ahead.values()) == [True, True, True, True, False]
