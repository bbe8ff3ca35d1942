"""maw page: the address, and the way to it for who sits elsewhere."""

from __future__ import annotations

import json
import webbrowser

import pytest

from maw.cli.page import Seat, find_seat, tunnel_command
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import FakeDaemon


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50022 198.51.100.4 22")
    monkeypatch.setattr("getpass.getuser", lambda: "neo")


def test_the_address_alone_is_on_standard_output(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/status"] = (200, {"rest": "127.0.0.1:6293"})
    done = cli("page")
    assert (done.code, done.out) == (0, "http://127.0.0.1:6293/\n")
    assert "ssh -N -L 6293:127.0.0.1:6293 neo@198.51.100.4\n" in done.err
    assert "phone" in done.err


def test_as_data(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/status"] = (200, {"rest": "[::1]:6291"})
    assert json.loads(cli("page", "--json").out) == {
        "url": "http://[::1]:6291/",
        "tunnel": "ssh -N -L 6291:[::1]:6291 neo@198.51.100.4",
        "remote": True,
    }


def test_it_opens_nothing_unasked(cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def browser(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", browser)
    daemon.answers["GET /api/status"] = (200, {"rest": "127.0.0.1:6291"})
    cli("page")
    assert opened == []
    assert cli("page", "--open").code == 0
    assert opened == ["http://127.0.0.1:6291/"]


def test_a_node_without_rest(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/status"] = (200, {"rest": None})
    done = cli("page")
    assert (done.code, done.out) == (6, "")
    assert "[rest] listen" in done.err


def test_who_sits_before_a_screen_needs_no_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "oracle")
    assert find_seat({"DISPLAY": ":0"}) == Seat("neo", "oracle", False)
    assert (
        tunnel_command("127.0.0.1:6291", Seat("neo", "oracle", True))
        == "ssh -N -L 6291:127.0.0.1:6291 neo@oracle"
    )
