"""Long polls and confirmations: they end when there is something, when time is over, and when we stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from maw.api import waiting
from tests.unit.api.house import DOORS, House, opened

POSTS = "/api/channels/general/messages"
POLLS = ["/api/inbox?", f"{POSTS}?after_seq=0&", "/api/mentions?user=neo&after_seq=0&"]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with opened() as house:
        yield house


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("poll", POLLS)
async def test_a_long_poll_answers_as_soon_as_there_is_something(house: House, door: str, poll: str) -> None:
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(house.caller(door)("GET", f"{poll}wait=30"))
        await until(lambda: house.backend.waiting == 1)
        begun = time.monotonic()
        await house.backend.say("@neo wake up")
    assert [m["text"] for m in asked.result().json] == ["@neo wake up"]
    assert asked.result().headers["X-Maw-Next-Seq"] == "1"
    assert time.monotonic() - begun < 5, "woken, not timed out"


@pytest.mark.parametrize("poll", POLLS)
async def test_what_is_for_others_does_not_end_a_long_poll(house: House, poll: str) -> None:
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(house.caller("socket")("GET", f"{poll}wait=30"))
        await until(lambda: house.backend.waiting == 1)
        await house.backend.say("not for you", channel=None, to=["arthur@oracle-world"])
        await until(lambda: house.backend.waiting == 1)
        assert not asked.done()
        await house.backend.say("@neo for you")
    assert [m["seq"] for m in asked.result().json] == [2]


async def test_a_long_poll_that_finds_nothing_is_empty_and_moves_the_cursor(house: House) -> None:
    await house.backend.say("nothing to do with it")
    answer = await house.caller("rest")("GET", "/api/mentions?user=neo&after_seq=0&wait=0.05")
    assert (answer.status, answer.json) == (200, [])
    assert answer.headers["X-Maw-Next-Seq"] == "1"


async def test_a_poll_with_something_there_does_not_wait(house: House) -> None:
    await house.backend.say("@neo")
    answer = await house.caller("socket")("GET", "/api/inbox?wait=60")
    assert len(answer.json) == 1


@pytest.mark.parametrize("door", DOORS)
async def test_stopping_ends_long_polls_with_a_word(door: str) -> None:
    async with opened() as house, asyncio.TaskGroup() as group:
        asked = group.create_task(house.caller(door)("GET", "/api/inbox?wait=60"))
        await until(lambda: house.backend.waiting == 1)
        begun = time.monotonic()
        await house.doors.stop()
        assert time.monotonic() - begun < 2
        answer = await asked
        assert (answer.status, answer.code) == (503, "stopping")


async def test_a_caller_who_hung_up_does_not_keep_a_place(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = house.doors._api
    assert api is not None
    monkeypatch.setattr(api.waiting, "_slice_s", 0.01)
    asked = asyncio.ensure_future(house.caller("socket")("GET", "/api/inbox?wait=60"))
    await until(lambda: len(api.waiting) == 1)
    asked.cancel()
    await until(lambda: len(api.waiting) == 0)


async def test_places_to_wait_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    api = house.doors._api
    assert api is not None
    monkeypatch.setattr(api.waiting, "_places", 1)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(house.caller("socket")("GET", "/api/inbox?wait=30"))
        await until(lambda: house.backend.waiting == 1)
        refused = await house.caller("rest")("GET", "/api/inbox?wait=30")
        assert (refused.status, refused.code) == (503, "too_many_waiting")
        assert (await house.caller("rest")("GET", "/api/inbox")).status == 200
        await house.backend.say("@neo")
    assert first.result().status == 200


@pytest.mark.parametrize("door", DOORS)
async def test_a_confirmed_post_is_201_and_an_unconfirmed_one_504_with_its_receipt(
    house: House, door: str
) -> None:
    caller = house.caller(door)
    body = {"to": "trinity@mbp", "text": "are you there"}
    late = await caller("POST", "/api/direct?wait=replicated&timeout=0.05", body)
    assert (late.status, late.code) == (504, "unconfirmed")
    assert late.json["receipt"]["state"] == "stored"
    assert late.json["receipt"]["id"] == house.backend.messages[0]["id"]
    assert late.json["receipt"]["warnings"] == []
    house.backend.replicates = True
    sure = await caller("POST", "/api/direct?wait=replicated", body)
    assert (sure.status, sure.json["state"]) == (201, "replicated")


async def test_stopping_tells_who_waits_for_confirmation_that_it_is_stored() -> None:
    async with opened() as house, asyncio.TaskGroup() as group:
        asked = group.create_task(
            house.caller("rest")("POST", f"{POSTS}?wait=replicated&timeout=60", {"text": "x"})
        )
        await until(lambda: len(house.backend.messages) == 1)
        await house.doors.stop()
        answer = await asked
    assert (answer.status, answer.code) == (504, "unconfirmed")
    assert "stopping" in answer.json["error"]["message"]
    assert answer.json["receipt"]["state"] == "stored"


@pytest.mark.parametrize("door", DOORS)
async def test_stopping_lets_a_post_under_way_finish_and_takes_no_other(door: str) -> None:
    async with opened() as house:
        house.backend.gate = asyncio.Event()
        caller = house.caller(door)
        async with asyncio.TaskGroup() as group:
            posting = group.create_task(caller("POST", POSTS, {"text": "last words"}))
            edge = house.doors._served[DOORS.index(door)].edge
            await until(lambda: edge._under_way == 1)
            stopping = group.create_task(house.doors.stop())
            api = house.doors._api
            await until(lambda: api is not None and api.waiting.stopped)
            assert not posting.done()
            house.backend.gate.set()
            await stopping
        assert posting.result().status == 201
    assert [m["text"] for m in house.backend.messages] == ["last words"]


async def test_a_request_on_a_kept_connection_after_stop_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as house:
        api = house.doors._api
        assert api is not None
        await house.caller("rest")("GET", "/healthz")
        api.waiting.stop()
        answer = await house.caller("rest")("GET", "/healthz")
        assert (answer.status, answer.code) == (503, "stopping")


async def test_stop_does_not_wait_for_ever_for_a_post_that_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(grace_s=0.05) as house:
        house.backend.gate = asyncio.Event()
        posting = asyncio.ensure_future(house.caller("rest")("POST", POSTS, {"text": "x"}))
        await until(lambda: house.doors._served[1].edge._under_way == 1)
        async with asyncio.timeout(5):
            await house.doors.stop()
        assert "did not finish" in caplog.text
        with pytest.raises(Exception, match=r"(?i)disconnect|reset|closed"):
            await posting


def test_the_word_for_stopping_is_unavailable() -> None:
    assert waiting.stopping().status == 503
