"""init, up, service: what they hand on, and what they say."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from maw.cli import host
from maw.config import Endpoint
from maw.errors import Conflict
from maw.node import founding
from maw.ops import service
from maw.ops.report import ServiceReport, Step
from maw.ops.timer import Nightly
from maw.ops.units import Manager
from tests.unit.cli.conftest import Cli


@dataclass
class Founding:
    """Stands in for maw.node.founding.create."""

    calls: list[dict[str, Any]]
    mesh: str = "wg0 (port 6290)"

    def create(self, home: Path, **plan: Any) -> founding.Founded:
        self.calls.append({"home": home, **plan})
        return founding.Founded(
            home, plan["name"], "mk1abc", "mc1x", self.mesh, "127.0.0.1:6291",
            home / "operator.key", home / "recovery.key", plan["passphrase"] is not None,
        )  # fmt: skip


@pytest.fixture
def founded(home: Path, monkeypatch: pytest.MonkeyPatch) -> Founding:
    (home / "maw.toml").unlink()
    fake = Founding([])
    monkeypatch.setattr(founding, "create", fake.create)
    monkeypatch.setattr(host, "wireguard_interface", lambda: None)
    monkeypatch.setattr(socket, "gethostname", lambda: "MBP.local")
    return fake


def test_init_with_everything_given(cli: Cli, founded: Founding, home: Path) -> None:
    result = cli(
        "init", "--name", "Pi", "--listen", "10.0.0.7:7000", "--rest", "127.0.0.1:7001", "--owner", "Nat"
    )
    assert result.code == 0
    call = founded.calls[0]
    assert call["home"] == home
    assert call["name"] == "pi"
    assert call["interface"] is None
    assert call["listen"] == Endpoint("10.0.0.7", 7000)
    assert call["rest"] == Endpoint("127.0.0.1", 7001)
    assert (call["owner_name"], call["passphrase"]) == ("nat", None)
    for piece in (
        "mk1abc",
        "nat@pi",
        "operator.key",
        "recovery.key",
        "maw up",
        "maw service install",
        "maw invite",
    ):
        assert piece in result.out
    assert result.err == ""


def test_init_takes_the_hosts_name_and_the_wireguard_interface(
    cli: Cli, founded: Founding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "wireguard_interface", lambda: "wg0")
    result = cli("init")
    assert (founded.calls[0]["name"], founded.calls[0]["interface"]) == ("mbp", "wg0")
    assert result.err == ""


def test_without_wireguard_it_says_that_nobody_can_reach_it(cli: Cli, founded: Founding) -> None:
    founded.mesh = "127.0.0.1:6290"
    result = cli("init")
    assert (founded.calls[0]["interface"], founded.calls[0]["listen"]) == (None, None)
    assert "other hosts cannot" in result.err
    assert "is taken" not in result.err


def test_other_ports_than_the_usual_are_remarked_on(cli: Cli, founded: Founding) -> None:
    founded.mesh = "10.0.0.7:6292"
    assert "6290 or the one after it is taken" in cli("init", "--listen", "10.0.0.7").err
    assert founded.calls[0]["listen"] == Endpoint("10.0.0.7", 0)


def test_init_as_json(cli: Cli, founded: Founding, home: Path) -> None:
    told = json.loads(cli("init", "--name", "pi", "--interface", "wg1", "--json").out)
    assert told["home"] == str(home)
    assert told["operator_key_file"] == str(home / "operator.key")
    assert (told["key"], told["sealed"]) == ("mk1abc", False)


def test_a_passphrase_is_read_from_standard_input(cli: Cli, founded: Founding) -> None:
    assert cli("init", "--passphrase", stdin="กา ดำ\n".encode()).code == 0
    assert founded.calls[0]["passphrase"] == "กา ดำ"
    assert cli("init", "--passphrase", stdin=b"\n").code == 2


def test_init_never_overwrites(cli: Cli, founded: Founding, home: Path) -> None:
    (home / "maw.toml").write_text("mine")
    result = cli("init")
    assert result.code == 6
    assert "already" in result.err
    assert founded.calls == []
    assert (home / "maw.toml").read_text() == "mine"


def test_what_founding_refuses_is_told(cli: Cli, founded: Founding, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(home: Path, **plan: Any) -> founding.Founded:
        raise Conflict("127.0.0.1:80 is taken")

    monkeypatch.setattr(founding, "create", refuse)
    result = cli("init", "--json")
    assert result.code == 6
    assert json.loads(result.out)["error"]["message"] == "127.0.0.1:80 is taken"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--interface", "wg0", "--listen", "1.2.3.4"], "exclude each other"),
        (["--listen", "mbp:1"], "--listen: 'mbp' is no IP address"),
        (["--rest", "127.0.0.1:x"], "--rest: 'x' is no port"),
        (["--name", "all"], "reserved"),
        (["--owner", "a b"], "' ' at position 2"),
    ],
)
def test_wrong_options_make_nothing(args: list[str], says: str, cli: Cli, founded: Founding) -> None:
    result = cli("init", *args)
    assert result.code == 2
    assert says in result.err
    assert founded.calls == []


def test_a_host_whose_name_names_nothing(
    cli: Cli, founded: Founding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "ก")
    result = cli("init")
    assert result.code == 2
    assert "--name" in result.err


def test_a_directory_too_deep_for_a_socket(
    cli: Cli, founded: Founding, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAW_HOME", str(home / ("d" * 100)))
    result = cli("init")
    assert result.code == 2
    assert "MAW_HOME=" in result.err
    assert founded.calls == []


def test_the_interface_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    def have(*names: str) -> None:
        monkeypatch.setattr(socket, "if_nameindex", lambda: list(enumerate(names)))

    have("lo", "wg1", "wg0")
    assert host.wireguard_interface() == "wg0"
    have("lo", "wg7", "wg1")
    assert host.wireguard_interface() == "wg1"
    have("lo", "eth0")
    assert host.wireguard_interface() is None


def test_up_runs_the_node_of_this_home(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Path] = []

    def become(path: Path) -> int:
        ran.append(path)
        return 0

    monkeypatch.setattr("maw.cli.serving.become", become)
    assert cli("up").code == 0
    assert ran == [home]


def test_up_without_a_node_is_2(cli: Cli, home: Path) -> None:
    (home / "maw.toml").unlink()
    result = cli("up")
    assert result.code == 2
    assert "maw init" in result.err


# service --------------------------------------------------------------------------------------------


def report(ok: bool = True) -> ServiceReport:
    steps = (Step("wrote the unit", True, "rm it"), Step("started", ok))
    return ServiceReport(
        Manager.USER, Path("/u/maw.service"), Path("/h"), steps, ("enable linger",), "maw service remove"
    )


def test_service_install_says_what_it_did_and_how_to_undo_it(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def install(machine: object, **plan: Any) -> ServiceReport:
        asked.append(plan)
        return report()

    monkeypatch.setattr(service, "install", install)
    monkeypatch.setattr(service, "this_command", lambda: Path("/bin/maw"))
    (home / "maw.toml").write_text('[node]\nname = "x"\n[socket]\ngroup = "staff"\n')
    result = cli("service", "install", "--manager", "systemd-user", "--replace")
    assert result.code == 0
    assert result.out.splitlines() == [
        "done  wrote the unit   (undo: rm it)",
        "done  started",
        "next: enable linger",
        "undo: maw service remove",
    ]
    assert asked == [
        {
            "home": home,
            "command": Path("/bin/maw"),
            "manager": "systemd-user",
            "group": "staff",
            "replace": True,
            "nightly": Nightly(None),
            "keep": [],
        }
    ]


def test_a_step_that_failed_is_6(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "remove", lambda machine, **plan: report(ok=False))
    result = cli("service", "remove")
    assert result.code == 6
    assert "FAILED  started" in result.out
    told = json.loads(cli("service", "remove", "--json").out)
    assert (told["ok"], told["steps"][1]["ok"]) == (False, False)


def test_service_of_a_broken_configuration_is_2(cli: Cli, home: Path) -> None:
    (home / "maw.toml").write_text("[node\n")
    assert cli("service", "install").code == 2
