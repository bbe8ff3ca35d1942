"""`maw keep`: agents are brought back, once each, with their conversations; what cannot be is said."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import need
from tests.e2e.daemons import MAW, MakeDaemon
from tests.e2e.fleet import Fleet, pids_of, wait_for
from tests.e2e.lab import patience

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
]


class Keep:
    """`maw keep` as a process."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.log = fleet.root / "keep.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*MAW, "keep"], env=self.fleet.environment, stdout=log, stderr=log
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def fleet(daemon: MakeDaemon) -> Iterator[Fleet]:
    need(None if shutil.which("tmux") else "needs tmux: apt-get install -y tmux")
    made = Fleet(daemon("mbp"))
    config = made.daemon.home / "maw.toml"
    config.write_text(
        config.read_text()
        .replace("stagger_s = 2", "stagger_s = 0")
        .replace("load_per_core = 2", "load_per_core = 1000")
    )
    made.daemon.stop()
    made.daemon.start()
    yield made
    made.close()


@pytest.fixture
def keep(fleet: Fleet) -> Iterator[Keep]:
    made = Keep(fleet)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop(signal.SIGKILL)


def adopted(fleet: Fleet, *names: str) -> dict[str, str]:
    """Sessions that have said something, in the roster; each one's conversation."""
    found = {}
    for name in names:
        found[name] = str(uuid.uuid4())
        fleet.session(name, "claude", "--session-id", found[name])
    for name in names:
        fleet.shows(name, "? for shortcuts")
        fleet.types(name, f"I am {name}")
        fleet.shows(name, "●")
    done = fleet.adopt("--all")
    assert done.returncode == 0, done.stderr
    return found


def state(fleet: Fleet, name: str) -> str:
    return str((fleet.listed(name)["report"] or {}).get("state"))


def all_run(fleet: Fleet, talks: dict[str, str]) -> Callable[[], bool]:
    return lambda: all(len(pids_of(ident)) == 1 for ident in talks.values())


def alerts(fleet: Fleet) -> dict[str, str]:
    """By kind, what is told: of several of a kind all, a line each."""
    found: dict[str, str] = {}
    for one in fleet.daemon.ask("GET", "/api/status")[1]["alerts"]:
        found[one["kind"]] = "\n".join(filter(None, (found.get(one["kind"]), one["text"])))
    return found


def test_a_dead_server_and_a_dead_agent_come_back_with_folder_session_and_conversation(
    fleet: Fleet, keep: Keep
) -> None:
    talks = adopted(fleet, "neo", "trinity", "morpheus")
    assert "no keeper" in fleet.maw("status")
    keep.start()
    wait_for(lambda: all(state(fleet, name) in ("idle", "busy") for name in talks), "they are watched")
    assert "no keeper" not in fleet.maw("status")
    before = {ident: pids_of(ident) for ident in talks.values()}

    fleet.tmux("kill-server")
    wait_for(lambda: not any(pids_of(ident) for ident in talks.values()), "the server took all along")
    wait_for(all_run(fleet, talks), "all run again", 40)
    assert {ident: pids_of(ident) for ident in talks.values()} != before
    for name, ident in talks.items():
        fleet.shows(name, ident)
        (pid,) = pids_of(ident)
        assert b"--resume" in Path(f"/proc/{pid}/cmdline").read_bytes(), (
            "not begun under its old name: gone on with"
        )
        assert Path(f"/proc/{pid}/cwd").readlink() == fleet.root / "work" / name
    fleet.types("neo", "$ maw whoami > whoami.txt")
    told = fleet.root / "work/neo/whoami.txt"
    wait_for(
        lambda: told.exists() and told.read_text().startswith("neo@mbp"), "the new pane speaks as its agent"
    )

    (pid,) = pids_of(talks["trinity"])
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pids_of(talks["trinity"]) not in ([], [pid]), "trinity is respawned", 30)
    wait_for(lambda: state(fleet, "trinity") in ("idle", "busy"), "and watched")

    fleet.maw("agent", "stop", "morpheus")
    two = {name: ident for name, ident in talks.items() if name != "morpheus"}
    old = [pid for ident in two.values() for pid in pids_of(ident)]
    fleet.tmux("kill-server")
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in old), "the server took all along")
    wait_for(all_run(fleet, two), "the others run again", 40)
    assert pids_of(talks["morpheus"]) == [] and state(fleet, "morpheus") == "down", (
        "what was stopped stays stopped"
    )

    assert keep.stop() == 0
    assert all_run(fleet, two)(), "agents outlive their keeper"
    keep.start()
    wait_for(lambda: "no keeper" not in fleet.maw("status"), "another keeper runs")
    second = subprocess.run([*MAW, "keep"], env=fleet.environment, capture_output=True, text=True, timeout=30)
    assert second.returncode == 6 and "runs already" in second.stderr


