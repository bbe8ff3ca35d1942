"""Three hosts on one wg0, two of them nodes: the third is offered as a candidate, with what to do about it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.lab import Lab, TestHost, run_command, wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(120)]
MAW = [sys.executable, "-m", "maw.cli.main"]


def maw(host: TestHost, home: Path, *words: str, terminal: int = 0) -> subprocess.CompletedProcess[str]:
    """On ``host``, beside its wireguard-go; ``terminal``: its columns, 0 for a pipe."""
    assert host._wireguard is not None
    inside = ["nsenter", "-t", str(host._wireguard.pid), "-m", "-n", "env", f"MAW_HOME={home}", "MAW_SOCKET="]
    command = [*inside, *MAW, *words]
    if terminal:
        line = f"stty cols {terminal}; exec {' '.join(command)}"
        command = ["script", "-qec", line, "/dev/null"]
    return run_command(command, check=False, timeout=30)


def test_who_is_on_wg0_and_no_node_yet(lab: Callable[[int], Lab], tmp_path: Path) -> None:
    hosts = lab(3)
    hosts.wait_for_mesh()
    homes = [tmp_path / "one", tmp_path / "two"]
    for host, home in zip(hosts.hosts, homes, strict=False):
        maw(host, home, "init", "--name", home.name, "--interface", "wg0")
        host.popen([*MAW, "up"], environment={"MAW_HOME": str(home)}, log=home.with_suffix(".log"))
        wait_until(lambda host=host, home=home: maw(host, home, "status").returncode == 0, "it is up", 20)  # type: ignore[misc]
    one, two, stranger = hosts.hosts

    both = json.loads(maw(one, homes[0], "peers", "candidates", "--json").stdout)
    assert {address for item in both for address in item["addresses"]} == {
        two.wg_address,
        stranger.wg_address,
    }
    listens = {item["addresses"][0]: item["listens"] for item in both}
    assert listens == {two.wg_address: True, stranger.wg_address: False}, "a maw listens on one of them"
    assert {item["wireguard_key"] for item in both} == {two.public_key, stranger.public_key}
    assert all(item["handshake_at"] for item in both)

    line = maw(one, homes[0], "invite").stdout.strip()
    assert maw(two, homes[1], "join", line).returncode == 0
    wait_until(lambda: "linked" in maw(one, homes[0], "peers").stdout, "linked")
    alone = maw(one, homes[0], "peers", "candidates")
    assert (alone.returncode, alone.stdout.split()[0], len(alone.stdout.splitlines())) == (
        0,
        stranger.wg_address,
        1,
    )

    shown = maw(one, homes[0], "peers", terminal=60).stdout
    assert "on wg0, and no node known here:" in shown
    assert stranger.wg_address in shown
    assert "`maw invite` here, and on that host `maw join LINE`" in shown
    assert all(len(line) <= 80 for line in shown.replace("\r", "").splitlines()), shown
    assert stranger.wg_address not in maw(one, homes[0], "peers").stdout, (
        "not in a pipe: scripts get the nodes"
    )

    # what it says to do next, word for word
    told = " ".join(shown.replace("\r", "").split())
    begin, serve, make, take = re.findall(r"`(maw [^`]+)`", told[told.index("where nothing answers") :])
    home = tmp_path / "three"
    assert maw(stranger, home, *begin.split()[1:], "--name", "three").returncode == 0
    stranger.popen(
        [*MAW, *serve.split()[1:]], environment={"MAW_HOME": str(home)}, log=home.with_suffix(".log")
    )
    wait_until(lambda: maw(stranger, home, "status").returncode == 0, "it is up", 20)
    assert json.loads(maw(one, homes[0], "peers", "candidates", "--json").stdout)[0]["listens"] is True
    line = maw(one, homes[0], *make.split()[1:]).stdout.strip()
    assert maw(stranger, home, *take.replace("LINE", line).split()[1:]).stdout.startswith("linked")
    wait_until(lambda: maw(two, homes[1], "peers").stdout.count("linked") == 2, "all three know each other")
    alone = maw(one, homes[0], "peers", "candidates", terminal=80)
    assert (alone.returncode, "every WireGuard peer on wg0 is a node known here" in alone.stdout) == (1, True)

    assert maw(one, homes[0], "peers", "forget", "three").returncode == 0
    one.wg("set", "wg0", "peer", stranger.public_key, "remove")
    assert maw(one, homes[0], "peers", "candidates").returncode == 1
