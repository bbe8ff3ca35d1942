"""Direct messages that only the hosts of their author and recipients can read; every other replica holds ciphertext."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maw.api.backend import Json
from maw.core.colony import Said
from maw.core.entry import Entry, Kind, unpack_payload
from maw.core.seal_keys import KEEP_MS, unpack
from maw.errors import BadConfig, Conflict, NotFound, Unavailable
from maw.node.home import NodeHome, read_key
from maw.node.node import open_node
from maw.node.sealing import SURE_S
from maw.store.fold import Fold
from maw.store.rederiving import Rederiving
from maw.store.sealed import fold_sealed
from maw.store.verifying import verify_database
from tests.conftest import MakeHome
from tests.integration.nodes import Host, all_running, config_of, pair, running, settle, until
from tests.integration.test_forks import TimeMachine

SECRET = "the horse is called Quicksilver"


async def three(mbp: Host, oracle: Host, pi: Host) -> None:
    await settle(mbp, oracle)
    await pi.add("trillian")
    await pair(mbp, pi)
    await until(lambda: oracle.linked(pi), "all know each other")
    await until(
        lambda: all(len(host.node.state.seal_keys) == 3 for host in (mbp, oracle, pi)), "keys are known"
    )


def on_disk(home: NodeHome, names: str = "colony.db*") -> bytes:
    return b"".join(path.read_bytes() for path in sorted(home.path.glob(names)))


def has(host: Host, author: Host) -> bool:
    return (
        host.held().items() >= {log: seq for log, seq in author.held().items() if log[0] == author.me}.items()
    )


async def says(host: Host, ref: str, name: str) -> Json:
    return await host.service.message(await host.as_(name), ref)


async def test_only_the_two_hosts_can_read_it(make_home: MakeHome) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle", "pi")]
    async with all_running(*homes) as (mbp, oracle, pi):
        await three(mbp, oracle, pi)
        sent = await mbp.send("arthur", "@neo", SECRET)
        assert sent["message"]["sealed"] is True
        await oracle.receives("neo", [SECRET])
        other = SECRET.replace("Quick", "Slow")
        await mbp.service.edit(await mbp.as_("arthur"), sent["id"], other, idempotency_key=None)
        await until(lambda: has(pi, mbp) and has(oracle, mbp), "all logs are everywhere")
        neo = await oracle.as_("neo")
        assert (await says(oracle, sent["id"], "neo"))["text"] == other
        assert [one["text"] for one in await oracle.service.history(neo, sent["id"])] == [SECRET, other]
        answer = await oracle.send("neo", "arthur", "whose horse?", reply_to=sent["id"])
        await mbp.receives("arthur", ["whose horse?"])
        assert (await says(mbp, answer["id"], "arthur"))["reply_to"] == sent["id"]
        with pytest.raises(NotFound):
            await says(pi, sent["id"], "trillian")
        await until(lambda: has(pi, oracle), "the answer is here too")
        for home, known in zip(homes, (True, True, False), strict=True):
            with closing(sqlite3.connect(home.database)) as conn:
                keys = conn.execute("SELECT count(*) FROM opened").fetchone()[0]
            found = (
                on_disk(home) if known else on_disk(home, "*")
            )  # who may read it has its words in his search index
            assert (b"silver" in found, b"horse" in found, keys) == (False, False, 3 * known)
    async with running(homes[1]) as oracle:
        assert (await says(oracle, sent["id"], "neo"))["text"] == other


async def test_on_one_host_too_and_its_recipient_gets_it_once(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as mbp:
        await mbp.add("arthur", "ford")
        sent = await mbp.send("arthur", "ford", SECRET, idempotency_key="k1")
        again = await mbp.send("arthur", "ford", SECRET, idempotency_key="k1")
        assert (again["id"], await mbp.texts("ford")) == (sent["id"], [SECRET])
        assert b"Quicksilver" not in on_disk(mbp.node.home)
        found = await mbp.service.sent(await mbp.as_("arthur"), limit=5)
        assert [one["text"] for one in found] == [SECRET]
        await mbp.service.redact(await mbp.as_("arthur"), [sent["id"]], None)
        assert (await says(mbp, sent["id"], "ford"))["text"].startswith("[redacted")
        assert await mbp.node.db.rows("SELECT * FROM opened", ()) == []


async def test_who_was_alone_and_joins_takes_his_sealed_words_along(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await oracle.add("neo", "trin")
        sent = await oracle.send("neo", "trin", SECRET)
        await oracle.service.edit(await oracle.as_("neo"), sent["id"], SECRET + "!", idempotency_key=None)
        await pair(mbp, oracle)
        assert [(one["text"], one["edits"]) for one in await oracle.inbox("trin")] == [(SECRET + "!", 1)]
        await mbp.add("arthur")
        await until(lambda: has(mbp, oracle), "its log is here")
        assert not await mbp.alerts()
        assert len(await mbp.node.db.rows("SELECT * FROM seal_keys", ())) == 2
        await mbp.send("arthur", "trin", "hello")
        await oracle.receives("trin", [SECRET + "!", "hello"])


async def test_nothing_goes_in_the_open_but_on_insistence(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await settle(mbp, oracle)
        mbp.node.state.seal_keys.pop(mbp.node.state.nodes[oracle.me].n)
        head = mbp.node.state.newest_epoch(mbp.me)
        with pytest.raises(Conflict, match="oracle has not named a key") as refused:
            await mbp.send("arthur", "neo", SECRET)
        assert (refused.value.code, mbp.node.state.newest_epoch(mbp.me)) == ("no_seal_key", head)
        sent = await mbp.send("arthur", "neo", SECRET, in_the_open=True)
        await oracle.receives("neo", [SECRET])
        assert "sealed" not in sent["message"]


async def test_what_its_key_was_deleted_for_is_told_to_its_author(make_home: MakeHome) -> None:
    homes = (make_home("mbp"), make_home("oracle"))
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        oracle.node.state.halves = {}
        sent = await mbp.send("arthur", "neo", SECRET)
        await until(lambda: has(oracle, mbp), "it is there")
        assert await oracle.texts("neo") == []
        alert = await oracle.alert("set_aside")
        assert "sealed for a key of this host's that was deleted" in alert["text"]

        async def told() -> Json:
            found = (await mbp.service.sent(await mbp.as_("arthur"), limit=1))[0]["recipients"][0]
            return {name: found[name] for name in ("agent", "state", "why")}

        seen: list[Json] = []
        for _ in range(3000):
            seen = [await told()]
            if seen[0]["state"] == "failed":
                break
            await mbp.node.visible.wait(mbp.node.visible.seq, 0.01)
        why = "its key there was deleted: send it again"
        assert seen == [{"agent": "neo@oracle", "state": "failed", "why": why}], sent
        assert await oracle.node.db.rows("SELECT * FROM unopened", ()) == []


async def full(*_: object, **__: object) -> None:
    raise Unavailable("the disk is full", code="read_only")


async def test_keys_are_replaced_and_deleted_and_what_was_opened_stays(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home("mbp")
    async with running(home) as mbp:
        await mbp.add("arthur", "ford")
        await mbp.send("arthur", "ford", SECRET)
        (first,) = unpack(home.seal_keys.read_bytes())
        assert home.seal_keys.stat().st_mode & 0o777 == 0o600
        for days in (8, 8 + 31):
            later = first.made_ms + days * (KEEP_MS // 30)
            monkeypatch.setattr("maw.node.sealing.wall_clock_ms", lambda later=later: later)
            await mbp.node.sealing.keep()
        assert len(unpack(home.seal_keys.read_bytes())) == 3, (
            "nothing is deleted at the first word of a clock"
        )
        await mbp.node.sealing.keep()
        assert len(unpack(home.seal_keys.read_bytes())) == 3
        now = time.monotonic() + SURE_S
        mbp.node.sealing._monotonic = lambda: now
        await mbp.node.sealing.keep()
        ring = unpack(home.seal_keys.read_bytes())
        assert len(ring) == 2
        assert first.secret not in [pair.secret for pair in ring]
        assert await mbp.texts("ford") == [SECRET]
        real = mbp.node.authoring.say
        monkeypatch.setattr("maw.node.sealing.wall_clock_ms", lambda: first.made_ms + 3 * KEEP_MS)
        monkeypatch.setattr(mbp.node.authoring, "say", full)
        for _ in range(2):
            with pytest.raises(Unavailable):
                await mbp.node.sealing.keep()
        unsaid = unpack(home.seal_keys.read_bytes())
        monkeypatch.setattr(mbp.node.authoring, "say", real)
        await mbp.node.sealing.keep()
        assert (len(unsaid), unpack(home.seal_keys.read_bytes())) == (2, unsaid), (
            "one key, said when it could be"
        )
        named = await mbp.node.db.rows("SELECT seq FROM seal_keys", ())
        await mbp.node.sealing.keep()
        assert await mbp.node.db.rows("SELECT seq FROM seal_keys", ()) == named, "nothing is due"
        me = mbp.me
    with closing(sqlite3.connect(home.database, isolation_level=None)) as conn:
        assert verify_database(conn, me=me).sound
        conn.execute("BEGIN")
        conn.execute("DELETE FROM messages")
        assert Rederiving(conn, me).run(()) == 1
        conn.execute("COMMIT")
        assert verify_database(conn, me=me).sound
    async with running(home) as mbp:
        assert await mbp.texts("ford") == [SECRET]


@pytest.mark.parametrize(
    ("data", "mode", "why"),
    [(b"maw-seal-keys-1\n", 0o644, "read by others"), (b"x", 0o600, "no sealing keys")],
)
async def test_a_file_that_is_open_or_damaged_is_told_at_the_start(
    make_home: MakeHome, data: bytes, mode: int, why: str
) -> None:
    home = make_home("mbp")
    home.seal_keys.write_bytes(data)
    home.seal_keys.chmod(mode)
    with pytest.raises(BadConfig, match=why):
        async with open_node(home, config_of(home), read_key(home.key)):
            pass


async def payload_of(host: Host, seq: int) -> dict[str, Any]:
    sql = "SELECT e.payload FROM messages m JOIN entries e ON e.place = m.place WHERE m.seq = ?"
    (row,) = await host.node.db.rows(sql, (seq,))
    return unpack_payload(row[0])


def lying(monkeypatch: pytest.MonkeyPatch, liar: Host) -> None:
    """This host says whatever it likes: it does not look into it."""

    def look(at: Fold, entry: Entry, place: int, said: Said | None) -> int | None:
        return None if at.me == liar.me else fold_sealed(at, entry, place, said)

    monkeypatch.setattr("maw.store.fold.fold_sealed", look)


async def test_a_copy_in_another_log_is_nobodys_word(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third host says what two others sealed, as its own and changed; and what only looks like it."""
    async with all_running(*(make_home(name) for name in ("mbp", "oracle", "pi"))) as (mbp, oracle, pi):
        await three(mbp, oracle, pi)
        sent = await mbp.send("arthur", "neo", SECRET)
        await oracle.receives("neo", [SECRET])
        copy = await payload_of(mbp, sent["seq"])
        trillian = pi.node.state.local["trillian"].id
        lying(monkeypatch, pi)
        forged = [
            copy,
            copy | {"agent": trillian},
            copy | {"keys": copy["keys"][::-1]},
            copy | {"eph": bytes(32)},
            copy | {"box": bytes(len(copy["box"]))},
            copy | {"box": b""},
            copy | {"keys": copy["keys"] * 100},
            copy | {"keys": [[b"", 1]]},
            {},
        ]
        for content in forged:
            await pi.node.authoring.say(Kind.PRIVATE, content)
        await pi.post("trillian", "after all that")
        await until(lambda: has(oracle, pi) and has(mbp, pi), "all of it is here")
        for host in (mbp, oracle):
            aside = await host.node.db.rows("SELECT why FROM set_aside", ())
            assert len(aside) == len(forged)
            assert await host.channel() == ["after all that"]
        assert await oracle.texts("neo") == [SECRET]


