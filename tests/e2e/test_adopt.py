"""Sessions that run agents are taken as they run, and nothing that was not given is touched."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import need
from tests.e2e.daemons import MakeDaemon
from tests.e2e.fleet import Fleet, pids_of, wait_for

pytestmark = [
    pytest.mark.timeout(240),
]


@pytest.fixture
def fleet(daemon: MakeDaemon) -> Iterator[Fleet]:
    need(None if shutil.which("tmux") else "needs tmux: apt-get install -y tmux")
    made = Fleet(daemon("mbp"))
    yield made
    made.close()


def test_what_runs_is_listed_with_a_name_each_and_taken_without_a_restart(fleet: Fleet) -> None:
    ident = str(uuid.uuid4())
    folder = fleet.session("Neo", "claude", "--session-id", ident, "--model", "opus")
    fleet.session("shell")
    fleet.types("shell", "claude")
    fleet.shows("shell", "? for shortcuts")
    fleet.session("human")
    other = str(fleet.root / "other.sock")
    fleet.session("101 mawjs", "claude", socket=other)
    fleet.session("vim", "sleep", "1000", socket=other)
    wait_for(lambda: "shortcuts" in fleet.screen("101 mawjs", other), "it is up at the other server")
    before = {socket: fleet.snapshot(socket) for socket in (fleet.socket, other)}

    found = {one["session"]: one for one in fleet.candidates()}
    assert set(found) == {"Neo", "shell", "101 mawjs"}
    assert found["101 mawjs"]["name"] == "101-mawjs"
    neo = found["Neo"]
    assert (neo["name"], neo["kind"], neo["cwd"], neo["conversation"]) == (
        "neo",
        "claude",
        str(folder),
        ident,
    )
    assert neo["command"] == ["claude", "--model", "opus"], "without what chose the conversation"
    assert {socket: fleet.snapshot(socket) for socket in before} == before, "looking changes nothing"

    pid = neo["pid"]
    said = fleet.adopt("neo").stdout
    assert f"neo · claude in session Neo, {neo['pane']} · conversation {ident}" in said
    after = fleet.snapshot()
    assert after == before[fleet.socket].replace(
        f"{next(line for line in before[fleet.socket].splitlines() if line.startswith('Neo '))}\n",
        f"{next(line for line in after.splitlines() if line.startswith('Neo '))}\n",
    ), "only its own pane has a mark"
    assert fleet.snapshot(other) == before[other]
    listed = fleet.listed("neo")
    assert listed["report"]["pid"] == pid, "it was not restarted"
    assert listed["conversation"]["session"] == ident and listed["conversation"]["pid"] == pid
    assert listed["report"]["state"] == "alive" and listed["report"]["memory_bytes"] > 1 << 20

    fleet.types("Neo", "$ maw whoami > whoami.txt")
    wait_for(lambda: (folder / "whoami.txt").exists() and (folder / "whoami.txt").read_text(), "it spoke")
    assert (
        (folder / "whoami.txt")
        .read_text()
        .startswith(f"neo@mbp (agent), known by uid, named by this tmux pane, {neo['pane']}")
    )
    fleet.types("human", "maw whoami")
    fleet.shows("human", "(ape), known by uid, named by this terminal")

    assert fleet.adopt("neo").returncode == 6
    said = fleet.adopt("--all").stdout
    assert "101-mawjs · claude in session 101 mawjs" in said and "shell · claude in session shell" in said
    assert fleet.adopt("--all").returncode == 1, "nobody is left"


def test_names_that_clash_are_said_and_another_name_is_taken(fleet: Fleet) -> None:
    fleet.session("ไทย", "claude")
    fleet.session("one", "claude")
    fleet.session("One", "claude")
    wait_for(lambda: len(fleet.candidates()) == 3, "all three are found")
    found = {one["session"]: one for one in fleet.candidates()}
    assert found["ไทย"]["clash"] == "its session's name makes no agent's name"
    assert {found["one"]["name"], found["One"]["name"]} == {"one", "one-2"}
    refused = fleet.adopt("--session", "ไทย")
    assert refused.returncode == 6 and "--as ANOTHER" in refused.stderr
    assert fleet.adopt("--session", "ไทย", "--as", "Siam").returncode == 0
    assert fleet.listed("siam")["plan"]["session"] == "ไทย"
    assert fleet.adopt("nobody").returncode == 3


def test_a_program_that_is_named_is_an_agent_too(fleet: Fleet) -> None:
    program = fleet.bin / "sensor"
    program.write_text("#!/bin/sh\nwhile :; do sleep 1; done\n")
    program.chmod(0o755)
    fleet.session("pm25", "sensor", "--every", "5")
    assert fleet.adopt().returncode == 1
    wait_for(lambda: fleet.adopt("--program", "sensor").returncode == 0, "it is found")
    assert fleet.adopt("pm25", "--program", "sensor").returncode == 0
    plan = fleet.listed("pm25")["plan"]
    assert plan["kind"] == "command" and plan["command"][-2:] == ["--every", "5"]


def test_stop_start_and_respawn_keep_folder_session_and_conversation(fleet: Fleet) -> None:
    ident = str(uuid.uuid4())
    folder = fleet.session("neo", "claude", "--session-id", ident)
    fleet.shows("neo", "? for shortcuts")
    fleet.types("neo", "hello")
    fleet.session("bystander")
    assert fleet.adopt("neo").returncode == 0
    (first,) = pids_of(ident)
    pane = fleet.listed("neo")["pane"]

    assert "neo respawned in session neo" in fleet.maw("agent", "respawn", "neo")
    wait_for(lambda: pids_of(ident) not in ([], [first]), "another process goes on with the conversation")
    assert fleet.listed("neo")["conversation"]["session"] == ident
    assert fleet.listed("neo")["pane"] == pane, "where it was, so that whoever looks at it goes on looking"
    fleet.shows("neo", ident)

    assert fleet.maw("agent", "stop", "neo") == "neo stopped\n"
    assert pids_of(ident) == []
    assert "neo" not in fleet.tmux("list-sessions", "-F", "#{session_name}").split()
    assert fleet.json("agent", "list", "--here")[0]["roster"]["report"]["state"] == "down"
    assert fleet.maw("agent", "stop", "neo") == "neo did not run\n"

    assert "neo started in session neo" in fleet.maw("agent", "start", "neo")
    assert "neo runs already" in fleet.maw("agent", "start", "neo")
    wait_for(lambda: len(pids_of(ident)) == 1, "it runs, once")
    fleet.shows("neo", ident)
    (pid,) = pids_of(ident)
    assert Path(f"/proc/{pid}/cwd").readlink() == folder
    assert "? for shortcuts" in fleet.maw("agent", "peek", "neo")
    assert "bystander" in fleet.tmux("list-sessions", "-F", "#{session_name}").split()


def test_attaching_shows_its_session_and_is_seen(fleet: Fleet) -> None:
    fleet.session("neo", "claude")
    fleet.shows("neo", "? for shortcuts")
    fleet.adopt("neo")
    with fleet.terminal("agent", "attach", "neo") as terminal:
        wait_for(
            lambda: fleet.tmux("list-clients", "-F", "#{client_session}") == "neo\n", "somebody looks at it"
        )
        terminal.press(b"\x02d")  # tmux's own way to let go
        wait_for(lambda: fleet.tmux("list-clients") == "", "nobody does")
    assert fleet.run("agent", "attach", "nobody").returncode == 3


def test_an_agent_that_ran_in_a_shell_is_respawned_there_but_not_over_what_runs_there_now(
    fleet: Fleet,
) -> None:
    folder = fleet.session("neo")
    fleet.types("neo", "claude")
    fleet.shows("neo", "? for shortcuts")
    assert fleet.adopt("neo").returncode == 0
    pane = fleet.listed("neo")["pane"]["pane"]
    fleet.types("neo", "/exit")
    wait_for(lambda: "shortcuts" not in fleet.screen("neo").splitlines()[-1], "the shell is back")
    fleet.types("neo", "sleep 1000")
    wait_for(lambda: fleet.run("agent", "start", "neo").returncode == 6, "what runs there is not ended")
    assert "its pane runs something else now: sleep" in fleet.run("agent", "start", "neo").stderr
    fleet.tmux("send-keys", "-t", "=neo:", "C-c")
    wait_for(lambda: fleet.run("agent", "start", "neo").returncode == 0, "an idle shell makes room")
    assert fleet.listed("neo")["pane"]["pane"] == pane
    assert folder.is_dir()


def test_an_agent_is_made_from_its_command_alone(fleet: Fleet) -> None:
    work = fleet.root / "work"
    work.mkdir()
    fleet.maw("agent", "add", "trinity")
    path = f"PATH={fleet.environment['PATH']}"
    fleet.maw(
        "agent", "set", "trinity", "kind=claude", "command=claude --model opus", f"cwd={work}", f"env={path}"
    )
    assert fleet.listed("trinity")["plan"]["up"] is False
    fleet.maw("agent", "start", "trinity")
    fleet.shows("trinity", "? for shortcuts")
    listed = fleet.listed("trinity")
    assert pids_of(listed["conversation"]["session"]), (
        "it has a conversation of our naming, before it said a word"
    )
    wrong = fleet.run("agent", "set", "trinity", "colour=red")
    assert wrong.returncode == 2 and "of: command, cwd" in wrong.stderr
    fleet.maw("agent", "set", "trinity", f"cwd={work}/gone")
    fleet.maw("agent", "stop", "trinity")
    refused = fleet.run("agent", "start", "trinity")
    assert refused.returncode == 2 and "folder is not there" in refused.stderr


def test_two_starts_at_once_make_one(fleet: Fleet) -> None:
    import subprocess

    from tests.e2e.daemons import MAW

    fleet.maw("agent", "add", "trinity")
    path = f"PATH={fleet.environment['PATH']}"
    fleet.maw("agent", "set", "trinity", "kind=claude", "command=claude", f"cwd={fleet.root}", f"env={path}")
    words = [*MAW, "agent", "start", "trinity"]
    running = [
        subprocess.Popen(words, env=fleet.environment, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = sorted(one.communicate(timeout=60)[0].split(" in ")[0].strip() for one in running)
    assert said == ["trinity runs already"] * 3 + ["trinity started"]
    assert len(pids_of(fleet.listed("trinity")["conversation"]["session"])) == 1


def test_several_in_one_session_are_each_taken_and_get_sessions_of_their_own_later(fleet: Fleet) -> None:
    fleet.session("team", "claude")
    fleet.tmux("new-window", "-t", "=team:", "-c", str(fleet.root), "claude")
    wait_for(lambda: len([one for one in fleet.candidates() if one["conversation"]]) == 2, "both are found")
    assert {one["name"] for one in fleet.candidates()} == {"team", "team-2"}
    said = fleet.adopt("--all")
    assert said.returncode == 0, said.stderr
    assert "team-2 · claude in session team" in said.stdout
    assert "begun anew: in a session of its own, team-2" in said.stdout
    before = {name: fleet.listed(name)["conversation"]["session"] for name in ("team", "team-2")}
    assert len(set(before.values())) == 2
    fleet.tmux("kill-server")
    for name in before:
        wait_for(lambda name=name: fleet.run("agent", "start", name).returncode == 0, f"{name} is started")
        fleet.shows(name, "? for shortcuts")
    assert {name: fleet.listed(name)["conversation"]["session"] for name in before} == before
