"""Where a node's directory is looked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maw.errors import BadInput
from maw.home import SOCKET_PATH_BYTES, candidate_homes, check_socket_path, find_home


def node(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "maw.toml").touch()
    return path


def test_maw_home_stands_alone(tmp_path: Path) -> None:
    system = node(tmp_path / "system")
    home = find_home({"MAW_HOME": str(tmp_path / "x"), "HOME": str(tmp_path)}, 1000, system)
    assert (home.path, home.exists, home.tried) == (tmp_path / "x", False, (tmp_path / "x",))


def test_a_relative_maw_home_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_home({"MAW_HOME": "n"}, 1000).path == tmp_path / "n"


def test_ones_own_comes_first(tmp_path: Path) -> None:
    own, system = node(tmp_path / ".local/share/maw"), node(tmp_path / "system")
    home = find_home({"HOME": str(tmp_path)}, 1000, system)
    assert (home.path, home.exists, home.socket) == (own, True, own / "maw.sock")


def test_then_the_systems(tmp_path: Path) -> None:
    system = node(tmp_path / "system")
    home = find_home({"HOME": str(tmp_path)}, 1000, system)
    assert (home.path, home.because) == (system, "the system's")


def test_where_there_is_none_it_will_be_ones_own(tmp_path: Path) -> None:
    home = find_home({"HOME": str(tmp_path)}, 1000, tmp_path / "system")
    assert (home.path, home.exists) == (tmp_path / ".local/share/maw", False)
    assert home.tried == (tmp_path / ".local/share/maw", tmp_path / "system")


def test_without_home_the_login_tells(tmp_path: Path) -> None:
    own = candidate_homes({}, os.geteuid())[0][0]
    assert own.is_absolute()
    assert own.parts[-3:] == (".local", "share", "maw")
    assert candidate_homes({}, 4_000_000_000)[0][0] == Path("/nonexistent/.local/share/maw")


def test_a_socket_path_that_no_system_takes_is_refused() -> None:
    check_socket_path(Path("/" + "a" * (SOCKET_PATH_BYTES - 1)))
    with pytest.raises(BadInput) as caught:
        check_socket_path(Path("/" + "é" * 54))
    assert "109 bytes" in caught.value.message
    assert "MAW_HOME=" in caught.value.hint