async def test_a_database_that_was_lost_opens_what_comes_back(make_home: MakeHome) -> None:
    homes = (make_home("mbp"), make_home("oracle"))
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        await mbp.send("arthur", "neo", SECRET)
        await oracle.send("neo", "arthur", "whose?")
        await oracle.receives("neo", [SECRET])
        await mbp.receives("arthur", ["whose?"])
        oracle.stop.set()
        assert oracle.task is not None
        await oracle.task
        for path in homes[1].path.glob("colony.db*"):
            path.unlink()
        async with running(homes[1]) as again:
            await until(lambda: "neo" in again.node.state.local, "its own log is back")
            await again.receives("neo", [SECRET])
            found = await again.service.sent(await again.as_("neo"), limit=5)
            assert [one["text"] for one in found] == ["whose?"]


async def test_many_recipients_and_a_crowd_of_hosts(make_home: MakeHome) -> None:
    async with all_running(*(make_home(name) for name in ("mbp", "oracle", "pi"))) as (mbp, oracle, pi):
        await three(mbp, oracle, pi)
        await mbp.service.post_direct(
            await mbp.as_("arthur"), ["neo", "trillian"], SECRET, reply_to=None, idempotency_key=None
        )
        await oracle.receives("neo", [SECRET])
        await pi.receives("trillian", [SECRET])