def test_one_that_dies_at_once_is_left_down_with_an_alert_until_somebody_starts_it(
    fleet: Fleet, keep: Keep
) -> None:
    fleet.maw("agent", "add", "cypher")
    program = fleet.bin / "cypher"
    program.write_text("#!/bin/sh\necho 'I have had enough'; exit 3\n")
    program.chmod(0o755)
    path = f"env=PATH={fleet.environment['PATH']}"
    fleet.maw("agent", "set", "cypher", "command=cypher --now", f"cwd={fleet.root}", path)
    keep.start()
    fleet.maw("agent", "start", "cypher")
    wait_for(lambda: state(fleet, "cypher") == "dead", "it is seen to be dead")
    wait_for(lambda: state(fleet, "cypher") == "down", "it is given up", 60)
    assert (
        "cypher is down: died 5 times in a row, the last time: exit status 3" in alerts(fleet)["agent_down"]
    )
    assert "I have had enough" in fleet.maw("agent", "peek", "cypher")
    keep.stop()
    keep.start()
    wait_for(lambda: "cypher is down" in keep.log.read_text(), "another keeper leaves it down")
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    fleet.maw("agent", "start", "cypher")
    wait_for(lambda: state(fleet, "cypher") in ("idle", "busy"), "it runs")
    wait_for(lambda: "agent_down" not in alerts(fleet), "and the alert is settled")


def test_a_keeper_that_is_killed_at_any_point_makes_no_second_one(fleet: Fleet, keep: Keep) -> None:
    talks = adopted(fleet, *(f"a{n}" for n in range(4)))
    rng = random.Random(7)
    for _ in range(6):
        fleet.tmux("kill-server")
        wait_for(lambda: not any(pids_of(ident) for ident in talks.values()), "all are dead")
        keep.start()
        deadline = time.monotonic() + 40 * patience()
        while not all_run(fleet, talks)():
            time.sleep(rng.uniform(0.05, 1.0))
            assert keep.process is not None
            keep.stop(signal.SIGKILL)
            assert all(len(pids_of(ident)) <= 1 for ident in talks.values()), "two of one"
            keep.start()
            assert time.monotonic() < deadline, keep.log.read_text()
            wait_for(lambda: keep.process is not None and keep.process.poll() is None, "it is begun")
            time.sleep(rng.uniform(0.3, 1.5))
        assert all(len(pids_of(ident)) == 1 for ident in talks.values())
        keep.stop(signal.SIGKILL)
    sessions = fleet.tmux("list-panes", "-a", "-F", "#{session_name}").split()
    assert sorted(sessions) == sorted(talks), "one pane each"


def test_a_hung_one_is_told_of_or_respawned_as_it_is_set(fleet: Fleet, keep: Keep) -> None:
    talks = adopted(fleet, "neo", "trinity")
    fleet.maw("agent", "set", "neo", "hang-after=10s")
    fleet.maw("agent", "set", "trinity", "hang-after=10s", "hang=respawn")
    keep.start()
    wait_for(lambda: all(state(fleet, name) == "idle" for name in talks), "they rest", 40)
    before = {name: pids_of(ident) for name, ident in talks.items()}
    fleet.maw("agent", "add", "oracle")
    for name in talks:
        (pid,) = pids_of(talks[name])
        os.kill(pid, signal.SIGSTOP)
        fleet.maw("send", "--as", "oracle", f"@{name}", "are you there?")
    wait_for(lambda: state(fleet, "neo") == "hung", "neo hangs", 60)
    assert "neo hangs: no output and no CPU for" in alerts(fleet)["agent_hung"]
    wait_for(lambda: pids_of(talks["trinity"]) not in ([], before["trinity"]), "trinity is begun anew", 60)
    assert pids_of(talks["neo"]) == before["neo"], "neo is only told of"
    os.kill(before["neo"][0], signal.SIGCONT)


def test_a_paused_host_stops_them_and_brings_them_back(fleet: Fleet, keep: Keep) -> None:
    talks = adopted(fleet, "neo")
    keep.start()
    wait_for(lambda: state(fleet, "neo") in ("idle", "busy"), "it is watched")
    fleet.maw("host", "pause", "--why", "the box is needed")
    wait_for(lambda: not pids_of(talks["neo"]), "it is stopped", 90)
    wait_for(lambda: state(fleet, "neo") == "down", "and told of")
    assert "the box is needed" in fleet.listed("neo")["report"]["why"]
    assert "agent_down" not in alerts(fleet), "what its giver decided is no alarm"
    for word in ("start", "respawn"):
        refused = fleet.run("agent", word, "neo")
        assert refused.returncode == 6 and "the box is needed" in refused.stderr, refused
    assert not pids_of(talks["neo"])
    fleet.maw("host", "resume", "--as", "~")
    wait_for(all_run(fleet, talks), "it is back", 90)


def test_agents_are_kept_while_the_daemon_is_away(fleet: Fleet, keep: Keep) -> None:
    talks = adopted(fleet, "neo")
    keep.start()
    wait_for(lambda: state(fleet, "neo") in ("idle", "busy"), "it is watched")
    (pid,) = pids_of(talks["neo"])
    fleet.daemon.stop()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pids_of(talks["neo"]) not in ([], [pid]), "it is respawned", 40)
    fleet.daemon.start()
    wait_for(lambda: "the daemon is back" in keep.log.read_text(), "the keeper found it again")
    wait_for(lambda: fleet.listed("neo")["report"]["pid"] == pids_of(talks["neo"])[0], "and told of it")
