"""A payload on which this maw stumbles: set aside and told, at run time and after every restart."""

from __future__ import annotations

from typing import Any

import pytest

from maw.core.colony import Card, Said
from maw.core.entry import Kind
from maw.store.fold import Fold
from tests.conftest import MakeHome
from tests.integration.evil import Evil, evil_peer
from tests.integration.nodes import running, until
from tests.unit.store.test_fold_faults import BAD, ODD, binding, raising


async def sends(evil: Evil, *texts: str) -> None:
    entries = [evil.author.post(text, ["arthur"]) for text in texts]
    await evil.says(*entries)
    place = (evil.node.node, evil.author.epoch)
    await until(lambda: evil.host.held().get(place, 0) == entries[-1].seq, "all of it is stored")


@pytest.mark.parametrize("odd", ODD[:2], ids=["too wide", "half a surrogate pair"])
async def test_rows_that_sqlite_refuses(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch, odd: object
) -> None:
    monkeypatch.setattr(Fold, "take_message", binding(odd))
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur")
        async with evil_peer(host) as evil:
            await sends(evil, "one", BAD, "two", BAD, "three")
            (peer,) = await host.service.peers(await host.owner())
            assert peer["state"] == "linked", "it did nothing wrong"
            assert (await host.alert("set_aside"))["count"] == 2
            assert "bug" in (await host.alert("unfoldable"))["text"]
            assert (await host.service.health())["ok"], "that was not the disk"
            assert await host.texts("arthur") == ["one", "two", "three"]
    async with running(home) as host:
        assert await host.texts("arthur") == ["one", "two", "three"]
        await host.post("arthur", "mine")
        async with evil_peer(host, evil.author.signer) as again:
            again.author = evil.author
            await sends(again, "four", BAD)
            assert await host.texts("arthur") == ["one", "two", "three", "four"]


@pytest.mark.parametrize("error", [RecursionError("deep"), AttributeError("odd"), KeyError("k")])
async def test_what_readers_stumble_over(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Taken in by one version, unreadable for the next: the page comes, with one message marked."""
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur")
        async with evil_peer(host) as evil:
            await sends(evil, "one", BAD, "two")
    monkeypatch.setattr(Said, "read", raising(error, Said.read))
    async with running(home) as host:
        for shown in (await host.channel(), await host.texts("arthur")):
            assert [shown[0], shown[2]] == ["one", "two"]
            assert "damaged" in shown[1]


async def test_a_reaction_that_stumbles_ends_nothing(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the commit the rest of the node hears of entries: a fault there is told, and the log goes on."""
    home = make_home("mbp")

    def stumble(*_: Any) -> None:
        raise RuntimeError("over a card")

    async with running(home) as host:
        await host.add("arthur")
        async with evil_peer(host) as evil:
            with monkeypatch.context() as patch:
                patch.setattr(host.node, "_retarget", stumble)
                card = evil.author.say(Kind.CARD, Card("evil", (), "1").content())
                await evil.says(card, evil.author.post("behind it"))
                assert "RuntimeError" in (await host.alert("bug"))["text"]
            assert await host.channel() == ["behind it"]
            assert host.task is not None
            assert not host.task.done()
