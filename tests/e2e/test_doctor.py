"""The doctor on a real host: a firewall that drops the mesh port, and a listener on every address."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.lab import Lab, TestHost, wait_until

pytestmark = [pytest.mark.root, pytest.mark.timeout(60)]

ROOT = Path(__file__).parents[2]
LISTEN = """
import socket, sys, time
server = socket.create_server((sys.argv[1], 6290))
print("up", flush=True)
time.sleep(60)
"""
EXAMINE = """
import json, sys
from pathlib import Path
from maw.ops.checks import network
from maw.ops.checks.firewall import firewall
from maw.ops.doctor import *
from maw.ops.machine import Machine

own, other = sys.argv[1:]
context = Context(
    Machine.here(), Path("/nonexistent"), "0", interface=Interface("wg0", "up", "wg0 is up"),
    listen=(Address(own, 6290),), status={"pid": 0},
    peers=[{"name": "mbp", "state": "unreachable", "addresses": [other]}], connect=lambda a: connect(a, 1.0),
)
found = examine(context, [network.listening, network.peers_reached, firewall])
print(json.dumps({one.name: [one.verdict, one.text] for one in found}))
"""


def examine(host: TestHost, other: TestHost) -> dict[str, list[str]]:
    command = [sys.executable, "-c", EXAMINE, host.wg_address, other.wg_address]
    found: dict[str, list[str]] = json.loads(host.run(command, environment={"PYTHONPATH": str(ROOT)}).stdout)
    return found


def listen(host: TestHost, address: str) -> subprocess.Popen[str]:
    process = host.popen([sys.executable, "-c", LISTEN, address])
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_it_finds_the_firewall_and_the_listener_on_every_address(lab: Callable[[int], Lab]) -> None:
    made = lab(2)
    here, there = made.hosts
    made.wait_for_mesh()
    server = listen(there, there.wg_address)
    assert examine(there, here)["mesh port"] == ["ok", f"listening on {there.wg_address}:6290 only"]
    assert examine(there, here)["firewall"][0] == "ok"
    assert "reached" in examine(here, there)["peers"][1]

    # WireGuard itself still comes in on eth0; nothing does on wg0
    chain = "type filter hook input priority 0; policy drop; iif lo accept; iifname eth0 accept;"
    rules = f"table inet filter {{ chain input {{ {chain}\n}}\n}}\n"
    there.run(["nft", "-f", "-"], input_text=rules)
    assert examine(there, here)["firewall"][0] == "fail"
    assert "a firewall drops it" in examine(here, there)["peers"][1]
    there.run(
        [
            "nft",
            "insert",
            "rule",
            "inet",
            "filter",
            "input",
            "iifname",
            "wg0",
            "tcp",
            "dport",
            "6290",
            "accept",
        ]
    )
    assert examine(there, here)["firewall"][0] == "ok"
    assert "reached" in examine(here, there)["peers"][1]

    server.kill()
    wait_until(lambda: server.poll() is not None, "the server has ended")
    assert "refuses" in examine(here, there)["peers"][1]
    listen(there, "0.0.0.0")
    verdict, text = examine(there, here)["mesh port"]
    assert verdict == "fail"
    assert "listens on 0.0.0.0:6290, which is every address" in text
