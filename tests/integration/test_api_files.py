"""Files through both doors: what goes up, what comes down and how, and what is cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from maw.api.backend import Json, Speaker
from tests.unit.api.house import DOORS, opened
from tests.unit.api.memory_files import MOST

HASH = "ab" * 32


@pytest.mark.parametrize("door", DOORS)
async def test_up_and_down_again(door: str) -> None:
    async with opened() as house:
        caller = house.caller(door)
        data = bytes(range(256)) * 700
        answer = await caller("POST", "/api/files?name=%22..%2Fl%C3%B6g%22.bin", raw=data)
        assert answer.status == 201, answer.text
        assert (answer.json["size"], answer.json["name"]) == (len(data), "lög_.bin")
        await house.backend.say("look")
        async with caller.session.get(
            caller.base + "/api/messages/1/files/1", headers=caller.identity
        ) as response:
            assert response.status == 200 and await response.read() == data
            headers = response.headers
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"] == (
            "attachment; filename=\"l_g_.bin\"; filename*=UTF-8''l%C3%B6g_.bin"
        )
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("sandbox")
        assert headers["X-Maw-Replica"] == house.backend.node_name


@pytest.mark.parametrize(
    ("asked", "status", "first", "end"),
    [
        ("bytes=0-3", 206, 0, 4), ("bytes=4-", 206, 4, 10), ("bytes=-2", 206, 8, 10), ("bytes=0-99", 200, 0, 10),
        ("bytes=9-9", 206, 9, 10), ("lines=1-2", 200, 0, 10), ("bytes=3-1", 200, 0, 10),
    ],
)  # fmt: skip
async def test_a_part_of_it(asked: str, status: int, first: int, end: int) -> None:
    async with opened() as house:
        caller, data = house.caller("socket"), b"0123456789"
        await caller("POST", "/api/files", raw=data)
        await house.backend.say("look")
        answer = await caller("GET", "/api/messages/1/files/1", headers={"Range": asked})
        assert (answer.status, answer.text.encode()) == (status, data[first:end])
        if status == 206:
            assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/10"
        beyond = await caller("GET", "/api/messages/1/files/1", headers={"Range": "bytes=10-"})
        assert (beyond.status, beyond.code) == (400, "bad_parameter")


async def test_too_large_is_refused_before_it_is_read() -> None:
    async with opened() as house:
        caller = house.caller("rest")
        answer = await caller("POST", "/api/files", raw=bytes(MOST + 1))
        assert (answer.status, answer.code) == (413, "too_large")

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield bytes(MOST // 16)

        async with caller.session.post(
            caller.base + "/api/files", data=endless(), headers=caller.identity
        ) as response:
            assert response.status == 413


async def test_what_names_a_file_is_looked_at() -> None:
    async with opened() as house:
        caller = house.caller("socket")
        good = {"text": "look", "files": [{"hash": HASH}, {"hash": HASH, "name": "b.txt"}]}
        assert (await caller("POST", "/api/channels/general/messages", good)).status == 201
        wrong: tuple[object, ...] = (
            "x",
            [{}],
            [{"hash": "zz" * 32}],
            [{"hash": "ab"}],
            [{"hash": HASH}] * 9,
            [{"hash": HASH, "x": 1}],
        )
        for files in wrong:
            answer = await caller("POST", "/api/channels/general/messages", {"text": "look", "files": files})
            assert answer.status == 400, (files, answer.text)


async def test_what_breaks_off_in_the_middle_looks_like_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(
        speaker: Speaker, ref: str, n: int, span: Callable[[int], tuple[int, int]]
    ) -> tuple[Json, AsyncIterator[bytes]]:
        span(1000)

        async def stream() -> AsyncIterator[bytes]:
            yield bytes(10)
            raise ValueError("damaged meanwhile")

        return {"name": "x", "size": 1000}, stream()

    async with opened() as house:
        await house.backend.say("look")
        monkeypatch.setattr(house.backend, "open_file", broken, raising=False)
        caller = house.caller("socket")
        async with caller.session.get(
            caller.base + "/api/messages/1/files/1", headers=caller.identity
        ) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientError):
                await response.read()
        assert (await caller("GET", "/healthz")).status == 200


async def test_who_is_nobody_neither_uploads_nor_has_anything_fetched() -> None:
    async with opened() as house:
        await house.backend.say("look")
        nobody = house.caller("rest", None)
        for path in ("/api/files", "/api/messages/1/files/1/fetch"):
            assert (await nobody("POST", path, raw=b"x")).status == 401
