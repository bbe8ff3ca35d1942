"""Which daemon is spoken to, and who speaks."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from maw.client.daemon import find_daemon
from maw.errors import NotRunning, Refused
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import FakeDaemon, error, running

ME = {"agent": "nat@mbp", "name": "nat", "role": "ape", "host": "mbp", "node_key": "mk1", "colony": "mc1"}


def a_node(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "maw.toml").touch()
    return path


def test_maw_socket_is_the_only_place(home: Path) -> None:
    found = find_daemon({"MAW_SOCKET": "/x/y.sock", "MAW_HOME": str(home)}, 1000)
    assert found.socket == Path("/x/y.sock")


def test_maw_home_is_the_only_place(home: Path, daemon: FakeDaemon) -> None:
    found = find_daemon({"MAW_HOME": str(home), "HOME": "/nowhere"}, 1000, "neo", Path("/nowhere"))
    assert (found.socket, found.speaker) == (daemon.path, "neo")
    elsewhere = home / "other"
    with pytest.raises(NotRunning) as caught:
        find_daemon({"MAW_HOME": str(elsewhere), "HOME": str(home)}, 1000, system=home)
    assert f"{elsewhere}/maw.sock ($MAW_HOME: no socket)" in caught.value.message
    assert "maw init" in caught.value.hint


def test_the_systems_where_one_has_none(home: Path, daemon: FakeDaemon) -> None:
    assert find_daemon({"HOME": str(home / "me")}, 1000, system=home).socket == daemon.path


def test_ones_own_first(home: Path, daemon: FakeDaemon) -> None:
    own = a_node(home / "me/.local/share/maw")
    with running(own / "maw.sock") as mine:
        assert find_daemon({"HOME": str(home / "me")}, 1000, system=home).socket == mine.path


def test_a_node_of_ones_own_that_is_down_is_not_passed_over(home: Path, daemon: FakeDaemon) -> None:
    own = a_node(home / "me/.local/share/maw")
    with pytest.raises(NotRunning) as caught:
        find_daemon({"HOME": str(home / "me")}, 1000, system=home)
    assert str(own) in caught.value.message
    assert str(home / "maw.sock") not in caught.value.message
    assert "maw up" in caught.value.hint


def test_nowhere_lists_all_that_was_tried(home: Path) -> None:
    (home / "maw.toml").unlink()
    with pytest.raises(NotRunning) as caught:
        find_daemon({"HOME": str(home / "me")}, 1000, system=home)
    assert caught.value.message.index(".local/share/maw/maw.sock (your own") < caught.value.message.index(
        f"{home}/maw.sock (the system's: no socket)"
    )
    assert "maw init" in caught.value.hint


def test_the_systems_that_is_down_says_how_systemd_starts_it(home: Path) -> None:
    with pytest.raises(NotRunning) as caught:
        find_daemon({"HOME": str(home / "me")}, 1000, system=home)
    assert "systemctl start maw" in caught.value.hint


def test_a_socket_nobody_listens_on(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home / "maw.sock"))
    with pytest.raises(NotRunning, match="nobody listening"):
        find_daemon({"MAW_HOME": str(home)}, 1000)


def test_a_socket_path_too_long_to_be_one(home: Path) -> None:
    with pytest.raises(NotRunning, match="too long"):
        find_daemon({"MAW_HOME": str(home / ("d" * 120))}, 1000)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user: sudo make test")
def test_a_socket_one_may_not_open_is_6_and_says_whose_it_is(home: Path, daemon: FakeDaemon) -> None:
    home.chmod(0o700)
    before = os.geteuid()
    os.seteuid(65534)
    try:
        with pytest.raises(Refused) as caught:
            find_daemon({"HOME": "/nonexistent"}, 65534, system=home)
    finally:
        os.seteuid(before)
    assert "[socket] group" in caught.value.hint


# who speaks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [["inbox"], ["send", "@a", "x"], ["ack", "--all"], ["wait"], ["sent"], ["mentions"]]
)
def test_a_program_that_does_not_say_who_it_is_is_2(command: list[str], cli: Cli, daemon: FakeDaemon) -> None:
    result = cli(*command)
    assert result.code == 2
    assert "--as NAME" in result.err
    assert "MAW_AGENT" in result.err
    assert daemon.asked == []


def test_in_a_terminal_the_daemon_tells_by_the_uid(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/inbox"] = (200, [])
    assert cli("inbox", tty=True).code == 1
    assert daemon.last.headers["x-maw-agent"] == "~"


def test_as_goes_before_the_environment(
    cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAW_AGENT", "neo")
    daemon.answers["GET /api/inbox"] = (200, [])
    cli("inbox")
    cli("inbox", "--as", "@Arthur")
    assert [asked.headers["x-maw-agent"] for asked in daemon.asked] == ["neo", "arthur"]


def test_a_bad_name_in_the_environment_is_told_apart(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAW_AGENT", "a b")
    result = cli("inbox")
    assert result.code == 2
    assert "$MAW_AGENT: an agent name has ' ' at position 2" in result.err


def test_reading_needs_no_speaker(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/channels"] = (200, [])
    assert cli("channel").code == 1


@pytest.mark.parametrize(("tty", "says"), [(True, "nat@mbp (ape), known by uid"), (False, "nobody")])
def test_whoami_tells_who_would_speak(tty: bool, says: str, cli: Cli, daemon: FakeDaemon) -> None:
    me, nobody = {**ME, "known_by": "uid"}, {**ME, "known_by": "uid", "agent": None, "role": None}
    daemon.answers["GET /api/whoami"] = lambda asked: (200, me if "x-maw-agent" in asked.headers else nobody)
    result = cli("whoami", tty=tty)
    assert result.code == 0
    assert result.out.startswith(says)
    assert "on mbp · mk1 · colony mc1" in result.out


@pytest.mark.parametrize("tty", [True, False])
def test_a_tmux_pane_is_told_and_says_who_speaks(
    cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, tty: bool
) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,17,0")
    monkeypatch.setenv("TMUX_PANE", "%3")
    daemon.answers["GET /api/whoami"] = (200, {**ME, "agent": "neo@mbp", "known_by": "uid", "pane": "%3"})
    done = cli("whoami", tty=tty)
    assert daemon.last.headers["x-maw-pane"] == "/tmp/tmux-0/default,17,%3"
    assert daemon.last.headers.get("x-maw-agent") == ("~" if tty else None)
    assert "named by this tmux pane, %3" in done.out


def test_a_name_that_is_given_comes_before_the_pane(
    cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,17,0")
    monkeypatch.setenv("TMUX_PANE", "%3")
    daemon.answers["GET /api/whoami"] = (200, {**ME, "agent": "neo@mbp", "known_by": "uid", "pane": None})
    assert "named by --as" in cli("whoami", "--as", "neo").out
    assert "x-maw-pane" not in daemon.last.headers
    monkeypatch.setenv("MAW_AGENT", "neo")
    assert "named by $MAW_AGENT" in cli("whoami").out
    assert "x-maw-pane" not in daemon.last.headers


def test_a_program_in_a_pane_of_nobodys_is_told_by_the_daemon(
    cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,17,0")
    monkeypatch.setenv("TMUX_PANE", "%3")
    daemon.answers["POST /api/ack"] = error(400, "no_agent", "say who is speaking", "the header")
    assert cli("ack", "--all").code == 2
