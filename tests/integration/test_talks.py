"""Direct messages as conversations: with whom, what was last, what waits; for those who are in it and nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from maw.api.backend import ANONYMOUS, Page
from maw.errors import NotFound, Refused
from maw.node import talks
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running


async def talk(host: Host, name: str, *whom: str, **more: Any) -> Page:
    options: dict[str, Any] = {"after_seq": None, "before_seq": None, "limit": 50, **more}
    return await host.service.talk_page(await host.as_(name), whom, **options)


async def listing(host: Host, name: str) -> list[tuple[list[str], str, int]]:
    found = await host.service.talks(await host.as_(name))
    return [(one["with"], one["last"]["text"], one["unread"]) for one in found]


def texts(page: Page) -> list[str]:
    return [item["text"] for item in page.items]


async def test_conversations_are_of_those_who_are_in_them(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("arthur", "ford", "trin")
        await host.send("arthur", "ford", "psst")
        await host.send("ford", "arthur", "what?")
        options: dict[str, Any] = {"reply_to": None, "idempotency_key": None}
        await host.service.post_direct(await host.as_("trin"), ["arthur", "ford"], "you two", **options)
        slip = await host.send("arthur", "ford", "a slip")
        await host.post("arthur", "in public, @ford")
        assert await listing(host, "arthur") == [
            (["ford@mbp"], "a slip", 1),
            (["ford@mbp", "trin@mbp"], "you two", 1),
        ]
        assert await listing(host, "ford") == [
            (["arthur@mbp"], "a slip", 2),
            (["arthur@mbp", "trin@mbp"], "you two", 1),
        ]
        assert await listing(host, "trin") == [(["arthur@mbp", "ford@mbp"], "you two", 0)]
        assert texts(await talk(host, "ford", "arthur")) == ["psst", "what?", "a slip"]
        assert [one["unread"] for one in (await talk(host, "ford", "arthur")).items] == [True, False, True]
        assert texts(await talk(host, "trin", "ford@mbp", "arthur")) == ["you two"]
        assert texts(await talk(host, "trin", "arthur")) == [], "what two others said is theirs"
        for ask in (host.service.talks(ANONYMOUS), host.service.talk_page(ANONYMOUS, ["ford"], **_NOW)):
            with pytest.raises(Refused):
                await ask
        with pytest.raises(NotFound) as no:
            await talk(host, "ford", "artur@mbp")
        assert no.value.candidates == ("arthur@mbp",)

        await host.service.redact(await host.as_("arthur"), [slip["id"]], None)
        assert [bool(item.get("redacted")) for item in (await talk(host, "ford", "arthur")).items] == [
            False,
            False,
            True,
        ]
        assert texts(await talk(host, "arthur", "ford")) == ["psst", "what?"], "whom it was for went with it"


_NOW: dict[str, Any] = {"after_seq": None, "before_seq": None, "limit": 5}


async def test_a_conversation_among_many_messages_is_found_piece_by_piece(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talks, "LOOKED_AT", 4)
    async with running(make_home("mbp")) as host:
        await host.add("arthur", "ford", "trin")
        for n in range(12):
            await host.send("arthur", "ford" if n % 6 == 0 else "trin", f"{n}")
        down: list[str] = []
        page = await talk(host, "arthur", "ford")
        while True:
            down = texts(page) + down
            if page.before_seq is None:
                break
            page = await talk(host, "arthur", "ford", before_seq=page.before_seq)
        up: list[str] = []
        after = 0
        while after < host.node.visible.seq:
            page = await talk(host, "arthur", "ford", after_seq=after)
            up += texts(page)
            assert page.next_seq > after
            after = page.next_seq
        assert down == up == ["0", "6"]
        assert texts(await talk(host, "arthur", "trin", limit=2)) == ["10", "11"]
        assert texts(await talk(host, "trin", "arthur", after_seq=0, limit=2)) == ["1", "2"]
