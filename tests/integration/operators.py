"""Two hosts and the operator key of their Colony, and how tests speak with it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from maw.api.backend import Json
from maw.core.identity import Signer
from maw.core.statement import Statement
from maw.core.word import OperatorWord, sign_word
from maw.node.keptkey import open_kept_key
from tests.conftest import MakeHome
from tests.integration.nodes import Host, acquainted, all_running, pair, until

TARGET = ("#general",)


def no_passphrase() -> str:
    raise AssertionError("the key is not sealed")


def founder(home: Path) -> Signer:
    return open_kept_key(home / "operator.key", "operator", no_passphrase)


def now() -> int:
    return int(time.time() * 1000)


@asynccontextmanager
async def two_hosts(make_home: MakeHome, *there: str) -> AsyncIterator[tuple[Host, Host, Signer]]:
    """``mbp`` with arthur has invited ``oracle`` with these agents; and the operator key of their Colony."""
    home = make_home("mbp")
    async with all_running(home, make_home("oracle")) as (mbp, oracle):
        await mbp.add("arthur")
        await oracle.add(*there)
        await pair(mbp, oracle)
        await acquainted(mbp, oracle)
        yield mbp, oracle, founder(home.path)


def _heard(host: Host, statement: Statement) -> bool:
    return statement.id in host.node.membership.book.statements()


async def say(host: Host, statement: Statement, *others: Host) -> None:
    """By way of one host, until all have it and act on it."""
    await host.node.membership.keep([statement])
    for one in (host, *others):
        await until(partial(_heard, one, statement), "it is heard")
        await one.node.keeping.settle()


def word(
    host: Host, key: Signer, text: str, targets: tuple[str, ...] = TARGET, *, is_order: bool = True,
    at_ms: int | None = None,
) -> OperatorWord:  # fmt: skip
    colony = host.node.membership.book.colony
    return sign_word(
        key, colony, host.me, now() if at_ms is None else at_ms, os.urandom(16), is_order, targets, text
    )


async def arrived(host: Host, name: str, count: int = 1) -> list[Json]:
    found: list[Json] = []

    async def look() -> bool:
        found[:] = await host.inbox(name)
        return len(found) >= count

    await until_true(look, f"{count} in the inbox of {name}")
    return found


async def until_true(true: Callable[[], Awaitable[object]], what: str) -> None:
    async with asyncio.timeout(10):
        while not await true():
            await asyncio.sleep(0.01)


async def equals(states: Callable[[], Awaitable[object]], wanted: dict[str, str]) -> bool:
    return await states() == wanted
