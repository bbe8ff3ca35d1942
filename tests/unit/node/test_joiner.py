"""Which failures end a join that was cut off, and which are tried again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from maw.core.pairing import RETRY_SECONDS, InviteLine, encode_line
from maw.errors import BadInput, Conflict, LinkClosed, MawError, Refused, Unavailable
from maw.node import joiner as joiner_module
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running
from tests.unit.store.opened import Author

NOW = int(time.time())
LINE = InviteLine(b"c" * 32, Author(1).node, "other", ("127.0.0.1:1",), b"s" * 16, NOW + 3600)


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        await one.node.db.writing.execute(
            "INSERT INTO joins VALUES (?, ?, ?)", (LINE.invite_id, encode_line(LINE), NOW * 1000)
        )
        yield one


async def after(host: Host, error: MawError, monkeypatch: pytest.MonkeyPatch, age_s: float = 0.0) -> int:
    """How many pending joins are left when a retry ends in ``error``."""

    async def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(joiner_module, "join", fails)
    await host.node.joiner._again(LINE, int((time.time() - age_s) * 1000))
    return len(await host.node.db.rows("SELECT * FROM joins"))


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("nobody answers", code="unreachable"),
        LinkClosed("cut off"),
        Refused("the owner has to confirm", code="unconfirmed"),
        Refused("the other's disk is full", code="cannot_write"),
        Refused("another node is there for now", code="wrong_key"),
        Unavailable("our own disk is full", code="cannot_write"),
    ],
    ids=lambda error: error.code,
)
async def test_what_passes_is_tried_again(
    host: Host, monkeypatch: pytest.MonkeyPatch, error: MawError
) -> None:
    assert await after(host, error, monkeypatch) == 1
    assert ("join", "other") not in await host.alerts()


@pytest.mark.parametrize(
    "error",
    [
        Refused("expired", code="expired"),
        Refused("used", code="used"),
        Refused("unknown", code="unknown"),
        Refused("another Colony", code="other_colony"),
        Refused("already elsewhere", code="already_in_a_colony"),
        BadInput("nonsense", code="bad_welcome"),
    ],
    ids=lambda error: error.code,
)
async def test_what_is_final_ends_it_and_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch, error: MawError
) -> None:
    assert await after(host, error, monkeypatch) == 0
    assert error.message in (await host.alerts())["join", "other"]["text"]


async def test_after_a_day_it_is_given_up(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Unavailable("nobody answers", code="unreachable")
    assert await after(host, away, monkeypatch, age_s=RETRY_SECONDS - 60) == 1
    assert await after(host, away, monkeypatch, age_s=RETRY_SECONDS + 60) == 0
    assert ("join", "other") in await host.alerts()


async def test_a_disk_that_is_full_when_it_ends_brings_nobody_down(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> None:
        raise Unavailable("full", code="cannot_write")

    with monkeypatch.context() as patch:
        patch.setattr(host.node.writer, "submit", full)
        await after(host, Refused("used", code="used"), patch)
    assert len(await host.node.db.rows("SELECT * FROM joins")) == 1, "it is ended the next time"


async def test_a_join_that_is_refused_before_it_began_leaves_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.node.db.writing.execute("DELETE FROM joins")

    async def fails(*_: Any, **__: Any) -> None:
        raise Conflict("in the way")

    monkeypatch.setattr(joiner_module, "join", fails)
    with pytest.raises(Conflict):
        await host.node.joiner.join(encode_line(LINE))
    assert await host.node.db.rows("SELECT * FROM joins") == []