async def test_a_branch_that_is_published_again_stays_sealed_edited_and_answered(
    make_home: MakeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said after a restore that nobody noticed, at places that others hold other words of."""
    same = SimpleNamespace(boot="b", machine="m", file="f", text=lambda: "b|m|f")
    monkeypatch.setattr("maw.node.opening.take_fingerprint", lambda _: same)
    homes = (make_home("mbp"), make_home("oracle"))
    async with all_running(*homes) as (mbp, oracle):
        await settle(mbp, oracle)
        await until(lambda: has(oracle, mbp), "it is there")
    night = TimeMachine(homes[0], tmp_path / "night")
    async with all_running(*homes) as (mbp, oracle):
        for n in range(3):
            await mbp.send("arthur", "neo", f"today {n}")
        await until(lambda: has(oracle, mbp), "it is there")
    night.back()
    async with running(homes[0]) as mbp:
        dark = await mbp.send("arthur", "neo", "in the drak")
        await mbp.service.edit(await mbp.as_("arthur"), dark["id"], SECRET, idempotency_key=None)
        await mbp.send("arthur", "neo", "and on", reply_to=dark["id"])
    async with all_running(*homes) as (mbp, oracle):
        await mbp.alert("own_fork")
        await until(lambda: mbp.held() == oracle.held(), "all hold the same")
        for host, texts in (
            (oracle, [one["text"] for one in await oracle.inbox("neo")]),
            (mbp, [one["text"] for one in await mbp.service.sent(await mbp.as_("arthur"), limit=9)]),
        ):
            assert sorted(texts) == sorted(["today 0", "today 1", "today 2", SECRET, "and on"]), host
        by_text = {one["text"]: one for one in await oracle.inbox("neo")}
        assert by_text["and on"]["reply_to"] == by_text[SECRET]["id"] != dark["id"]
        assert by_text[SECRET]["edits"] == 1
    for home, host in zip(homes, (mbp, oracle), strict=True):
        with closing(sqlite3.connect(home.database)) as conn:
            assert verify_database(conn, me=host.me).sound
