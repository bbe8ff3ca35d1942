"""Signed history given away: what somebody may read is proved, the rest is there and says nothing."""

from __future__ import annotations

import json
from typing import Any

from maw.core.audit import NOT_ASKED, NOT_YOURS, Checker, Report, Word, Writer
from maw.core.editing import Edit
from maw.core.entry import Kind, Position
from maw.core.identity import parse_key
from maw.core.message_ids import message_id
from maw.core.queries import parse
from tests.conftest import MakeHome
from tests.integration.nodes import Host, acquainted, all_running, pair, running, settle, until


async def exported(
    host: Host, name: str | None, *, sparse: bool = False, **filters: str
) -> tuple[Report, list[Word]]:
    """As `maw audit export` makes it and `maw audit check` reads it; pages of three."""
    service = host.service
    speaker = await host.owner() if name is None else await host.as_(name)
    query = parse("", 0, **filters) if filters else None
    head, writer = service.audit_head(), Writer()
    first = {"maw-audit": 1, "colony": head["colony"], "found": head["found"], "node": head["node"], "at": 0}
    lines = [writer.line({**first, "asked": filters, "sparse": sparse})]
    lines += [writer.line({"statement": wire}) for wire in head["statements"]]
    for log in head["logs"]:
        lines.append(writer.line({"log": [log["author"], log["epoch"]]}))
        at = 0
        while at < log["last"]:
            page = await service.audit_page(
                speaker,
                parse_key(log["author"]),
                log["epoch"],
                after_seq=at,
                limit=3,
                query=query,
                sparse=sparse,
            )
            assert page.next_seq > at
            at = page.next_seq
            lines += [writer.line(line) for line in page.items]
    checker = Checker()
    words = [word for line in [*lines, writer.end()] if (word := checker.feed(line)) is not None]
    report = checker.finish()
    assert report.problems == []
    return report, words


def texts(words: list[Word]) -> list[str]:
    return [word.said.text for word in words]


async def test_what_one_may_read_is_proved_and_nothing_else(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as one, running(make_home("pi")) as two:
        await one.add("neo", "trin")
        await two.add("arthur")
        await pair(one, two)
        await acquainted(one, two)
        await one.post("neo", "in public")
        await one.send("neo", "arthur@pi", "for arthur")
        await one.send("neo", "trin", "for trin")
        gone = await one.post("neo", "a slip of the tongue")
        await one.service.redact(await one.as_("neo"), [gone["id"]], None)
        await two.receives("arthur", ["for arthur"])
        await holds_all_of(two, one)

        report, words = await exported(two, "arthur")
        assert texts(words) == ["in public", "for arthur"]
        assert report.left_out[NOT_YOURS] == 1
        assert report.left_out["redacted"] == 1
        assert texts((await exported(one, "neo"))[1]) == ["in public", "for arthur", "for trin"]
        assert texts((await exported(one, "trin"))[1]) == ["in public", "for trin"]
        assert texts((await exported(one, None))[1]) == ["in public"], (
            "who administers reads no more than others"
        )
        assert "a slip" not in json.dumps([str(word) for word in words])


async def test_what_is_asked_for_is_told_apart(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("neo", "trin")
        await host.service.add_channel(await host.as_("neo"), "ops")
        for name, text, channel in (
            ("neo", "one", "general"),
            ("neo", "two", "ops"),
            ("trin", "three", "ops"),
        ):
            await host.post(name, text, channel)
        report, words = await exported(host, "neo", channel="ops")
        assert texts(words) == ["two", "three"]
        assert report.left_out[NOT_ASKED] >= 1
        whole = report.entries
        assert texts((await exported(host, "neo", author="neo"))[1]) == ["one", "two"]
        assert texts((await exported(host, "neo", author="neo@mbp", channel="ops"))[1]) == ["two"]
        assert texts((await exported(host, "neo", until="2020-01-01"))[1]) == []
        report, words = await exported(host, "neo", sparse=True, channel="ops")
        assert texts(words) == ["two", "three"]
        assert NOT_ASKED not in report.left_out and report.entries < whole


async def test_an_edit_of_what_is_not_yours_is_not_yours(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.add("neo", "trin", "cypher")
        secret = await host.send("neo", "trin", "the first wording")
        await edit(host, "neo", secret["id"], "the second wording")
        for name, own in (("trin", 0), ("cypher", 2)):
            report, _ = await exported(host, name)
            assert report.left_out[NOT_YOURS] == own
        public = await host.post("neo", "an opinion")
        await edit(host, "neo", public["id"], "a better opinion")
        report, _ = await exported(host, "cypher")
        assert report.left_out[NOT_YOURS] == 2


async def test_a_sealed_edit_of_itself_is_nobodys_and_stops_no_audit(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await settle(mbp, oracle)
        await until(lambda: len(mbp.node.state.seal_keys) == 2, "keys are known")
        node, arthur = mbp.node, mbp.node.state.local["arthur"]
        for ahead in (1, 0):  # one edits itself, the other an edit
            epoch, head = node.state.newest_epoch(mbp.me)
            edit = Edit(arthur.id, message_id(Position(mbp.me, epoch, head.seq + ahead)), "x", ())
            content, _ = node.sealing.seal(Kind.EDIT, edit.content(), {oracle.me}, itself=False)
            await node.authoring.say(Kind.PRIVATE, content)
        await holds_all_of(oracle, mbp)
        report, _ = await exported(oracle, "neo")
        assert report.left_out[NOT_YOURS] == 2


async def holds_all_of(one: Host, other: Host) -> None:
    def same() -> bool:
        return all(one.held().get(at) == seq for at, seq in other.held().items() if at[0] == other.me)

    await until(same, "it holds all that the other said")


async def edit(host: Host, name: str, ref: str, text: str) -> Any:
    return await host.service.edit(await host.as_(name), ref, text, idempotency_key=None, insist=False)


async def test_a_page_never_counts_what_it_did_not_look_at(make_home: MakeHome) -> None:
    """Else whoever goes on from there, while a commit is under way, skips what that commit brings."""
    async with running(make_home("mbp")) as one:
        await one.post("owner", "hi")
        epoch, head = one.node.state.newest_epoch(one.me)
        row = one.node.state.logs[one.me, epoch]
        row.head = head._replace(seq=head.seq + 5)  # as while a batch is being written
        try:
            for after, limit, reached in ((0, 500, head.seq), (head.seq, 500, head.seq), (10_000, 1, 10_000)):
                page = await one.service.audit_page(
                    await one.owner(), one.me, epoch, after_seq=after, limit=limit, query=None, sparse=False
                )
                assert page.next_seq == reached
        finally:
            row.head = head
