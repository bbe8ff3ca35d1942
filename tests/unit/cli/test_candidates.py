"""peers: the inventory, and who on this WireGuard could be a peer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from maw.cli import candidates
from maw.ops.checks.context import Reached
from maw.ops.machine import Machine, Ran
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import FakeDaemon
from tests.unit.cli.test_groups import PEER, STATE

WG = {
    "allowed-ips": "AAA=\t10.0.0.7/32\nBBB=\t10.0.0.9/32\nCCC=\t10.0.0.8/32\n",
    "latest-handshakes": "AAA=\t1700000000\nBBB=\t1700000000\nCCC=\t0\n",
}
STATUS = {**STATE, "mesh": [{"address": "10.0.0.1:6290", "listening": True}]}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """This host: WireGuard on wg0 with three peers, of which 10.0.0.7 is a node known here; change it at will."""
    here: dict[str, Any] = {"euid": 0, "failing": False}

    def run(command: Sequence[str]) -> Ran:
        return Ran(1, "", "Unable to access interface") if here["failing"] else Ran(0, WG[command[-1]])

    (tmp_path / "run/wireguard").mkdir(parents=True)
    (tmp_path / "run/wireguard/wg0.sock").touch()
    monkeypatch.setattr(
        Machine,
        "here",
        classmethod(lambda cls: Machine(here["euid"], {}, run, tmp_path, lambda tool: f"/usr/bin/{tool}")),
    )
    reached = {"10.0.0.8": Reached.TIMEOUT, "10.0.0.9": Reached.OPEN}
    monkeypatch.setattr(candidates, "connect", lambda address, seconds: reached[address.host])
    return here


def test_candidates_for_people_and_for_programs(
    cli: Cli, daemon: FakeDaemon, machine: dict[str, Any]
) -> None:
    daemon.answers |= {"GET /api/status": (200, STATUS), "GET /api/peers": (200, [PEER])}
    lines = cli("peers", "candidates").out.splitlines()
    assert [line.split()[0] for line in lines] == ["10.0.0.9", "10.0.0.8"]
    assert "listens" in lines[0]
    assert "never" in lines[1]
    assert "no answer" in lines[1]
    first, second = json.loads(cli("peers", "candidates", "--json").out)
    assert first == {
        "addresses": ["10.0.0.9"],
        "networks": [],
        "wireguard_key": "BBB=",
        "handshake_at": 1700000000,
        "listens": True,
    }
    assert (second["listens"], second["handshake_at"]) == (False, None)
    others = [{**PEER, "addresses": [address]} for address in ("10.0.0.8:6290", "10.0.0.9:1")]
    daemon.answers["GET /api/peers"] = (200, [PEER, *others])
    assert cli("peers", "candidates").code == 1


def test_a_person_sees_them_below_the_peers(cli: Cli, daemon: FakeDaemon, machine: dict[str, Any]) -> None:
    daemon.answers |= {"GET /api/status": (200, STATUS), "GET /api/peers": (200, [PEER])}
    shown = cli("peers", width=100)
    assert "10.0.0.9" in shown.out
    assert "maw invite" in shown.err
    assert "10.0.0.9" not in cli("peers").out
    machine["failing"] = True
    shown = cli("peers", width=100)
    assert (shown.code, shown.out.count("mbp")) == (0, 1)
    assert "who else is on wg0 cannot be told: wg show wg0 allowed-ips: Unable" in shown.err
    assert cli("peers", "candidates").code == 6


def test_whoever_is_not_root_is_told_how(
    cli: Cli, daemon: FakeDaemon, machine: dict[str, Any], home: Path
) -> None:
    daemon.answers |= {"GET /api/status": (200, STATUS), "GET /api/peers": (200, [])}
    machine["euid"] = 1000
    shown = cli("peers", width=100)
    assert shown.code == 1
    assert f"`sudo MAW_HOME={home} maw peers` also shows who else is on wg0" in shown.err
    assert "no peers yet: `maw invite` here" in shown.err
    refused = cli("peers", "candidates")
    assert refused.code == 6
    assert "only root may list" in refused.err


@pytest.mark.parametrize("interface", [None, {"name": "tailscale0", "state": "up", "since": None}])
def test_a_node_that_is_not_on_wireguard(
    interface: Any, cli: Cli, daemon: FakeDaemon, machine: dict[str, Any]
) -> None:
    daemon.answers |= {
        "GET /api/status": (200, {**STATUS, "interface": interface}),
        "GET /api/peers": (200, [PEER]),
    }
    assert cli("peers", width=100).err == ""
    assert cli("peers", "candidates").code == 3


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_inventory_fits_the_terminal(width: int, cli: Cli, daemon: FakeDaemon) -> None:
    since = "2020-01-01T00:00:00Z"
    peer = {**PEER, "behind": 17, "behind_since": since, "agents": 12, "version": "0.1.0", "lacks": 0}
    daemon.answers |= {
        "GET /api/status": (200, {**STATUS, "interface": None}),
        "GET /api/peers": (200, [peer]),
    }
    out = cli("peers", width=width).out
    assert all(len(line) <= width for line in out.splitlines()), out
    assert "17, " in out
    assert "admitted by pi" in out
