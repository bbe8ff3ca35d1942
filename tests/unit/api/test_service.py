"""The node as its doors see it: pages and cursors, who speaks, what is shown to whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from maw.api.backend import ANONYMOUS, Json, Page, Speaker
from maw.errors import BadInput, NotFound, Refused
from tests.conftest import MakeHome
from tests.integration.nodes import UID, Host, running


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        await one.add("arthur", "ford")
        yield one


def texts(page: Page | list[Json]) -> list[str]:
    return [item["text"] for item in (page.items if isinstance(page, Page) else page)]


async def channel(host: Host, **bounds: Any) -> Page:
    options: dict[str, Any] = {"after_seq": None, "before_seq": None, "limit": 50, **bounds}
    return await host.service.channel_page(await host.owner(), "general", **options)


# -- pages and cursors -----------------------------------------------------------------------------------------


async def test_a_reader_who_follows_the_cursor_sees_everything_once(host: Host) -> None:
    for n in range(7):
        await host.post("arthur", f"{n}")
        await host.send("arthur", "ford", f"between {n}")
    seen: list[str] = []
    after = 0
    for _ in range(10):
        page = await channel(host, after_seq=after, limit=3)
        seen += texts(page)
        assert page.next_seq >= after
        after = page.next_seq
    assert seen == [f"{n}" for n in range(7)]
    assert after == host.node.visible.seq, "a quiet reader does not look at the same rows again"
    await host.post("arthur", "new")
    assert texts(await channel(host, after_seq=after)) == ["new"]


async def test_without_a_cursor_come_the_latest_and_before_one_the_earlier(host: Host) -> None:
    for n in range(7):
        await host.post("arthur", f"{n}")
    latest = await channel(host, limit=3)
    assert texts(latest) == ["4", "5", "6"]
    assert texts(await channel(host, limit=3, before_seq=latest.items[0]["seq"])) == ["1", "2", "3"]
    assert texts(await channel(host, limit=9, before_seq=1)) == []


async def test_an_empty_general_channel_is_there_and_others_are_not(host: Host) -> None:
    page = await channel(host)
    assert (page.items, page.next_seq) == ([], host.node.visible.seq)
    with pytest.raises(NotFound):
        await host.service.channel_page(await host.owner(), "ops", after_seq=None, before_seq=None, limit=5)


async def test_mentions_of_a_user_by_name_with_host_and_by_group(host: Host) -> None:
    for text in ("@arthur 1", "@arthur@mbp 2", "@agents 3", "@apes 4", "@all 5", "@ford 6", "`@arthur` 7"):
        await host.post("owner", text)

    async def of(user: str, **more: Any) -> list[str]:
        options = {"after_seq": 0, "limit": 50, **more}
        page = await host.service.mentions_page(ANONYMOUS, user, **options)
        return [text[-1] for text in texts(page)]

    assert await of("arthur") == await of("@arthur@mbp") == ["1", "2", "3", "5"]
    assert await of("owner") == ["4", "5"]
    assert await of("all") == ["5"]
    assert await of("agents") == ["3"]
    assert await of("arthur", after_seq=None, limit=2) == ["3", "5"]
    with pytest.raises(NotFound) as no:
        await of("artur")
    assert no.value.candidates == ("arthur@mbp",)
    with pytest.raises(NotFound):
        await of("arthur@elsewhere")


async def test_the_stream_shows_everything_that_one_may_read_and_passes_over_the_rest(host: Host) -> None:
    await host.post("arthur", "public")
    await host.send("arthur", "ford", "for ford")
    await host.send("arthur", "owner", "for owner")

    async def stream(name: str | None, **more: Any) -> Page:
        speaker = await host.as_(name) if name else ANONYMOUS
        options: dict[str, Any] = {"after_seq": 0, "channel": None, "user": None, "limit": 100, **more}
        return await host.service.stream_page(speaker, **options)

    assert texts(await stream("ford")) == ["public", "for ford"]
    assert texts(await stream("arthur")) == ["public", "for ford", "for owner"]
    assert texts(await stream(None)) == ["public"]
    assert (await stream(None)).next_seq == host.node.visible.seq
    assert texts(await stream("ford", channel="general")) == ["public"]
    assert texts(await stream("ford", user="ford")) == ["for ford"]
    with pytest.raises(BadInput) as no:
        await stream("ford", user="arthur")
    assert no.value.code == "not_yours"
    with pytest.raises(Refused):
        await stream(None, user="ford")


async def test_a_stream_page_full_of_others_secrets_moves_on(host: Host) -> None:
    for n in range(12):
        await host.send("arthur", "owner", f"{n}")
    await host.post("arthur", "public")
    page = await host.service.stream_page(ANONYMOUS, after_seq=0, channel=None, user=None, limit=5)
    assert (page.items, page.next_seq) == ([], 5), "so many rows were looked at, and no more"
    seen: list[str] = []
    while page.next_seq < host.node.visible.seq:
        page = await host.service.stream_page(
            ANONYMOUS, after_seq=page.next_seq, channel=None, user=None, limit=5
        )
        seen += texts(page)
    assert seen == ["public"]


async def test_the_inbox_is_what_is_not_acknowledged(host: Host) -> None:
    for n in range(3):
        await host.send("arthur", "ford", f"{n}")
    ford = await host.as_("ford")
    page = await host.service.inbox_page(ford, after_seq=0, limit=2)
    assert texts(page) == ["0", "1"]
    assert page.next_seq == page.items[-1]["seq"]
    await host.service.ack(ford, [page.items[0]["id"]])
    assert texts(await host.service.inbox_page(ford, after_seq=0, limit=2)) == ["1", "2"]
    assert texts(await host.service.inbox_page(ford, after_seq=page.next_seq, limit=9)) == ["2"]
    with pytest.raises(Refused):
        await host.service.inbox_page(ANONYMOUS, after_seq=0, limit=5)


# -- who speaks, who may ---------------------------------------------------------------------------------------


async def test_whoami(host: Host) -> None:
    me = await host.service.whoami(await host.as_("arthur"))
    assert (me["agent"], me["name"], me["host"], me["role"], me["known_by"], me["uid"]) == (
        "arthur@mbp", "arthur", "mbp", "agent", "uid", UID
    )  # fmt: skip
    assert me["node_key"].startswith("mk1")
    assert me["colony"].startswith("mc1")
    nobody = await host.service.whoami(ANONYMOUS)
    assert (nobody["agent"], nobody["role"]) == (None, None)


async def test_administration_is_for_the_uids_that_have_it(host: Host) -> None:
    assert (await host.service.speaker_for_uid(UID, None)).is_admin
    assert not (await host.service.speaker_for_uid(54_321, None)).is_admin
    made = await host.service.add_user(await host.owner(), "bot", "agent", uid=None)
    speaker = await host.service.speaker_for_token(made["token"])
    assert (speaker.known_by, speaker.is_admin, speaker.uid) == ("token", False, None)
    said = await host.service.post_channel(speaker, "general", "hi", reply_to=None, idempotency_key=None)
    assert said["message"]["known_by"] == "token"


async def test_an_agent_for_another_user_of_the_machine(host: Host) -> None:
    made = await host.service.add_user(await host.owner(), "bot", "agent", uid=54_321)
    assert made["uid"] == 54_321
    assert (await host.service.speaker_for_uid(54_321, "bot")).agent == "bot@mbp"
    with pytest.raises(Refused):
        await host.service.speaker_for_uid(54_322, "bot")


async def test_a_speaker_whose_agent_was_removed_meanwhile_is_nobody(host: Host) -> None:
    speaker = await host.as_("arthur")
    await host.service.remove_user(await host.owner(), "arthur")
    with pytest.raises(Refused):
        await host.service.post_channel(speaker, "general", "ghost", reply_to=None, idempotency_key=None)


async def test_strangers_are_not_told_whose_agents_are_whose(host: Host) -> None:
    users = await host.service.users(ANONYMOUS)
    assert {user["username"] for user in users} == {"owner", "arthur", "ford"}
    assert all(user.keys().isdisjoint({"uid", "has_token", "unread"}) for user in users)
    assert all("uid" in user for user in await host.service.users(await host.owner()))


async def test_how_much_is_unread_is_ones_own_affair(host: Host) -> None:
    await host.send("arthur", "ford", "x")
    assert (await host.service.status(await host.owner()))["unread"] == {"owner": 0, "arthur": 0, "ford": 1}
    await host.service.add_user(await host.owner(), "bot", "agent", uid=54_321)
    theirs = await host.service.status(await host.service.speaker_for_uid(54_321, None))
    assert theirs["unread"] == {"bot": 0}
    assert (await host.service.status(ANONYMOUS))["unread"] == {}
    told = await host.service.users(await host.service.speaker_for_uid(54_321, None))
    assert [user["username"] for user in told if "unread" in user] == ["bot"]
    row = host.node.state.local["arthur"]
    by_token = Speaker("arthur@mbp", row.id, "token", None, is_admin=False)
    told = await host.service.users(by_token)
    assert [user["username"] for user in told if "unread" in user] == ["arthur"], (
        "a token shows its own alone"
    )
    ape = replace(by_token, agent="owner@mbp", agent_key=host.node.state.local["owner"].id)
    told = await host.service.users(ape)
    assert {user["username"] for user in told if "unread" in user} == {"owner", "arthur", "ford"}


async def test_acknowledging_does_not_tell_what_is_another_s_from_what_is_not_there(host: Host) -> None:
    hidden = await host.send("arthur", "ford", "for ford alone")
    mine = await host.send("ford", "arthur", "for arthur")
    refs = [str(hidden["seq"]), "999999", mine["id"], hidden["id"], "888888"]
    told = await host.service.ack(await host.as_("arthur"), refs)
    assert told == {"acked": [mine["id"]], "already": [], "unknown": [refs[0], refs[1], refs[3], refs[4]]}


async def test_status_is_true(host: Host) -> None:
    await host.post("arthur", "x")
    status = await host.service.status(await host.owner())
    assert (status["name"], status["state"], status["trouble"]) == ("mbp", "running", None)
    assert (status["messages"], status["seq"], status["links_up"]) == (1, 1, 0)
    assert status["entries"] == host.node.runtime.held.total()
    assert status["mesh"][0]["listening"] is True
    assert status["disk_free_bytes"] > 0
    assert status["database_bytes"] > 4096
    assert 10 << 20 < status["rss_bytes"] < 1 << 30
    assert (await host.service.health())["ok"] is True
    host.node.writer.trouble = "disk I/O error"
    assert (await host.service.health()) == {"ok": False, "name": "mbp", "trouble": "disk I/O error"}


async def test_a_message_with_its_thread_and_what_became_of_it(host: Host) -> None:
    said = await host.send("arthur", "ford", "question")
    await host.send("ford", "arthur", "answer", reply_to=said["id"])
    shown = await host.service.message(await host.as_("arthur"), said["id"])
    assert (shown["state"], texts(shown["thread"])) == ("replicated", ["answer"])
    with pytest.raises(NotFound):
        await host.service.message(await host.as_("owner"), said["id"])


async def test_reloading_peers_says_what_changed(host: Host) -> None:
    told = await host.service.reload_peers(await host.owner())
    assert (told["peers"], told["added"], told["removed"]) == (0, [], 0)


async def test_accepting_nobody_names_what_is_near(host: Host) -> None:
    for word in ("nobody", "mk1nonsense"):
        with pytest.raises((NotFound, BadInput)):
            await host.service.accept_peer(await host.owner(), word)
    with pytest.raises(NotFound):
        await host.service.forget_peer(await host.owner(), "nobody")


async def test_a_cursor_of_another_replica_is_refused_and_one_from_a_page_never(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.post("owner", "one")
        speaker = await host.owner()
        newest = host.node.visible.seq
        with pytest.raises(BadInput) as no:
            await host.service.stream_page(speaker, after_seq=newest + 1, channel=None, user=None, limit=10)
        assert no.value.code == "cursor_ahead"
        host.node.visible.seq = newest - 1  # as in the instant between a commit and the news of it
        page = await host.service.stream_page(speaker, after_seq=0, channel=None, user=None, limit=10)
        again = await host.service.stream_page(
            speaker, after_seq=page.items[-1]["seq"], channel=None, user=None, limit=10
        )
        assert again.items == []
