"""An agent's folder on its way: not while it pulses, not more than goes along, and as the user whose it is."""

from __future__ import annotations

import fcntl
import io
import os
import tempfile
from pathlib import Path

import pytest

from maw.agents.life.home import find_home, write_home
from maw.agents.moving.folder import home_of, locked, note_move, packed, put_in_place, set_aside
from maw.errors import BadInput, Conflict, NotFound, Refused
from maw.node.homes import pack

NOBODY = 65534


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_home(tmp_path / "agents" / "scout", "scout")
    (tmp_path / "agents" / "scout" / ".maw").mkdir(exist_ok=True)
    return tmp_path / "agents" / "scout"


def test_which_folder_goes_along(home: Path, tmp_path: Path) -> None:
    assert home_of("scout", {"HOME": str(tmp_path)}, None) == home
    assert home_of("neo", {"HOME": str(tmp_path)}, None) is None, "it has none here"
    assert home_of("neo", {}, home) == home, "whatever is asked for"
    with pytest.raises(NotFound):
        home_of("neo", {}, tmp_path / "nowhere")


def test_a_pulse_is_waited_for(home: Path) -> None:
    with locked(home, 0), (home / ".maw" / "lock").open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (home / ".maw" / "lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="a pulse or dream runs"), locked(home, 0):
            pass
    with locked(home, 0):
        pass


@pytest.mark.parametrize(("run", "command"), [("pulse.json", "pulse"), ("dream.json", "dream")])
def test_one_that_was_cut_short_is_finished_first(home: Path, run: str, command: str) -> None:
    (home / ".maw" / run).write_text("{}")
    with pytest.raises(Conflict, match="cut short") as told, locked(home, 0):
        pass
    assert f"maw {command}" in told.value.hint


def test_no_link_leads_the_lock_elsewhere(home: Path, tmp_path: Path) -> None:
    (home / ".maw" / "lock").symlink_to(tmp_path / "made")
    with pytest.raises(Exception, match="cannot be locked"), locked(home, 0):
        pass
    assert not (tmp_path / "made").exists()


def test_no_more_than_a_file_may_be(home: Path) -> None:
    with packed(home, 1 << 20) as (file, size):
        assert len(file.read()) == size > 0
    (home / "large").write_bytes(os.urandom(5000))
    with pytest.raises(BadInput, match="the most that goes along") as told, packed(home, 4000):
        pass
    assert "--without-home" in told.value.hint


def test_it_is_put_in_place_once(home: Path, tmp_path: Path) -> None:
    data = io.BytesIO()
    pack(home, data)
    data.seek(0)
    put_in_place(data, tmp_path / "there" / "scout", os.geteuid(), "scout")
    assert (tmp_path / "there" / "scout" / "memory").stat().st_mode & 0o777 == 0o700, "for its owner alone"
    assert (tmp_path / "there" / "scout" / "agent.toml").read_bytes() == (home / "agent.toml").read_bytes()
    data.seek(0)
    with pytest.raises(Conflict, match="not empty"):
        put_in_place(data, tmp_path / "there" / "scout", os.geteuid(), "scout")
    with pytest.raises(BadInput, match="not unpacked"):
        put_in_place(io.BytesIO(b"nonsense"), tmp_path / "other", os.geteuid(), "scout")


def test_what_went_along_is_set_aside_and_nothing_else(home: Path, tmp_path: Path) -> None:
    assert set_aside(home, "0a1b", 0) is None, "it never went"
    note_move(home, "0a1b")
    assert set_aside(home, "1a1b", 0) is None, "it went with another move"
    assert set_aside(home, "0a1b", 0) == home.with_name("scout.moved-19700101T000000Z")
    assert (home.with_name("scout.moved-19700101T000000Z") / "soul.md").is_file()
    assert set_aside(home, "0a1b", 0) is None, "it was"
    with pytest.raises(NotFound) as told:
        find_home("scout", {"HOME": str(tmp_path)})
    assert "has moved to another host" in told.value.hint and "scout.moved-1970" in told.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts for others")
def test_root_acts_as_the_user_whose_it_is(home: Path) -> None:
    data = io.BytesIO()
    pack(home, data)
    with tempfile.TemporaryDirectory(dir="/tmp") as made, tempfile.TemporaryFile() as file:
        Path(made).chmod(0o711)  # pytest's own folders are closed to others
        place = Path(made) / "theirs"
        place.mkdir()
        os.chown(place, NOBODY, NOBODY)
        file.write(data.getvalue())
        file.seek(0)
        put_in_place(file, place / "scout", NOBODY, "scout")
        assert (place / "scout" / "agent.toml").stat().st_uid == NOBODY
        file.seek(0)
        with pytest.raises(Conflict, match="not empty"):
            put_in_place(file, place / "scout", NOBODY, "scout")
        file.seek(0)
        with pytest.raises(Conflict, match="cannot be written"):
            put_in_place(file, Path(made) / "roots", NOBODY, "scout")
        with packed(place / "scout", 1 << 20) as (again, size):
            assert size > 0 and len(again.read()) == size
        note_move(place / "scout", "0a1b")
        assert (place / "scout" / ".maw" / "move").stat().st_uid == NOBODY
        assert set_aside(place / "scout", "0a1b", 0) == place / "scout.moved-19700101T000000Z"


@pytest.mark.skipif(os.geteuid() != 0, reason="the uid is changed")
def test_nobody_but_root_acts_for_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    with pytest.raises(Refused, match="is to belong to uid 0"):
        put_in_place(io.BytesIO(), tmp_path / "x", 0, "scout")
