"""The runtime's own rules; what it makes of frames and disks is in tests/integration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from maw.core.effects import Append, CheckFork, ReadLog, Receipt
from maw.store.asides import SetAside
from tests.conftest import MakeHome
from tests.integration.nodes import Host, all_running, pair, running, until
from tests.unit.store.opened import Author


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        yield one


def noting(seen: list[int]) -> Callable[[int], list[Any]]:
    """Stands in for a method of the machine: keeps what it was called with, asks for nothing."""

    def note(batch: int) -> list[Any]:
        seen.append(batch)
        return []

    return note


def epoch_of(host: Host) -> int:
    return host.node.state.newest_epoch(host.me)[0]


async def test_a_receipt_is_capped_at_what_was_said(host: Host) -> None:
    runtime, peer = host.node.runtime, Author(1).node
    epoch = epoch_of(host)
    said = host.held()[host.me, epoch]
    runtime.carry_out([Receipt(peer, epoch, said + 100), Receipt(peer, epoch + 1, 5)])
    assert host.node.receipts.has(peer, epoch, said)
    assert not host.node.receipts.has(peer, epoch, said + 1)
    assert not host.node.receipts.has(peer, epoch + 1, 1)


async def test_a_batch_that_no_longer_follows_is_not_stored(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = host.node.runtime
    discarded: list[int] = []
    monkeypatch.setattr(runtime.machine, "discarded", noting(discarded))
    neo = Author(1, colony=host.node.membership.book.colony)
    neo.post("never arrived")
    runtime.carry_out([Append(7, 1, (neo.post("second"),))])
    await until(lambda: discarded, "the machine hears of it")
    assert discarded == [7]
    assert host.node.state.head(neo.node, neo.epoch).seq == 0
    assert await host.node.db.rows("SELECT * FROM messages") == []


async def test_a_doomed_batch_is_not_stored(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = host.node.runtime
    discarded: list[int] = []
    monkeypatch.setattr(runtime.machine, "discarded", noting(discarded))
    monkeypatch.setattr(runtime.machine, "doomed", lambda batch: batch == 8)
    neo = Author(1, colony=host.node.membership.book.colony)
    runtime.carry_out([Append(8, 1, (neo.post("first"),))])
    await until(lambda: discarded, "the machine hears of it")
    assert host.node.state.head(neo.node, neo.epoch).seq == 0


async def test_a_full_writer_discards_at_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = host.node.runtime
    discarded: list[int] = []
    monkeypatch.setattr(runtime.machine, "discarded", noting(discarded))

    def full(*_: Any) -> None:
        raise asyncio.QueueFull

    monkeypatch.setattr(host.node.writer, "submit_nowait", full)
    runtime.carry_out([Append(7, 1, (Author(1).post("x"),))])
    assert discarded == [7]


async def test_what_cannot_be_read_is_told_and_answered_with_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.node.db.writing.execute("UPDATE entries SET header = x'00'")
    answers: list[Any] = []

    def log_read(*answer: Any) -> list[Any]:
        answers.append(answer)
        return []

    monkeypatch.setattr(host.node.runtime.machine, "log_read", log_read)
    host.node.runtime.carry_out([ReadLog(1, host.me, 5, {}, 1)])
    await until(lambda: answers, "the machine is answered")
    assert answers == [(1, host.me, 5, [], [])]
    entry = Author(1).post("x")
    host.node.runtime.carry_out([CheckFork(1, host.me, epoch_of(host), (entry,))])
    assert "cannot be read" in (await host.alert("damaged"))["text"]
    assert host.task is not None
    assert not host.task.done()


async def test_set_aside_is_told_by_author(host: Host) -> None:
    host.node.folds.report(
        [SetAside("abcdef-1-1", "why"), SetAside("abcdef-1-2", "why"), SetAside("zzzzzz-1-1", "why")]
    )
    alerts = await host.alerts()
    assert alerts["set_aside", "abcdef"]["count"] == 2
    assert alerts["set_aside", "zzzzzz"]["count"] == 1


async def test_paused_it_follows_nobody_and_trust_changes_do_not_wake_it(make_home: MakeHome) -> None:
    async with all_running(make_home("a"), make_home("b")) as (a, b):
        await pair(a, b)
        a.node.runtime.pause(True)
        a.node.runtime.trust_changed()
        assert a.node.runtime.machine.followed.through(b.me) is None
        await b.post("owner", "not heard yet")
        a.node.runtime.pause(False)
        await until(lambda: a.held() == b.held(), "it catches up")


async def test_links_have_numbers_of_their_own(make_home: MakeHome) -> None:
    async with all_running(make_home("a"), make_home("b")) as (a, b):
        assert a.node.runtime.number_of(b.me) is None
        await pair(a, b)
        await until(lambda: a.node.runtime.number_of(b.me) is not None, "it is carried")
        first = a.node.runtime.number_of(b.me)
        link = a.node.board.get(b.me)
        assert link is not None
        link.close("test")
        await until(
            lambda: a.node.runtime.number_of(b.me) not in (None, first), "linked again, under another number"
        )
