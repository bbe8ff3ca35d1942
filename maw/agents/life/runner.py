"""Starting the program that thinks, once: the prompt on its standard input, its answer kept on the disk.

It runs in a process group of its own, in files instead of pipes (whatever it leaves running holds nothing open that
would be waited for), for a bounded time, with a bounded output. When it has ended well its whole answer is on the disk
before anybody sees it: who is killed later finds it there, and need not ask again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from maw.agents.life import durable, leftovers
from maw.core.answering import HUNG, MISSING, TOO_LONG, Failure, Usage, garbage, understood
from maw.core.credentials import masked

LARGEST: Final = 1 << 20
"""Bytes of what it prints that are taken."""
COMPLAINTS: Final = 8192
LAST_FAILURE: Final = "last-failure"
"""Beside the answer: why it failed last, and the end of what it printed then."""
GRACE_S: Final = 5.0
"""From SIGTERM to SIGKILL."""
LOOK_S: Final = 0.5
_INHERITED: Final = re.compile(
    r"TMUX|TMUX_PANE|CLAUDECODE|CLAUDE_CODE_(?:ENTRYPOINT|SSE_PORT|SESSION\w*)|CLAUDE_PID|CODEX_THREAD_ID"
)
"""A session that runs a pulse from its shell is not the one that the runner belongs to. What else begins so may be how
the runner signs in."""


@dataclass(frozen=True, slots=True)
class Ran:
    """``answer`` is empty where there is a ``failure``. ``seconds``: how long it ran."""

    answer: str
    seconds: float
    usage: Usage | None = None
    failure: Failure | None = None


class Stopped(BaseException):
    """A signal asked this process to end while the runner ran; the runner was ended before this was raised."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(
    command: Sequence[str], prompt: str, *, cwd: Path, env: Mapping[str, str], timeout_s: float, answer: Path
) -> Ran:
    """Runs ``command`` once, after ending what an earlier try for the same ``answer`` may have left. ``answer``: the
    file that the whole answer, what it took and how long it ran are kept in when it ended well, before this returns;
    ``kept`` reads it. Whatever fails is in ``failure``; nothing is raised for it. Raises OSError where the disk does
    not take it, Stopped."""
    answer.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    leftovers.end_of(answer)
    mark = leftovers.mark_of(answer)
    durable.write(mark, b"")
    begun = time.monotonic()
    with (
        tempfile.TemporaryFile(dir=answer.parent) as given,
        tempfile.TemporaryFile(dir=answer.parent) as said,
        tempfile.TemporaryFile(dir=answer.parent) as complained,
    ):
        given.write(prompt.encode())
        given.seek(0)
        with _signals() as asked:
            try:
                process = subprocess.Popen(
                    _found(command, env), stdin=given, stdout=said, stderr=complained,
                    env=_environment(env) | {leftovers.VARIABLE: str(answer)}, cwd=cwd, start_new_session=True,
                )  # fmt: skip
            except (OSError, ValueError) as error:
                durable.remove(mark)
                return Ran("", 0.0, None, _not_there(command, error))
            failure = _watch(process, said.fileno(), timeout_s, asked)
        seconds = round(time.monotonic() - begun, 3)
        said.seek(0)
        raw = said.read(LARGEST)
        printed = raw.decode("utf-8", "replace")
        complained.seek(max(complained.seek(0, os.SEEK_END) - COMPLAINTS, 0))
        complaints = complained.read(COMPLAINTS).decode("utf-8", "replace")
    found = understood(printed, complaints, process.returncode or 0)
    wrong = found.failure or garbage(raw)
    ran = Ran("" if wrong else found.answer, seconds, found.usage, wrong)
    if failure is not None:
        ran = Ran("", seconds, None, failure)
    if ran.failure is None:
        durable.write(answer, _written(ran))
    else:
        told = f"{ran.failure.why}\n\n{complaints}\n{printed[-COMPLAINTS:]}\n"
        durable.write(answer.with_name(LAST_FAILURE), masked(told).encode("utf-8", "replace"))
    durable.remove(mark)
    if asked:  # the whole service is being stopped, and what the runner says to that is no failure of its own
        raise Stopped(asked[0])
    return ran


def kept(answer: Path) -> Ran | None:
    """What an earlier ``run`` kept in this file, whole; None where it kept nothing. Raises ValueError where what is
    there is nothing of its."""
    try:
        told = json.loads(answer.read_bytes())
    except FileNotFoundError:
        return None
    usage = told["usage"]
    return Ran(str(told["answer"]), float(told["seconds"]), None if usage is None else Usage(**usage))


def _written(ran: Ran) -> bytes:
    usage = None if ran.usage is None else asdict(ran.usage)
    return json.dumps({"answer": ran.answer, "seconds": ran.seconds, "usage": usage}).encode()


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    """Nobody's pane or session; and a PATH with what a user installed for himself, which a timer's is without."""
    plain = {name: value for name, value in env.items() if not _INHERITED.fullmatch(name)}
    return plain | {"PATH": _path(env)}


def _path(env: Mapping[str, str]) -> str:
    home = Path(env.get("HOME") or "/")
    own = [str(home / part) for part in (".local/bin", "bin", ".npm-global/bin", ".bun/bin")]
    own.append(str(Path(sys.executable).parent))
    words = [word for word in (env.get("PATH") or os.defpath).split(os.pathsep) if word]
    return os.pathsep.join(words + [word for word in own if word not in words])


def _found(command: Sequence[str], env: Mapping[str, str]) -> list[str]:
    first = command[0]
    if first.startswith("~/"):
        first = str(Path(env.get("HOME") or "/") / first[2:])
    return [first, *command[1:]]


def _not_there(command: Sequence[str], error: Exception) -> Failure:
    what = shlex.quote(command[0])
    if isinstance(error, FileNotFoundError):
        return Failure(MISSING, f"{what}: there is no such program on the PATH")
    why = error.strerror if isinstance(error, OSError) else str(error)
    return Failure(MISSING, f"{what}: cannot be run: {why}")


def _watch(
    process: subprocess.Popen[bytes], said: int, timeout_s: float, asked: Sequence[int]
) -> Failure | None:
    """Until it has ended, by itself or because of a limit: then which. What asks this process to end ends it too."""
    ends = time.monotonic() + timeout_s
    try:
        while not _ended(process, min(LOOK_S, max(ends - time.monotonic(), 0.0))):
            if asked:
                raise Stopped(asked[0])
            if os.fstat(said).st_size > LARGEST:
                break
            if time.monotonic() >= ends:
                _end(process)
                return Failure(HUNG, f"it took longer than {timeout_s:g} s and was ended")
    except BaseException:
        _end(process)
        raise
    if os.fstat(said).st_size > LARGEST:
        _end(process)
        return Failure(TOO_LONG, f"it printed more than {LARGEST >> 10} KiB")
    return None


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    with _pidfd(process.pid) as fd:
        if fd is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            return process.poll() is not None
        if process.poll() is None:
            select.select([fd], [], [], seconds)
    return process.poll() is not None


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int | None]:
    """None where the kernel has none, and where the process is gone."""
    try:
        fd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _end(process: subprocess.Popen[bytes]) -> None:
    """It, and all of its group: asked first, then killed."""
    _signal_group(process.pid, signal.SIGTERM)
    _ended(process, GRACE_S)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


@contextlib.contextmanager
def _signals() -> Iterator[Sequence[int]]:
    """Signals that ask this process to end, as they come: while it runs they end the runner first."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
