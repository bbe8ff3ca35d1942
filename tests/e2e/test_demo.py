"""`maw demo` as a stranger runs it: from anywhere, beside others, interrupted, and typed along with."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from maw.demo.ports import FIRST
from tests.e2e.lab import wait_until

MAW = [sys.executable, "-c", "import sys; from maw.cli.main import main; sys.exit(main())"]


def _listen_to_interrupts() -> None:
    """Whoever starts the tests in the background of a shell has them ignored, and that is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Demo:
    """A running `maw demo` with a directory for temporary files of its own."""

    def __init__(self, temporary: Path, *options: str) -> None:
        self.temporary = temporary
        self.output = temporary.parent / f"{temporary.name}.out"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAW_")}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*MAW, "demo", *options],
                env={**kept, "TMPDIR": str(temporary)},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_listen_to_interrupts,
            )

    def text(self) -> str:
        return self.output.read_text()

    def end(self) -> str:
        self.process.wait(90)
        return self.text()

    def nothing_left(self) -> bool:
        """No file in its directory, no process that was started with it."""
        return not any(self.temporary.iterdir()) and not self.processes()

    def processes(self) -> list[int]:
        """Those that live with D set to a directory of this demo."""
        mark = f"\0D={self.temporary}/".encode()
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if mark in b"\0" + (place / "environ").read_bytes():
                    found.append(int(place.name))
            except OSError:
                continue  # ended meanwhile, or not ours
        return found


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Short, as a socket's path has to be."""
    base = Path(tempfile.mkdtemp(prefix="d", dir="/tmp"))
    (base / "t").mkdir()
    (base / "u").mkdir()
    yield base
    shutil.rmtree(base)


def shown_commands(text: str) -> list[str]:
    return re.findall(r"^\$ (.*)$", text, re.MULTILINE)


def test_it_does_what_it_says_and_leaves_nothing(temporary: Path) -> None:
    demo = Demo(temporary / "t")
    text = demo.end()
    assert demo.process.returncode == 0, text
    assert "\x1b" not in text
    for host in ("mbp", "oracle-world"):
        line = f"verified by id on {host}: 12 accepted, 12 arrived: none missing, none twice, all in order"
        assert line in text
    commands = " ".join(shown_commands(text))
    for command in ("init", "up", "invite", "join", "agent add", "send", "wait", "post", "read", "sent"):
        assert f" maw {command}" in commands
    assert "kill -9" in commands
    assert "curl -s" in commands
    assert re.search(r"^stored · #general · arthur@mbp is offline", text, re.MULTILINE)
    assert "Done in" in text
    assert demo.nothing_left()


def test_two_at_once_where_the_usual_ports_are_taken(temporary: Path) -> None:
    with ExitStack() as taken:
        for port in (FIRST, FIRST + 1):
            server = taken.enter_context(socket.socket())  # shares with nobody, as create_server would
            try:
                server.bind(("127.0.0.1", port))
                server.listen()
            except OSError:
                continue  # taken by somebody else: as good, and a demo of theirs goes on
        demos = [Demo(temporary / "t"), Demo(temporary / "u")]
        texts = [demo.end() for demo in demos]
    for demo, text in zip(demos, texts, strict=True):
        assert demo.process.returncode == 0, text
        assert demo.nothing_left()
    ports = [set(re.findall(r"--(?:listen|rest) 127\.0\.0\.1:(\d+)", text)) for text in texts]
    assert all(len(found) == 4 for found in ports)
    assert ports[0].isdisjoint(ports[1])
    assert {str(FIRST), str(FIRST + 1)}.isdisjoint(ports[0] | ports[1])


@pytest.mark.parametrize(
    ("moment", "number"),
    [("2 · Key exchange", signal.SIGINT), ("note 6 of", signal.SIGINT), ("4 · neo asks", signal.SIGTERM)],
)
def test_interrupted_it_leaves_nothing(temporary: Path, moment: str, number: signal.Signals) -> None:
    demo = Demo(temporary / "t")
    wait_until(lambda: moment in demo.text(), f"{moment!r} is shown", 60)
    demo.process.send_signal(number)
    text = demo.end()
    assert demo.process.returncode == 128 + number, text
    assert "Traceback" not in text
    wait_until(demo.nothing_left, "no file and no process is left")


def test_kept_it_can_be_typed_along_with(temporary: Path) -> None:
    demo = Demo(temporary / "t", "--keep")
    try:
        wait_until(lambda: "until Ctrl-C" in demo.text() and "and now?" in demo.text(), "it stays", 90)
        *preparation, asking = shown_commands(demo.text().partition("until Ctrl-C")[2])
        waiting = asking.partition(" maw ")[0] + " maw wait --as neo --timeout 30s --json"
        typed = "\n".join(["set -e", *preparation, f"{asking} >&2", waiting])
        answer = subprocess.run(
            ["sh", "-c", typed], capture_output=True, text=True, timeout=60, check=False, env=_bare_shell()
        )
        assert answer.returncode == 0, answer.stderr
        (message,) = json.loads(answer.stdout)
        assert message["author"] == "arthur@mbp"
    finally:
        demo.process.send_signal(signal.SIGINT)
        text = demo.end()
    assert demo.process.returncode == 0, text
    assert demo.nothing_left()


def _bare_shell() -> dict[str, str]:
    """What a viewer's other terminal has: maw where the demo's own shell found it, or where it tells."""
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
