"""What a browser is put in front of: two real daemons that federate, a node in memory, and the browser itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import Browser, sync_playwright

from maw.api.doors import Doors, DoorSettings
from maw.config import Endpoint
from maw.node.founding import create
from tests.conftest import free_port
from tests.e2e.daemons import Daemon
from tests.e2e.lab import wait_until
from tests.unit.api.house import new_backend
from tests.unit.api.memory_backend import MemoryBackend

CHROMIUM = "/usr/bin/chromium"
Answered = TypeVar("Answered")


def browser_missing() -> str | None:
    """Why there is no browser to test with, as what follows "this"; None when there is one."""
    if not os.access(CHROMIUM, os.X_OK):
        return f"has no {CHROMIUM}: apt-get install chromium"
    return None


@contextmanager
def browser(*more: str) -> Iterator[Browser]:
    """Debian's Chromium, without a window. Names of other sites lead here, as a rebinding name server would have it."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--host-resolver-rules=MAP *.example 127.0.0.1",
                *more,
            ],
        )
        yield found
        found.close()


class Host(Daemon):
    """A daemon with its REST port, and an ape ``owner`` beside its agents."""

    def __init__(self, home: Path, rest: int) -> None:
        super().__init__(home)
        self.rest = rest
        self.tokens: dict[str, str] = {}

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.rest}"

    def add(self, name: str) -> str:
        """A new agent; its token."""
        status, body = self.ask("POST", "/api/users", {"username": name})
        assert status == 201, body
        self.tokens[name] = body["token"]
        return str(body["token"])

    def say(self, name: str, text: str, channel: str = "general", **more: object) -> dict[str, Any]:
        status, body = self.ask(
            "POST", f"/api/channels/{channel}/messages", {"text": text, **more}, agent=name
        )
        assert status == 201, body
        return dict(body)

    def open(self, name: str, channel: str) -> None:
        status, body = self.ask("POST", "/api/channels", {"name": channel}, agent=name)
        assert status == 201, body

    def texts(self, channel: str = "general") -> list[str]:
        return [one["text"] for one in self.channel(channel)]

    def heard(self, text: str, channel: str = "general") -> bool:
        """Whether it has come here; a channel that nobody here heard of has nothing."""
        status, found = self.ask("GET", f"/api/channels/{channel}/messages")
        return status == 200 and any(one["text"] == text for one in found)


@contextmanager
def colony(folder: Path, *names: str) -> Iterator[list[Host]]:
    """Founded, up and each linked with the first, with ``#general`` on all; neo is an agent of the first."""
    hosts = [founded(folder, name) for name in names]
    first, *others = hosts
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda host: host.start(), hosts))
        first.add("neo")
        for host in others:
            _, invited = first.ask("POST", "/api/invites", {"ttl_s": 600, "uses": 1})
            status, body = host.ask("POST", "/api/join", {"line": invited["line"]})
            assert status in (200, 201), body
        wait_until(
            lambda: first.ask("GET", "/api/status")[1]["links_up"] == len(others), "all are linked", 30
        )
        first.say("neo", "welcome")
        wait_until(lambda: all(host.heard("welcome") for host in others), "#general is on all", 30)
        yield hosts
    finally:
        for host in hosts:
            host.__exit__(None)


@contextmanager
def two_hosts(folder: Path) -> Iterator[tuple[Host, Host]]:
    """zion with the agent neo, nebula with trinity; linked."""
    with colony(folder, "zion", "nebula") as (zion, nebula):
        nebula.add("trinity")
        yield zion, nebula


def founded(folder: Path, name: str) -> Host:
    """A node on loopback that was never up."""
    rest = free_port()

    def found() -> None:
        create(
            folder / name,
            name=name,
            listen=Endpoint("127.0.0.1", free_port()),
            rest=Endpoint("127.0.0.1", rest),
            owner_uid=os.getuid(),
            owner_name="owner",
        )

    with ThreadPoolExecutor(1) as pool:  # founding runs a loop of its own
        pool.submit(found).result()
    return Host(folder / name, rest)


class Stage:
    """The real doors before a node in memory, which also says what no real node would take in."""

    def __init__(self, backend: MemoryBackend) -> None:
        self.backend = backend
        self.loop = asyncio.new_event_loop()
        self._folder = Path(tempfile.mkdtemp(prefix="maw"))
        self.doors = Doors(
            backend, DoorSettings(self._folder / "maw.sock", rest=("127.0.0.1", 0)), grace_s=0.2
        )
        self._thread = threading.Thread(target=self._run, name="stage")

    @property
    def page(self) -> str:
        return f"http://{self.doors.rest_address}"

    def do(self, work: Coroutine[Any, Any, Answered]) -> Answered:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def say(self, text: str, channel: str = "general", **more: Any) -> dict[str, Any]:
        """A message as from elsewhere; ``more`` stands in it instead of what it would have."""

        async def said() -> dict[str, Any]:
            message = await self.backend.say(text, channel=channel)
            message.update(more)
            return message

        return self.do(said())

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def __enter__(self) -> Stage:
        self._thread.start()
        self.do(self.doors.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self.doors.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def stage() -> Stage:
    return Stage(new_backend())
