"""Two real nodes: paired, linked, talking; one away and back; what is said of it is true."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from maw.errors import Conflict, NotFound, Refused
from tests.conftest import MakeHome
from tests.integration.nodes import Host, acquainted, all_running, pair, running, until


@pytest.fixture
async def two(make_home: MakeHome) -> AsyncIterator[tuple[Host, Host]]:
    """``mbp`` with arthur and ``oracle`` with neo, paired and linked."""
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await mbp.add("arthur")
        await oracle.add("neo")
        await pair(mbp, oracle)
        await acquainted(mbp, oracle)
        yield mbp, oracle


async def test_a_direct_message_arrives_and_its_answer_too(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    sent = await oracle.send("neo", "@arthur", "what is 6 × 7?")
    assert sent["recipients"][0] == {
        **sent["recipients"][0], "agent": "arthur@mbp", "host": "mbp", "online": True
    }  # fmt: skip
    await mbp.receives("arthur", ["what is 6 × 7?"])
    question = (await mbp.inbox("arthur"))[0]
    assert question["id"] == sent["id"], "one id on every replica"
    assert (question["kind"], question["why"], question["author"]) == ("direct", "direct", "neo@oracle")
    await mbp.send("arthur", "neo", "42", reply_to=question["id"])
    await oracle.receives("neo", ["42"])
    answer = (await oracle.inbox("neo"))[0]
    assert answer["reply_to"] == sent["id"]


async def test_a_post_with_mentions_is_read_on_both_sides(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    await oracle.post("neo", "hello @arthur and `@nobody`")
    await mbp.receives("arthur", ["hello @arthur and `@nobody`"])
    assert await mbp.channel() == await oracle.channel() == ["hello @arthur and `@nobody`"]
    page = await mbp.service.mentions_page(await mbp.owner(), "arthur", after_seq=0, limit=10)
    assert [item["text"] for item in page.items] == ["hello @arthur and `@nobody`"]


async def test_a_direct_message_is_for_its_readers_only(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    await mbp.add("ford")
    sent = await oracle.send("neo", "arthur", "a secret")
    await mbp.receives("arthur", ["a secret"])
    assert (await mbp.service.message(await mbp.as_("arthur"), sent["id"]))["text"] == "a secret"
    with pytest.raises(NotFound):
        await mbp.service.message(await mbp.as_("ford"), sent["id"])
    page = await mbp.service.stream_page(
        await mbp.as_("ford"), after_seq=0, channel=None, user=None, limit=100
    )
    assert "a secret" not in [item["text"] for item in page.items]
    assert page.next_seq == mbp.node.visible.seq


async def test_replicated_is_said_when_it_is_so_and_not_before(
    two: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    mbp, oracle = two
    held_back: list[asyncio.Event] = []
    commit = mbp.node.writer.submit_nowait

    def slow(work: object, after: object = None) -> object:
        gate = asyncio.Event()
        held_back.append(gate)

        async def wait_and_work(conn: object) -> object:
            await gate.wait()
            return await work(conn)  # type: ignore[operator]

        return commit(wait_and_work, after)  # type: ignore[arg-type]

    monkeypatch.setattr(mbp.node.writer, "submit_nowait", slow)
    sent = await oracle.send("neo", "arthur", "hi")
    assert sent["state"] == "stored"
    await until(lambda: held_back, "the batch is on its way to the disk")
    assert (await oracle.service.wait_reached(sent["id"], 0.15))["state"] == "stored"
    waiting = asyncio.ensure_future(oracle.service.wait_reached(sent["id"], 10))
    await asyncio.sleep(0)
    held_back[0].set()
    receipt = await waiting
    assert receipt["state"] == "replicated"
    assert receipt["recipients"][0]["state"] == "replicated"
    mine = await oracle.service.sent(await oracle.as_("neo"), limit=5)
    assert [(item["text"], item["state"]) for item in mine] == [("hi", "replicated")]
    for gate in held_back:
        gate.set()


async def test_acked_stays_acked_and_the_rest_is_there_again(make_home: MakeHome) -> None:
    home, other = make_home("mbp"), make_home("oracle")
    async with all_running(home, other) as (mbp, oracle):
        await mbp.add("arthur")
        await oracle.add("neo")
        await pair(mbp, oracle)
        await acquainted(mbp, oracle)
        for text in ("one", "two", "three"):
            await oracle.send("neo", "arthur", text)
        await mbp.receives("arthur", ["one", "two", "three"])
        arthur = await mbp.as_("arthur")
        first = (await mbp.inbox("arthur"))[0]
        assert (await mbp.service.ack(arthur, [first["id"]]))["acked"] == [first["id"]]
        told = await mbp.service.ack(arthur, [first["id"], "zzzzzz-1-1", str(first["seq"])])
        assert told["already"] == [first["id"]] or told["already"] == [first["id"], first["id"]]
        assert told["unknown"] == ["zzzzzz-1-1"]
    async with running(home) as mbp:
        assert await mbp.texts("arthur") == ["two", "three"]
        assert len((await mbp.service.ack(await mbp.as_("arthur"), None))["acked"]) == 2
        assert await mbp.texts("arthur") == []


async def test_offline_it_is_stored_and_arrives_once_in_order_when_the_peer_is_back(
    make_home: MakeHome,
) -> None:
    mbp_home, oracle_home = make_home("mbp"), make_home("oracle")
    async with running(oracle_home) as oracle:
        await oracle.add("neo")
        async with running(mbp_home) as mbp:
            await mbp.add("arthur")
            await pair(mbp, oracle)
            await acquainted(mbp, oracle)
        await until(lambda: not oracle.node.board.all(), "the link ended")
        texts = [f"message {n}" for n in range(40)]
        for text in texts:
            sent = await oracle.send("neo", "arthur", text)
            assert sent["state"] == "stored"
            assert sent["recipients"][0]["online"] is False
            assert sent["recipients"][0]["last_seen"] is not None
        async with running(mbp_home) as mbp:
            await mbp.receives("arthur", texts)
            receipt = await oracle.service.wait_reached(sent["id"], 10)
            assert receipt["state"] == "replicated"
        async with running(mbp_home) as mbp:
            await until(lambda: mbp.linked(oracle), "linked again")
            assert await mbp.texts("arthur") == texts


async def test_both_speak_while_apart_and_end_with_the_same(make_home: MakeHome) -> None:
    homes = make_home("mbp"), make_home("oracle")
    async with all_running(*homes) as (mbp, oracle):
        await mbp.add("arthur")
        await oracle.add("neo")
        await pair(mbp, oracle)
        await acquainted(mbp, oracle)
    for home, name in zip(homes, ("arthur", "neo"), strict=True):
        async with running(home) as alone:
            for n in range(20):
                await alone.post(name, f"{name} {n} alone")
    async with all_running(*homes) as (mbp, oracle):
        await until(lambda: mbp.held() == oracle.held(), "the same entries on both")
        for host in (mbp, oracle):
            texts = await host.channel()
            assert sorted(texts) == sorted(
                f"{name} {n} alone" for name in ("arthur", "neo") for n in range(20)
            )
            for name in ("arthur", "neo"):
                own = [text for text in texts if text.startswith(name)]
                assert own == [f"{name} {n} alone" for n in range(20)], "FIFO per author"


async def test_a_burst_both_ways_at_once(two: tuple[Host, Host]) -> None:
    mbp, oracle = two

    async def talk(host: Host, name: str) -> list[str]:
        sent = await asyncio.gather(*(host.post(name, f"{name} {n}") for n in range(150)))
        return [item["id"] for item in sent]

    ids = await asyncio.gather(talk(mbp, "arthur"), talk(oracle, "neo"))
    assert len({*ids[0], *ids[1]}) == 300
    await until(lambda: mbp.held() == oracle.held(), "the same entries on both")
    for host in (mbp, oracle):
        texts = await host.channel()
        assert len(texts) == len(set(texts)) == 300
        for name in ("arthur", "neo"):
            assert [t for t in texts if t.startswith(name)] == [f"{name} {n}" for n in range(150)]


async def test_names_nobody_bears_and_names_that_two_bear(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    with pytest.raises(NotFound) as unknown:
        await oracle.send("neo", "@artur", "hi")
    assert unknown.value.candidates == ("arthur@mbp",)
    await oracle.add("arthur")
    with pytest.raises(Conflict) as both:
        await oracle.add("arthur")
    assert both.value.code == "agent_exists"
    from maw.errors import Ambiguous

    with pytest.raises(Ambiguous) as two_of_them:
        await oracle.send("neo", "arthur", "which?")
    assert set(two_of_them.value.candidates) == {"arthur@mbp", "arthur@oracle"}
    await oracle.send("neo", "arthur@mbp", "you")
    await mbp.receives("arthur", ["you"])
    assert await oracle.texts("arthur") == []


async def test_an_agent_of_that_name_that_comes_later_finds_the_mention(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    sent = await oracle.post("neo", "@zoe are you there?")
    assert sent["warnings"]
    await until(lambda: mbp.held() == oracle.held(), "it arrived")
    await mbp.add("zoe")
    assert await mbp.texts("zoe") == ["@zoe are you there?"]


async def test_a_removed_agent_is_gone_on_both_sides(two: tuple[Host, Host]) -> None:
    mbp, oracle = two
    await mbp.service.remove_user(await mbp.owner(), "arthur")
    await until(
        lambda: not any(row.name == "arthur" for row in oracle.node.directory.agents()), "arthur is gone"
    )
    with pytest.raises(NotFound):
        await oracle.send("neo", "arthur", "still there?")
    with pytest.raises(NotFound):
        await mbp.as_("arthur")


async def test_nobody_in_particular_cannot_speak(two: tuple[Host, Host]) -> None:
    mbp, _ = two
    stranger = await mbp.service.speaker_for_uid(54_321, None)
    with pytest.raises(Refused, match="no agent speaks"):
        await mbp.service.post_channel(stranger, "general", "hi", reply_to=None, idempotency_key=None)


async def test_a_stopped_node_has_written_all_it_acknowledged(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as mbp:
        await mbp.add("arthur")
        posts = [asyncio.ensure_future(mbp.post("arthur", f"post {n}")) for n in range(300)]
        await posts[0]
        mbp.stop.set()
        done = await asyncio.gather(*posts, return_exceptions=True)
        kept = [n for n, item in enumerate(done) if not isinstance(item, BaseException)]
        assert kept
    async with running(home) as mbp:
        texts = await mbp.channel()
        assert [text for text in texts if int(text[5:]) in kept] == [f"post {n}" for n in kept]
        assert len(texts) == len(set(texts))
