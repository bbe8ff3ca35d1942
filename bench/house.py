"""Starting real daemons, pairing them, asking them things, and ending exactly those processes."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

MAW: Final = Path(sys.executable).with_name("maw")
PATIENCE_S: Final = 180.0
_RANDOM: Final = Random()


class TroubleError(RuntimeError):
    """The benchmark could not be carried out; says what did not happen. ``code``: a daemon's, where one said no."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


def environment(**more: str) -> dict[str, str]:
    """Ours, without what would lead maw to somebody's real node, or have it compile itself at every start."""
    without = ("TMUX", "PYTHONDONTWRITEBYTECODE")
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith("MAW_") and key not in without
    }
    return {**clean, **more}


def free_port() -> int:
    """Below those that the kernel gives to outgoing connections: many daemons dial before the last listens."""
    while True:
        port = _RANDOM.randrange(10_000, 20_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, *, each: float = 0.02, patience_s: float = PATIENCE_S
) -> None:
    """Returns once ``condition`` holds. Raises TroubleError naming ``what`` after ``patience_s``."""
    deadline = time.monotonic() + patience_s
    while not await condition():
        if time.monotonic() > deadline:
            raise TroubleError(f"this did not happen in {patience_s:g} s: {what}")
        await asyncio.sleep(each)


def status_mib(pid: int, field: str) -> float:
    """What the kernel says of that process: ``VmRSS``, or the most that it ever was, ``VmHWM``."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


class Process:
    """A child that serves on ``socket``, and its output in a file."""

    def __init__(self, arguments: list[str], home: Path, **env: str) -> None:
        self.home = home
        self.socket = home / "maw.sock"
        self.output = home / "output"
        with self.output.open("ab") as output:
            self._child = subprocess.Popen(
                arguments, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment(**env)
            )
        self.pid = self._child.pid

    async def ready(self) -> None:
        async def accepts() -> bool:
            if self._child.poll() is not None:
                raise TroubleError(f"{self._child.args!r} ended: {self.output.read_text()[-2000:]}")
            try:
                _, writer = await asyncio.open_unix_connection(self.socket)
            except OSError:
                return False
            writer.close()
            return True

        await until(accepts, f"{self.socket} takes connections")

    def hang_up(self) -> None:
        """SIGTERM, and no waiting."""
        if self._child.poll() is None:
            self._child.terminate()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not listen."""
        self.hang_up()
        if self._child.poll() is None:
            try:
                self._child.wait(20)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()


class Daemon(Process):
    """One node: ``maw init`` and ``maw up`` in a directory of its own."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        home = root / name
        self.rest = f"127.0.0.1:{free_port()}"
        self.mesh = f"127.0.0.1:{free_port()}"
        made = subprocess.run(
            [MAW, "init", "--name", name, "--listen", self.mesh, "--rest", self.rest],
            env=environment(MAW_HOME=str(home)), capture_output=True, text=True,
        )  # fmt: skip
        if made.returncode:
            raise TroubleError(f"maw init: {made.stderr}")
        config = home / "maw.toml"
        config.write_text(re.sub(r"(?m)^(\w+_per_minute) = \d+", r"\1 = 0", config.read_text()))
        super().__init__([str(MAW), "up"], home, MAW_HOME=str(home), MAW_LOG="WARNING")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        await self.ready()
        self._session = aiohttp.ClientSession(
            "http://localhost", connector=aiohttp.UnixConnector(str(self.socket))
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        self.stop()

    async def restart(self, between: Callable[[], Awaitable[None]]) -> None:
        """Stop, do what may only be done while nothing runs, and go on."""
        self.stop()
        await between()
        super().__init__([str(MAW), "up"], self.home, MAW_HOME=str(self.home), MAW_LOG="WARNING")
        await self.ready()

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    async def get(self, path: str) -> Any:
        return await self._answer("GET", path)

    async def post(self, path: str, body: Any) -> Any:
        return await self._answer("POST", path, json=body)

    async def _answer(self, method: str, path: str, **more: Any) -> Any:
        async with self.session.request(method, path, **more) as response:
            answer = await response.json()
            if response.status >= 400:
                code = answer.get("error", {}).get("code")
                raise TroubleError(f"{self.name} {method} {path}: {answer}", code)
            return answer

    async def join(self, host: Daemon) -> None:
        """Follow an invite by ``host``; returns when the link is up on both sides."""
        invite = await host.post("/api/invites", {})
        await self.post("/api/join", {"line": invite["line"]})
        await until(lambda: linked(self, host), f"{self.name} and {host.name} are linked")


async def linked(*daemons: Daemon) -> bool:
    """Each of them has a link to every other."""
    for daemon in daemons:
        up = {peer["name"] for peer in await daemon.get("/api/peers") if peer["state"] == "linked"}
        if not up >= {other.name for other in daemons} - {daemon.name}:
            return False
    return True


@asynccontextmanager
async def pair(root: Path) -> AsyncIterator[tuple[Daemon, Daemon]]:
    """Two linked nodes with an agent each: neo on the first, arthur on the second."""
    async with Daemon(root, "near") as near, Daemon(root, "far") as far:
        await far.join(near)
        await near.post("/api/users", {"username": "neo"})
        await far.post("/api/users", {"username": "arthur"})
        yield near, far


@contextmanager
def prototype(root: Path) -> Any:
    """The floor of ``bench.prototype`` in a process of its own."""
    home = root / "prototype"
    home.mkdir(exist_ok=True)
    process = Process([sys.executable, "-m", "bench.prototype", str(home)], home)
    try:
        yield process
    finally:
        process.stop()
