"""A log signed again for another Colony: whole, in order, verifiable, with every cursor where it was."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from maw.core.entry import START, Entry, Kind, decode, unpack_payload
from maw.core.log import check_run
from maw.core.members import JOINED, Pin
from maw.core.statement import colony_id, found
from maw.errors import Unavailable
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running
from tests.unit.store.opened import Author

INVITER = Author(1)
FOUNDING = found(Author(2).signer, "elsewhere", b"n" * 16, 1)
COLONY = colony_id(FOUNDING)


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        await one.add("arthur")
        yield one


async def log(host: Host) -> list[Entry]:
    rows = await host.node.db.rows("SELECT header, signature, payload FROM entries ORDER BY place")
    return [decode(*row) for row in rows]


def said(entries: list[Entry]) -> list[dict[str, Any]]:
    return [unpack_payload(e.payload or b"") for e in entries if e.kind not in (Kind.OPEN, Kind.CARD)]


async def adopt(host: Host) -> None:
    pin = Pin(INVITER.node, "inviter", (), JOINED)
    await host.node.belonging.adopt(COLONY, [FOUNDING], pin)


async def test_everything_is_there_and_verifies(host: Host) -> None:
    for n in range(5):
        await host.post("arthur", f"{n} @owner")
    before = await log(host)
    unread = await host.texts("owner")
    await adopt(host)
    after = await log(host)
    check_run(COLONY, START, after)
    assert {entry.epoch for entry in after}.isdisjoint({entry.epoch for entry in before})
    assert [entry.kind for entry in after[:2]] == [Kind.OPEN, Kind.CARD]
    assert said(after) == said(before)
    assert all(entry.signature_holds() for entry in after)
    assert await host.texts("owner") == unread
    assert host.node.state.heads()[host.me] == {after[0].epoch: after[-1].head}
    times = [e.hlc >> 16 for e in before if e.kind == Kind.POST]
    assert [e.hlc >> 16 for e in after if e.kind == Kind.POST] == times, "what was said keeps its time"


async def test_seqs_stay_and_replies_follow_their_message(host: Host) -> None:
    first = await host.post("arthur", "first")
    reply = await host.post("arthur", "reply", reply_to=first["id"])
    await adopt(host)
    speaker = await host.as_("arthur")
    moved = await host.service.message(speaker, str(first["seq"]))
    assert moved["id"] != first["id"]
    answer = await host.service.message(speaker, str(reply["seq"]))
    assert answer["reply_to"] == moved["id"]
    assert [item["id"] for item in moved["thread"]] == [answer["id"]]


async def test_what_is_said_next_follows_in_the_same_epoch(host: Host) -> None:
    await host.post("arthur", "before")
    await adopt(host)
    epoch, head = host.node.state.newest_epoch(host.me)
    await host.post("arthur", "after")
    assert host.node.state.newest_epoch(host.me)[0] == epoch
    assert host.node.state.newest_epoch(host.me)[1].seq == head.seq + 1
    check_run(COLONY, START, await log(host))
    assert abs(epoch / 1000 - time.time()) < 60


async def test_a_node_that_said_nothing(make_home: MakeHome) -> None:
    async with running(make_home("quiet")) as host:
        await host.node.people.remove("owner")
        await adopt(host)
        check_run(COLONY, START, await log(host))


async def test_a_join_whose_commit_fails_changes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    await host.post("arthur", "before")
    before, colony = await log(host), host.node.membership.book.colony

    async def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("maw.store.trust.set_pin", full)
        with pytest.raises(Unavailable):
            await adopt(host)
    assert [entry.id for entry in await log(host)] == [entry.id for entry in before]
    assert host.node.membership.book.colony == colony
    await host.post("arthur", "goes on")
    for epoch in host.node.state.heads()[host.me]:
        check_run(colony, START, [e for e in await log(host) if e.epoch == epoch])
