"""Agents in tmux for tests: stand-ins in sessions of servers of the test's own, and `maw` as their user runs it."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.e2e import claude_stand_in
from tests.e2e.daemons import MAW, Daemon
from tests.e2e.lab import wait_until

PATIENCE_S: Final = 40.0
BRAIN: Final = '''\
"""Hears of mail, and answers each message with its own words."""
import json

def turn(session, heard):
    said = session.run("maw inbox --json || true")
    found = json.loads(said) if said.strip().startswith("[") else []
    for one in found:
        session.run(f"maw send @{one['author']} 'I heard: {one['text']}' --intent inform && maw ack {one['id']}")
    return f"answered {len(found)}"
'''


class Fleet:
    """One user's home with a node in it, tmux servers and agents. ``tmux`` runs at the usual socket of this home."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.root = Path(tempfile.mkdtemp(prefix="maw-fleet-"))
        self.home = self.root / "home"
        self.home.mkdir()
        self.bin = self.root / "bin"
        claude_stand_in.install(self.bin)
        maw = self.bin / "maw"
        maw.write_text(f'#!/bin/sh\nexec {" ".join(MAW)} "$@"\n')
        maw.chmod(0o755)
        self.servers: list[str] = []
        (self.home / ".profile").write_text(f"export PATH={self.bin}:$PATH\n")  # /etc/profile makes its own

    def close(self) -> None:
        for socket in {*self.servers, self.socket}:
            if Path(socket).exists():
                subprocess.run(["tmux", "-S", socket, "kill-server"], capture_output=True, check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    @property
    def socket(self) -> str:
        return str(self.root / f"tmux-{os.getuid()}" / "default")

    @property
    def environment(self) -> dict[str, str]:
        strange = ("MAW_", "TMUX", "CLAUDE", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
        return {
            **kept, "HOME": str(self.home), "TMUX_TMPDIR": str(self.root), "MAW_HOME": str(self.daemon.home),
            "PATH": f"{self.bin}:{os.environ['PATH']}", "SHELL": "/bin/sh", "LC_ALL": "C.UTF-8",
        }  # fmt: skip

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MAW, *words], env={**self.environment, **(env or {})}, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=60, check=False,
        )  # fmt: skip

    def maw(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """Its output; the test fails where it does not end well."""
        done = self.run(*words, env=env)
        assert done.returncode == 0, f"maw {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.maw(*words, "--json"))

    def adopt(self, *words: str) -> subprocess.CompletedProcess[str]:
        """At this test's own servers: others of this user's may be other tests'."""
        only = [word for one in (self.socket, *self.servers) for word in ("--socket", one)]
        return self.run("agent", "adopt", *words, *only)

    def candidates(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.adopt(*words, "--json").stdout)
        return found

    def tmux(self, *words: str, socket: str | None = None) -> str:
        command = ["tmux", "-u", "-S", socket or self.socket, *words]
        Path(command[3]).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if socket is not None and socket not in self.servers:
            self.servers.append(socket)
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=20, check=True
        ).stdout

    def session(self, name: str, *command: str, cwd: Path | None = None, socket: str | None = None) -> Path:
        """A session as people begin one; its folder."""
        folder = cwd or self.root / "work" / name
        folder.mkdir(parents=True, exist_ok=True)
        self.tmux(
            "new-session",
            "-d",
            "-s",
            name,
            "-x",
            "120",
            "-y",
            "40",
            "-c",
            str(folder),
            *command,
            socket=socket,
        )
        return folder

    def terminal(self, *words: str) -> Terminal:
        """`maw` with these words at a terminal, until it is left."""
        return Terminal([*MAW, *words], {**self.environment, "TERM": "xterm"})

    def screen(self, session: str, socket: str | None = None) -> str:
        return self.tmux("capture-pane", "-p", "-t", f"={session}:", socket=socket)

    def types(self, session: str, text: str) -> None:
        self.tmux("send-keys", "-t", f"={session}:", "-l", text)
        self.tmux("send-keys", "-t", f"={session}:", "Enter")

    def shows(self, session: str, text: str) -> None:
        wait_until(lambda: text in self.screen(session), f"{session} shows {text!r}", PATIENCE_S)

    def listed(self, name: str) -> dict[str, Any]:
        """What `maw agent show NAME --json` says of how it runs, asked here: who waits asks often."""
        status, roster = self.daemon.ask("GET", "/api/roster")
        assert status == 200, roster
        found: dict[str, Any] = next((one for one in roster if one["name"] == name), {})
        return found

    def snapshot(self, socket: str | None = None) -> str:
        """Everything of a server that an act on it would change: sessions, panes, processes, options, buffers."""
        panes = self.tmux(
            "list-panes", "-a", "-F",
            "#{session_name} #{session_created} #{window_id} #{pane_id} #{pane_pid} #{pane_current_command} "
            "#{pane_in_mode} #{history_size} #{cursor_x},#{cursor_y} #{@maw_agent} #{remain-on-exit}",
            socket=socket,
        )  # fmt: skip
        return (
            panes + self.tmux("show-options", "-g", socket=socket) + self.tmux("list-buffers", socket=socket)
        )


class Terminal:
    """A command at a terminal of its own, whose keys a test presses."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._master, inner = pty.openpty()
        self._process = subprocess.Popen(
            command, stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True
        )
        os.close(inner)
        self._ended = threading.Event()
        threading.Thread(target=self._drain, daemon=True).start()

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def _drain(self) -> None:
        while not self._ended.is_set():
            try:
                if not os.read(self._master, 65536):
                    return
            except OSError:
                return

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._process.terminate()
        self._process.wait(10)
        os.close(self._master)


def wait_for(true: Any, what: str, seconds: float = PATIENCE_S) -> None:
    wait_until(true, what, seconds)


def pids_of(conversation: str) -> list[int]:
    """The processes whose command line names this conversation."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words: Sequence[bytes] = (place / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words and words[0] == b"claude" and conversation.encode() in words:
            found.append(int(place.name))
    return found
