"""Files of messages between real nodes: who may have them, what is fetched, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from maw.api.backend import Json
from maw.core.blobs import CHUNK
from maw.core.files import File
from maw.errors import BadInput, MawError, NotFound, TooLarge, Unavailable
from tests.conftest import MakeHome
from tests.integration.nodes import Host, all_running, pair, running, until

SIZE = 5 * CHUNK + 77


async def pieces(data: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def upload(host: Host, name: str, data: bytes, called: str = "log.bin") -> Json:
    return await host.service.upload(await host.as_(name), called, "text/plain", len(data), pieces(data))


async def sent(host: Host, name: str, to: str, *files: bytes, **more: Any) -> Json:
    """A direct message with these files."""
    taken = [await upload(host, name, data) for data in files]
    return await host.send(
        name, to, "look", files=[(bytes.fromhex(one["hash"]), None) for one in taken], **more
    )


async def fetched(host: Host, name: str, ref: str, n: int = 1, *, seconds: float = 30.0) -> Json:
    return await host.service.fetch_file(await host.as_(name), ref, n, seconds=seconds, anew=True)


async def content(
    host: Host, name: str, ref: str, n: int = 1, first: int = 0, end: int | None = None
) -> bytes:
    _, stream = await host.service.open_file(
        await host.as_(name), ref, n, lambda size: (first, size if end is None else end)
    )
    return b"".join([data async for data in stream])


def flip(host: Host, hash_: str, at: int) -> None:
    with host.node.shelf.folder.file(bytes.fromhex(hash_)).open("r+b") as file:
        file.seek(at)
        old = file.read(1)[0]
        file.seek(at)
        file.write(bytes([old ^ 1]))


async def test_who_may_read_the_message_may_read_the_file_and_nobody_else(make_home: MakeHome) -> None:
    data = os.urandom(SIZE)
    async with running(make_home("mbp")) as mbp:
        await mbp.add("neo", "arthur", "eve")
        ref = (await sent(mbp, "neo", "arthur", data, b""))["id"]
        for name in ("neo", "arthur"):
            assert await content(mbp, name, ref) == data
            assert await content(mbp, name, ref, 2) == b""
        assert (
            await content(mbp, "arthur", ref, 1, CHUNK - 3, 3 * CHUNK + 4) == data[CHUNK - 3 : 3 * CHUNK + 4]
        )
        assert await content(mbp, "arthur", ref, 1, SIZE - 1) == data[-1:]
        (item,) = await mbp.inbox("arthur")
        assert [(one["n"], one["name"], one["size"]) for one in item["files"]] == [
            (1, "log.bin", SIZE),
            (2, "log.bin", 0),
        ]
        assert "key" not in item["files"][0]
        for ask in (
            content(mbp, "eve", ref),
            fetched(mbp, "eve", ref),
            mbp.service.files(await mbp.as_("eve"), ref),
        ):
            with pytest.raises(NotFound):
                await ask
        with pytest.raises(NotFound, match="it has 2"):
            await content(mbp, "arthur", ref, 3)
        blob = mbp.node.shelf.folder.file(bytes.fromhex(item["files"][0]["hash"]))
        assert data[:64] not in blob.read_bytes()


async def test_only_ones_own_uploads_go_along_and_no_operators_word_has_any(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as mbp:
        await mbp.add("neo", "eve")
        hash_ = bytes.fromhex((await upload(mbp, "neo", b"mine"))["hash"])
        for who, wanted in (("eve", hash_), ("neo", b"x" * 32)):
            with pytest.raises(NotFound) as raised:
                await mbp.post(who, "look", files=[(wanted, None)])
            assert raised.value.code == "no_upload"
        with pytest.raises(BadInput, match="at most 8"):
            await mbp.post("neo", "look", files=[(hash_, None)] * 9)
        receipt = await mbp.post("neo", "look", files=[(hash_, "../../.evil\u202e.txt"), (hash_, None)])
        assert [one["name"] for one in receipt["message"]["files"]] == ["evil_.txt", "log.bin"]
        assert receipt["message"]["files"][0]["hash"] == hash_.hex()


async def test_too_large_and_too_much_leave_nothing(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as mbp:
        await mbp.add("neo")
        most = mbp.node.uploads.most
        with pytest.raises(TooLarge):
            await mbp.service.upload(await mbp.as_("neo"), "x", "", most + 1, pieces(b""))

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield bytes(8 << 20)

        with pytest.raises(TooLarge):
            await mbp.service.upload(await mbp.as_("neo"), "x", "", None, endless())

        async def broken() -> AsyncIterator[bytes]:
            yield bytes(CHUNK * 9)
            raise Unavailable("the caller hung up")

        with pytest.raises(Unavailable):
            await mbp.service.upload(await mbp.as_("neo"), "x", "", None, broken())
        shelf = mbp.node.shelf
        object.__setattr__(shelf.config, "quota_mib", 1)
        await upload(mbp, "neo", bytes(600_000))
        with pytest.raises(MawError) as raised:
            await upload(mbp, "neo", bytes(600_001))
        assert raised.value.code == "files_full"
        assert len(shelf.folder.scan()) == len(shelf.held) == 1
        assert not list(shelf.folder.path.glob("new.*"))
        mbp.node.authoring.read_only = "the disk is full"
        with pytest.raises(Unavailable, match="the disk is full"):
            await upload(mbp, "neo", b"x")


async def test_a_file_crosses_when_it_is_asked_for_and_damage_is_fetched_again(make_home: MakeHome) -> None:
    data = os.urandom(SIZE)
    async with all_running(make_home("mbp"), make_home("nova")) as (mbp, nova):
        await pair(mbp, nova)
        await nova.add("neo")
        await mbp.add("arthur")
        await until(lambda: mbp.node.directory.agents_called("neo", None), "mbp knows neo")
        await until(lambda: nova.node.directory.agents_called("arthur", None), "nova knows arthur")
        ref = (await sent(nova, "neo", "arthur", data))["id"]
        await mbp.receives("arthur", ["look"])
        (before,) = await mbp.service.files(await mbp.as_("arthur"), ref)
        assert (before["state"], before["holder"], before["linked"]) == ("away", "nova", True)
        assert mbp.node.shelf.held == {}
        with pytest.raises(Unavailable) as raised:
            await content(mbp, "arthur", ref)
        assert raised.value.code == "file_not_here"

        assert (await fetched(mbp, "arthur", ref))["state"] == "here"
        assert await content(mbp, "arthur", ref) == data
        assert mbp.node.shelf._reserved == 0

        flip(mbp, before["hash"], 3 * (CHUNK + 16) + 5)
        assert await content(mbp, "arthur", ref, 1, 0, CHUNK) == data[:CHUNK]
        with pytest.raises(Unavailable) as raised:
            await content(mbp, "arthur", ref)
        assert raised.value.code == "file_damaged"
        assert (await fetched(mbp, "arthur", ref))["state"] == "here"
        assert await content(mbp, "arthur", ref) == data

        # the author's own copy, from who fetched it
        flip(nova, before["hash"], 5)
        assert (await fetched(nova, "neo", ref))["state"] == "here"
        assert await content(nova, "neo", ref) == data


async def test_what_nobody_gives_is_said_so(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("nova")) as (mbp, nova):
        await pair(nova, mbp)
        await nova.add("neo")
        taken = await upload(nova, "neo", os.urandom(SIZE))
        ref = (await nova.post("neo", "look", files=[(bytes.fromhex(taken["hash"]), None)]))["id"]
        owner = str((await mbp.owner()).agent).split("@")[0]
        await until(lambda: mbp.node.state.messages == nova.node.state.messages, "mbp has the message")
        await until(lambda: mbp.node.visible.seq == mbp.node.state.seq, "it can be read there")
        await nova.node.shelf.drop(bytes.fromhex(taken["hash"]))
        found = await fetched(mbp, owner, ref)
        assert (found["state"], found["linked"], found["fetched"]) == ("in_vain", True, 0)
        for link in mbp.node.board.all():
            link.close("cut")
        nova.stop.set()
        await until(lambda: not mbp.linked(nova), "nova is gone")
        found = await fetched(mbp, owner, ref)
        assert (found["state"], found["linked"], found["holder"]) == ("in_vain", False, "nova")


async def test_what_no_message_names_any_more_goes(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as mbp:
        await mbp.add("neo", "arthur")
        kept = await sent(mbp, "neo", "arthur", b"kept")
        gone = await sent(mbp, "neo", "arthur", b"gone")
        await upload(mbp, "neo", b"never sent")
        shelf = mbp.node.shelf
        await shelf.sweep()
        assert len(shelf.held) == 3, "what is fresh may still be sent"
        await mbp.service.redact(await mbp.as_("neo"), [gone["id"]], None)
        await mbp.node.db.writing.execute("UPDATE uploads SET at = 1")
        await shelf.sweep()
        assert [name.hex() for name in shelf.held] == [kept["message"]["files"][0]["hash"]]
        assert list(shelf.folder.scan()) == list(shelf.held)
        with pytest.raises(NotFound):
            await content(mbp, "arthur", gone["id"])
        assert await content(mbp, "arthur", kept["id"]) == b"kept"


async def test_copies_make_room_and_originals_do_not(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("nova")) as (mbp, nova):
        await pair(mbp, nova)
        for host, name in ((nova, "neo"), (mbp, "arthur")):
            await host.add(name)
        await until(lambda: nova.node.directory.agents_called("arthur", None), "nova knows arthur")
        await until(lambda: mbp.node.directory.agents_called("neo", None), "mbp knows neo")
        object.__setattr__(mbp.node.shelf.config, "quota_mib", 1)
        own = await sent(mbp, "arthur", "neo", bytes(300_000))
        refs = [(await sent(nova, "neo", "arthur", os.urandom(400_000)))["id"] for _ in range(2)]
        await mbp.receives("arthur", ["look", "look"])
        for ref in refs:
            assert (await fetched(mbp, "arthur", ref))["state"] == "here"
        where = [(await mbp.service.files(await mbp.as_("arthur"), ref))[0]["state"] for ref in refs]
        assert where == ["away", "here"]
        assert await content(mbp, "arthur", own["id"]) == bytes(300_000)
        with pytest.raises(Unavailable) as raised:
            await upload(mbp, "arthur", bytes(900_000))
        assert raised.value.code == "files_full"


async def test_a_key_that_does_not_open_it_is_told_before_anything_is_given(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as mbp:
        await mbp.add("neo")
        taken = await upload(mbp, "neo", bytes(SIZE))
        for size, key in ((SIZE, b"k" * 32), (SIZE - CHUNK, b"k" * 32)):
            wrong = File("x", size, bytes.fromhex(taken["hash"]), key)
            with pytest.raises(Unavailable, match="does not open") as raised:
                await mbp.node.uploads.open(wrong, 0, size)
            assert raised.value.code == "file_unreadable"


async def test_after_a_lost_database_the_only_copy_of_a_file_stays(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as mbp:
        await mbp.add("neo", "arthur")
        (file,) = (await sent(mbp, "neo", "arthur", b"the only one"))["message"]["files"]
    for path in home.path.glob("colony.db*"):
        path.unlink()
    async with running(home) as mbp:
        shelf, authoring = mbp.node.shelf, mbp.node.authoring
        object.__setattr__(shelf.config, "quota_mib", 0)
        for authoring.recovering in (True, False):  # its log on its way, and given up
            await shelf.sweep()
            with pytest.raises(Unavailable):
                await shelf.reserve(1)
            assert [name.hex() for name in shelf.held] == [file["hash"]]
        assert list(shelf.folder.scan()) == list(shelf.held)


async def test_an_agent_has_its_share_for_what_it_does_not_send(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as mbp:
        await mbp.add("neo", "eve")
        config = mbp.node.shelf.config
        object.__setattr__(config, "quota_mib", 4)
        object.__setattr__(config, "max_mib", 1)
        await sent(mbp, "eve", "neo", bytes(800_000))
        await upload(mbp, "eve", bytes(800_000))
        with pytest.raises(Unavailable, match="eve has uploaded") as raised:
            await upload(mbp, "eve", bytes(800_000))
        assert raised.value.code == "files_full"
        await upload(mbp, "neo", bytes(800_000))
        await mbp.node.db.writing.execute("UPDATE uploads SET at = 1")
        await mbp.node.shelf.sweep()
        await upload(mbp, "eve", bytes(800_000))


async def test_an_original_outlives_a_message_that_says_too_much_of_it_and_damage(
    make_home: MakeHome,
) -> None:
    async with running(make_home("mbp")) as mbp:
        await mbp.add("neo")
        name = bytes.fromhex((await upload(mbp, "neo", bytes(SIZE)))["hash"])
        shelf, uploads = mbp.node.shelf, mbp.node.uploads
        with pytest.raises(Unavailable) as raised:
            await uploads.open(File("x", SIZE + CHUNK, name, b"k" * 32), 0, SIZE + CHUNK)
        assert raised.value.code == "file_unreadable" and shelf.has(name)
        flip(mbp, name.hex(), 5)
        with pytest.raises(Unavailable) as raised:
            await uploads.open(File("x", SIZE, name, b"k" * 32), 0, SIZE)
        assert raised.value.code == "file_damaged" and not shelf.has(name)
        assert shelf.folder.file(name).with_suffix(".damaged").stat().st_size == shelf.held[name].size
