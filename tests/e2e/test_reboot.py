"""A host with systemd and WireGuard whose wg0 goes and comes, and which loses power: what was accepted is there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from tests.e2e.booted import BootedHost
from tests.e2e.lab import Lab, TestHost, wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
HOME = "/var/lib/maw"
MAW = "/opt/maw/bin/maw"
COMMAND = """\
#!/opt/maw/venv/bin/python
import os, sys
sys.path[:0] = ["/opt/maw/src", "/opt/maw/lib"]
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
from maw.cli.main import main
sys.exit(main())
"""


class Served:
    """A host that boots, with maw as its system service."""

    def __init__(self, booted: BootedHost) -> None:
        self.booted = booted

    def maw(self, *words: str, check: bool = True) -> str:
        return self.booted.run([MAW, *words], check, environment={"MAW_HOME": HOME}).stdout

    def texts(self, agent: str) -> list[str]:
        return [one["text"] for one in json.loads(self.maw("inbox", "--as", agent, "--json", check=False))]


class Plain:
    """The other host: `maw up`, by hand."""

    def __init__(self, host: TestHost, home: Path) -> None:
        self.host = host
        self.home = home

    def maw(self, *words: str, check: bool = True) -> str:
        command = [sys.executable, "-m", "maw.cli.main", *words]
        return self.host.run(
            command, check, environment={"MAW_HOME": str(self.home), "MAW_SOCKET": ""}
        ).stdout

    def up(self) -> subprocess.Popen[str]:
        environment = {"MAW_HOME": str(self.home)}
        command = [sys.executable, "-m", "maw.cli.main", "up"]
        daemon = self.host.popen(command, environment=environment, log=self.home.with_suffix(".log"))
        wait_until(lambda: self.maw("status", "--json", check=False).startswith('{"n'), "it is up", 30)
        return daemon

    def texts(self, agent: str) -> list[str]:
        return [one["text"] for one in json.loads(self.maw("inbox", "--as", agent, "--json", check=False))]


def served(booted: BootedHost, name: str) -> Served:
    booted.run(
        ["sh", "-c", 'mkdir -p /opt/maw/bin && cat >"$1" && chmod 755 "$1"', "write", MAW], input_text=COMMAND
    )
    for parent in Path(sys.executable).resolve().parents:
        booted.run(["chmod", "a+x", str(parent)])  # an overlay: this tree's Python may lie in somebody's home
    here = Served(booted)
    here.maw("init", "--name", name, "--interface", "wg0")
    here.maw("service", "install", "--no-backup")
    return here


def linked(node: Served | Plain) -> bool:
    return any(
        one["state"] == "linked" for one in json.loads(node.maw("peers", "--json", check=False) or "[]")
    )


def test_wg0_goes_and_comes_and_the_power_is_cut(
    lab: Callable[[int], Lab], boot: Callable[..., BootedHost], tmp_path: Path
) -> None:
    hosts = lab(2)
    hosts.wait_for_mesh()
    first, second = hosts.hosts
    libraries = Path(typer.__file__).parents[1]  # bound too, as they may lie outside of this Python's prefix
    booted = boot(
        first,
        (
            (ROOT, Path("/opt/maw/src")),
            (Path(sys.prefix), Path("/opt/maw/venv")),
            (libraries, Path("/opt/maw/lib")),
        ),
    )
    oracle = served(booted, "oracle")
    mbp = Plain(second, tmp_path / "mbp")
    mbp.maw("init", "--name", "mbp", "--interface", "wg0")
    mbp.up()
    assert "linked" in mbp.maw("join", oracle.maw("invite").strip())
    oracle.maw("agent", "add", "neo")
    mbp.maw("agent", "add", "arthur")
    wait_until(lambda: "neo@oracle" in mbp.maw("agent", "list"), "neo is known on mbp")
    wait_until(lambda: "arthur@mbp" in oracle.maw("agent", "list"), "arthur is known on oracle")

    said = {"neo": ["before"], "arthur": ["before, too"]}
    oracle.maw("send", "--as", "neo", "@arthur", "before")
    mbp.maw("send", "--as", "arthur", "@neo", "before, too")

    def say(what: str) -> None:
        oracle.maw("send", "--as", "neo", "@arthur", f"neo, {what}")
        mbp.maw("send", "--as", "arthur", "@neo", f"arthur, {what}")
        said["neo"].append(f"neo, {what}")
        said["arthur"].append(f"arthur, {what}")

    def all_arrived() -> bool:
        return mbp.texts("arthur") == said["neo"] and oracle.texts("neo") == said["arthur"]

    first.wg_down()
    wait_until(lambda: '"state":"down"' in oracle.maw("status", "--json"), "oracle sees that wg0 is down", 20)
    say("while wg0 is down")
    assert "wg0 down" in oracle.maw("status")
    first.wg_up()
    wait_until(all_arrived, "all that was said, once and in order, when wg0 is up again", 60)

    first.wg_down()
    wait_until(lambda: not linked(mbp), "the link is gone", 60)
    say("before the power goes")  # both only on their own disks
    booted.power_cut()
    first.wg_delete()
    booted.boot()
    wait_until(lambda: '"uptime_s"' in oracle.maw("status", "--json", check=False), "systemd starts it", 30)
    assert "wg0 missing" in oracle.maw("status"), "WireGuard is not there yet: the daemon waits for it"
    assert oracle.texts("neo") == said["arthur"][:-1], "what it held, from its own disk"
    say("after the boot, before WireGuard is there")
    first.wg_create([second])
    wait_until(lambda: linked(oracle) and linked(mbp), "linked again, nobody did anything", 60)
    wait_until(all_arrived, "all that was said, once and in order", 60)
