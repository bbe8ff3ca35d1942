"""tmux, spoken to so that nobody's names and no server of another's can lead astray."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from maw.agents.running import environment, wrapped
from maw.agents.scene import Processes, Scene
from maw.agents.tmux import Pane, Server, TmuxFailed, plain_environment, sockets, usual_socket
from maw.errors import Conflict

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="needs tmux: apt-get install -y tmux")


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="maw-tmux-"))
    made = Server(str(folder / "sock"))
    yield made
    made.run("kill-server")
    shutil.rmtree(folder)


def test_no_server_has_no_panes(server: Server) -> None:
    assert server.list_all() == []
    Path(server.path).touch()
    assert server.list_all() == [], "nor has a file in its place"


def test_a_session_is_there_whole_or_not_at_all(server: Server, tmp_path: Path) -> None:
    place = server.begin(
        "neo", "neo", str(tmp_path), ["A=1 2;"], ["sh", "-c", 'echo "$A"; exec sleep 60', "x;"]
    )
    (pane,) = server.list_all()
    assert (pane.place, pane.session, pane.mark, pane.ours, pane.dead) == (place, "neo", "neo", True, False)
    assert any("1 2;" in line for line in _shown(server, place.pane)), (
        "words with ; and blanks arrive as they are"
    )
    with pytest.raises(Conflict) as refused:
        server.begin("neo", "neo", str(tmp_path), [], ["sleep", "60"])
    assert refused.value.code == "session_in_use"
    assert len(server.list_all()) == 1


def _shown(server: Server, pane: str) -> list[str]:
    from tests.e2e.lab import wait_until

    wait_until(lambda: any(line.strip() for line in server.capture(pane)), "it shows something")
    return server.capture(pane)


def test_names_that_tear_a_listing_cost_themselves_alone(server: Server, tmp_path: Path) -> None:
    """A user option of anybody's may hold what parts the fields, or a line break."""
    server.begin("neo", "neo", str(tmp_path), [], ["sleep", "60"])
    for number, value in enumerate(("a|b|c", "x\ny", "␞", "Neo")):
        server.must("new-session", "-d", "-s", f"odd{number}", "sleep 60")
        server.must("set-option", "-p", "-t", f"=odd{number}:", "@maw_agent", value)
        server.must("set-option", "-p", "-t", f"=odd{number}:", "@maw_began", value)
    server.must("new-session", "-d", "-s", "ไทย | pipe", "sleep 60")
    found = {pane.session: pane.mark for pane in server.list_all()}
    assert found["neo"] == "neo" and found["ไทย | pipe"] == ""
    assert set(found) - {"neo", "ไทย | pipe"} <= {f"odd{n}" for n in range(4)}
    assert {found.get(f"odd{n}", "") for n in range(4)} == {""}, "and none of it is taken for an agent's name"


def test_what_a_program_ended_with_is_known(server: Server, tmp_path: Path) -> None:
    from tests.e2e.lab import wait_until

    server.begin("neo", "neo", str(tmp_path), [], ["sh", "-c", "exit 7"])
    wait_until(lambda: server.list_all()[0].dead, "it ended")
    assert server.list_all()[0].ended == "exit status 7"


def test_who_closed_its_terminal_and_lives_on_is_waited_for_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.e2e.lab import wait_until

    server.begin("neo", "neo", str(tmp_path), [], ["sh", "-c", "trap '' HUP; exec sleep 60 <&- >&- 2>&-"])
    wait_until(lambda: server.list_all()[0].dead, "its terminal is closed")
    (pane,) = server.list_all()
    assert (pane.ended, Path(f"/proc/{pane.pid}").exists()) == ("", True)
    looks = 0
    listed = server._list

    def counted() -> list[Pane]:
        nonlocal looks
        looks += 1
        return listed()

    monkeypatch.setattr(server, "_list", counted)
    assert server.list_all() == [pane] and looks == 1
    os.kill(pane.pid, signal.SIGKILL)
    wait_until(lambda: server.list_all()[0].ended == "signal 9", "its end is known all the same")


def test_a_program_that_ends_between_two_looks_has_ended_with_something(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.e2e.lab import wait_until

    server.begin("neo", "neo", str(tmp_path), [], ["sleep", "60"])
    (before,) = server.list_all()

    def ended() -> Processes:
        os.kill(before.pid, signal.SIGKILL)
        wait_until(lambda: server.list_all()[0].dead, "its pane knows")
        return Processes({}, {})

    monkeypatch.setattr(Processes, "now", ended)
    (pane,) = Scene.now([server.path]).panes
    assert (pane.dead, pane.ended) == (True, "signal 9")


def test_a_server_that_does_not_answer_is_told_apart_from_none(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = server.begin("neo", "neo", "/", [], ["sleep", "60"])
    monkeypatch.setattr("maw.agents.tmux.COMMAND_S", 0.5)
    os.kill(place.server, signal.SIGSTOP)
    try:
        with pytest.raises(TmuxFailed, match="did not answer"):
            server.list_all()
    finally:
        os.kill(place.server, signal.SIGCONT)


def test_nobodys_pane_name_or_session_is_inherited() -> None:
    env = {
        "PATH": "/bin", "TMUX": "/x,1,2", "TMUX_PANE": "%3", "MAW_AGENT": "neo", "CLAUDECODE": "1",
        "CLAUDE_CODE_SESSION_ID": "x", "CLAUDE_CONFIG_DIR": "/c", "CLAUDE_CODE_USE_BEDROCK": "1", "TMUX_TMPDIR": "/t",
    }  # fmt: skip
    assert plain_environment(env) == {
        "PATH": "/bin", "CLAUDE_CONFIG_DIR": "/c", "CLAUDE_CODE_USE_BEDROCK": "1", "TMUX_TMPDIR": "/t",
    }  # fmt: skip


def test_sockets_are_found_in_tmuxs_folder_and_on_command_lines(server: Server, tmp_path: Path) -> None:
    server.begin("neo", "neo", str(tmp_path), [], ["sleep", "60"])
    uid = os.geteuid()
    assert server.path in sockets({}, uid, [("tmux", "-S", server.path, "new")])
    assert server.path in sockets({}, uid, [("tmux", f"-S{server.path}")])
    assert server.path in sockets({"TMUX": f"{server.path},1,0"}, uid, [])
    assert server.path not in sockets({}, uid, [])
    assert server.path not in sockets({}, uid + 1, [("tmux", "-S", server.path)]), "of another user"
    assert usual_socket(1000) == "/tmp/tmux-1000/default"


def test_a_command_goes_through_the_login_shell_with_its_own_path() -> None:
    env = environment(("PATH=/a:/b", "KEY", "GONE"), {"KEY": "secret", "MAW_HOME": "/n"})
    assert env == ["MAW_HOME=/n", "PATH=/a:/b", "KEY=secret"]
    words = wrapped(["/usr/bin/printenv", "PATH"], "/bin/sh", env)
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "/a:/b\n"
    assert wrapped(["x"], "/usr/bin/fish", [])[0] == "/bin/sh", "a shell that is not spoken to alike"
