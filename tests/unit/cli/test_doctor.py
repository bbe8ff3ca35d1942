"""The doctor gathers truly, and tells each finding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maw.cli import doctor
from maw.config import Endpoint
from maw.core.identity import Signer, key_text
from maw.node.home import key_file_bytes
from maw.ops.checks.context import Address, Finding, Verdict
from maw.ops.machine import Machine
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import FakeDaemon

FINDINGS = [
    Finding("disk", Verdict.OK, "79 GiB free"),
    Finding("firewall", Verdict.FAIL, "it drops\x1b port 6290", "nft insert …"),
    Finding("clock", Verdict.WARN, "off by 3 s"),
]


def test_findings_are_told_and_a_failure_is_6(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda context: FINDINGS)
    result = cli("doctor")
    assert result.code == 6
    assert result.out.splitlines() == [
        "ok    disk: 79 GiB free",
        "fail  firewall: it drops⟨U+001B⟩ port 6290",
        "      nft insert …",
        "warn  clock: off by 3 s",
        "1 ok, 1 warn, 1 fail",
    ]
    told = json.loads(cli("doctor", "--json").out)
    assert told[1] == {
        "name": "firewall",
        "verdict": "fail",
        "text": "it drops\x1b port 6290",
        "hint": "nft insert …",
    }


def test_a_warning_alone_is_0(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda context: [FINDINGS[0], FINDINGS[2]])
    assert cli("doctor").code == 0


def test_it_runs_every_check_where_there_is_no_daemon(cli: Cli) -> None:
    result = cli("doctor")
    assert result.code in (0, 6)
    assert "check itself failed" not in result.out
    assert result.err == ""


def test_what_is_gathered_of_a_running_node(home: Path, daemon: FakeDaemon) -> None:
    signer = Signer(bytes(range(32)))
    (home / "maw.toml").write_text(
        '[node]\nname = "x"\n[mesh]\nlisten = "10.0.0.7:7000"\n[rest]\nlisten = "127.0.0.1:7001"\n'
        "[limits]\nmin_free_disk_mib = 9\n"
    )
    (home / "node.key").write_bytes(key_file_bytes("node", signer.seed))
    (home / "node.key").chmod(0o600)
    daemon.answers["GET /api/status"] = (200, {"name": "x"})
    daemon.answers["GET /api/peers"] = (200, [])
    found = doctor.gather(Machine.here())
    assert (found.home, found.config_problem, found.socket_problem) == (home, None, "")
    assert found.node_key == key_text(signer.node)
    assert found.listen == (Address("10.0.0.7", 7000),)
    assert found.rest == Address("127.0.0.1", 7001)
    assert (found.min_free_mib, found.status, found.peers) == (9, {"name": "x"}, [])
    assert found.interface is None


def test_what_is_gathered_of_one_that_is_broken(home: Path) -> None:
    (home / "maw.toml").write_text("[node\n")
    found = doctor.gather(Machine.here())
    assert found.config_problem is not None
    assert "line 1" in found.config_problem
    assert "not running" in found.socket_problem
    assert (found.status, found.peers, found.node_key, found.listen) == (None, None, None, ())
    assert found.mesh_port == 6290


def test_a_broken_peers_file_is_a_problem_of_the_settings_too(home: Path) -> None:
    (home / "peers.toml").write_text("peer = 1")
    found = doctor.gather(Machine.here())
    assert "peers.toml" in str(found.config_problem)
    assert found.rest == Address(*_parts(Endpoint("127.0.0.1", 6291)))


def test_the_interface_is_looked_at(home: Path) -> None:
    (home / "maw.toml").write_text('[node]\nname = "x"\n[mesh]\ninterface = "maw-none0"\n')
    interface = doctor.gather(Machine.here()).interface
    assert interface is not None
    assert (interface.name, interface.word, interface.addresses) == ("maw-none0", "missing", ())


def _parts(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.host, endpoint.port
