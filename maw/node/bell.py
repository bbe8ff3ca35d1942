"""Calls the owner of this host: a command of his, or an address of his, is told each alert, once until it is settled.

Both get the same JSON: ``{"node", "alerts": [{"kind", "subject", "text"}]}``. What cannot be reached is tried again,
later each time, and is an alert of its own that `maw alerts` shows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from maw.core.effects import Alert
from maw.core.transcript import plain_words
from maw.errors import MawError, Unavailable
from maw.node.bulletin import Bulletin, Told
from maw.node.store import Store

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
EXEC_S: Final = 30.0
WEBHOOK_S: Final = 10.0
OUTPUT: Final = 4096
"""Bytes of what the command prints that are looked at: the last words are told when it fails."""
BELL: Final = "bell"


class Bell:
    """``run`` does everything; without ``command`` and ``webhook`` nothing. ``heard`` and ``settled`` are called with
    each alert."""

    def __init__(
        self,
        node: str,
        command: str | None,
        webhook: str | None,
        store: Store,
        alert: Callable[[Alert], None],
        settle: Callable[[str, str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._alert = alert
        self._settle = settle
        self._ways: dict[str, Bulletin] = {}
        if command is not None:
            words = shlex.split(command)
            self._add("exec", lambda said: run_command(words, said), store, monotonic)
        if webhook is not None:
            self._add("webhook", lambda said: post(webhook, said), store, monotonic)

    def _add(
        self, way: str, call: Callable[[bytes], Awaitable[None]], store: Store, monotonic: Callable[[], float]
    ) -> None:
        async def tell(told: Told) -> None:
            await call(self._message(told))

        def is_for(alert: Alert) -> bool:
            return alert.kind != BELL

        self._ways[way] = Bulletin(store, f"told_{way}", is_for, tell, monotonic)

    def _message(self, told: Told) -> bytes:
        alerts = [{"kind": kind, "subject": subject, "text": text} for (kind, subject), text in told.items()]
        return json.dumps({"node": self._node, "alerts": alerts}, ensure_ascii=False).encode()

    def heard(self, alert: Alert) -> None:
        for bulletin in self._ways.values():
            bulletin.heard(alert)

    def settled(self, kind: str, subject: str) -> None:
        for bulletin in self._ways.values():
            bulletin.settled(kind, subject)

    async def load(self) -> list[str]:
        """Returns what is left out, for it is damaged: that is told again."""
        return [f"what [alerts] {way} was told" for way, one in self._ways.items() if not await one.load()]

    async def run(self, beat: Callable[[], None]) -> None:
        """For ever, where there is something to call; ``beat`` is called in each round."""
        while self._ways:
            beat()
            for way, bulletin in self._ways.items():
                await self._keep(way, bulletin)
            await asyncio.sleep(LOOK_S)

    async def _keep(self, way: str, bulletin: Bulletin) -> None:
        before = bulletin.times_told
        try:
            await bulletin.keep()
        except MawError as error:
            self._alert(Alert(BELL, way, f"[alerts] {way} of maw.toml is not reached: {error.message}"))
        else:
            if bulletin.times_told > before:
                self._settle(BELL, way)


async def run_command(words: list[str], said: bytes) -> None:
    """Runs it with ``said`` on its standard input. Raises Unavailable unless it ends with exit code 0 in time."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"{words[0]} cannot be run: {error.strerror or error}", code="no_bell") from None
    try:
        async with asyncio.timeout(EXEC_S):
            output = await _said_by(process, said)
    except TimeoutError:
        raise Unavailable(f"{words[0]} did not end within {EXEC_S:g} s", code="no_bell") from None
    finally:
        with suppress(ProcessLookupError):  # and what it has left behind
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode:
        last = plain_words(output.decode(errors="replace").strip().rpartition("\n")[2], 200)
        raise Unavailable(f"{words[0]} ended with exit code {process.returncode}: {last}", code="no_bell")


async def _said_by(process: asyncio.subprocess.Process, said: bytes) -> bytes:
    """Its last words. Both ways at once: a command that prints much before it reads blocks nobody."""
    assert process.stdin is not None and process.stdout is not None
    tail = b""
    with suppress(ConnectionError):
        process.stdin.write(said)
        process.stdin.close()
    while chunk := await process.stdout.read(OUTPUT):
        tail = (tail + chunk)[-OUTPUT:]
    await process.wait()
    return tail


async def post(url: str, said: bytes) -> None:
    """POSTs it. Raises Unavailable unless it is answered 2xx in time; redirects are not followed."""
    import ssl  # with the client, it is loaded where a webhook is used

    import aiohttp

    # aiohttp's own was made without authorities (maw/net/lean.py), and would trust nobody
    trusting = ssl.create_default_context()
    timeout = aiohttp.ClientTimeout(total=WEBHOOK_S)
    headers = {"Content-Type": "application/json", "User-Agent": "maw"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.post(url, data=said, headers=headers, ssl=trusting, allow_redirects=False) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable(
            f"no answer: {plain_words(str(error) or type(error).__name__, 200)}", code="no_bell"
        ) from None
    if not 200 <= status < 300:
        raise Unavailable(f"it answered {status}", code="no_bell")
