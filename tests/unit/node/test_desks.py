"""The two desks of pairing over a real database: each step commits, and done again changes nothing."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import msgpack
import pytest

from maw.core.identity import Signer, key_text
from maw.core.pairing import InviteLine, parse_line
from maw.core.revocation import revocation_statement
from maw.core.statement import admit, found
from maw.errors import Ambiguous, BadInput, MawError, NotFound, Refused
from maw.node.desks import Welcome, pack_acceptance, read_welcome
from maw.node.keptkey import open_kept_key
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running

JOINER = Signer(b"j" * 32)
OTHER = Signer(b"o" * 32)


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        yield one


async def invited(host: Host, **more: Any) -> InviteLine:
    return parse_line(await host.invite(**more))


def acceptance(host: Host, signer: Signer = JOINER, **changed: Any) -> bytes:
    colony = changed.get("colony", host.node.membership.book.colony)
    ours = admit(signer, colony, host.me, "mbp", (), False, 1)
    return pack_acceptance(ours.wire, changed.get("name", "joiner"), changed.get("where", ("1.2.3.4:5",)))


@pytest.mark.parametrize("odd", [{"ttl_s": 0}, {"ttl_s": 31 * 86400}, {"uses": 1001}, {"ttl_s": -5}])
async def test_invites_have_bounds(host: Host, odd: dict[str, int]) -> None:
    with pytest.raises(BadInput):
        await host.invite(**odd)


async def test_an_invite_says_where_and_until_when(host: Host) -> None:
    line = await invited(host, ttl_s=100)
    assert line.node == host.me
    assert line.addresses == host.node.mesh.addresses()
    assert abs(line.expires_at - time.time() - 100) < 3
    kept = await host.node.inviting.find(line.invite_id)
    assert kept is not None
    assert kept.secret == line.secret
    assert await host.node.inviting.find(b"?" * 16) is None


async def test_old_invites_are_cleared_away(host: Host) -> None:
    line = await invited(host, ttl_s=1)
    await host.node.db.writing.execute("UPDATE invites SET expires = 1")
    await invited(host)
    assert await host.node.inviting.find(line.invite_id) is None


async def test_open_invites_are_listed_without_what_opens_them(host: Host) -> None:
    spent, line, many = [await invited(host, uses=uses, ttl_s=60 * uses) for uses in (1, 2, 3)]
    await host.node.inviting.claim(spent.invite_id, JOINER.node, "joiner", time.time())
    await host.node.inviting.claim(many.invite_id, JOINER.node, "joiner", time.time())
    listed = await host.service.open_invites(await host.owner())
    assert [item["id"] for item in listed] == [one.invite_id.hex()[:8] for one in (line, many)]
    assert [(use["name"], use["key"]) for use in listed[1]["used"]] == [("joiner", key_text(JOINER.node))]
    assert line.secret.hex() not in str(listed)
    await host.node.db.writing.execute("UPDATE invites SET expires = 1")
    assert await host.service.open_invites(await host.owner()) == []


async def test_a_withdrawn_invite_is_good_for_nothing(host: Host) -> None:
    desk, line, other = host.node.inviting, await invited(host), await invited(host)
    await desk.claim(line.invite_id, JOINER.node, "joiner", time.time())  # used up, not completed
    with pytest.raises(NotFound):
        await desk.withdraw(line.invite_id.hex()[:8])
    wide = await invited(host, uses=2)
    await desk.claim(wide.invite_id, JOINER.node, "joiner", time.time())
    ended = await host.service.withdraw_invite(await host.owner(), wide.invite_id.hex()[:8].upper())
    assert ended["id"] == wide.invite_id.hex()[:8]
    with pytest.raises(Refused) as no:
        await desk.complete(wide.invite_id, JOINER.node, acceptance(host))
    assert no.value.code == "unknown"
    assert JOINER.node not in host.node.membership.book.trusted
    assert [invite.invite_id for invite in await desk.open_invites()] == [other.invite_id]
    for word in ("", "zz", wide.invite_id.hex()[:8]):
        with pytest.raises(NotFound):
            await desk.withdraw(word)


async def test_a_piece_that_two_invites_begin_with_withdraws_neither(host: Host) -> None:
    for _ in range(17):  # of 17 two begin with the same hexadecimal digit
        await invited(host)
    ids = [invite.name for invite in await host.node.inviting.open_invites()]
    digit = next(name[0] for name in ids if sum(other[0] == name[0] for other in ids) > 1)
    with pytest.raises(Ambiguous) as no:
        await host.node.inviting.withdraw(digit)
    assert sorted(no.value.candidates) == sorted(name for name in ids if name[0] == digit)
    assert len(await host.node.inviting.open_invites()) == 17


async def test_a_claim_is_for_one_and_his_for_ever(host: Host) -> None:
    desk, line = host.node.inviting, await invited(host)
    now = time.time()
    welcome = await desk.claim(line.invite_id, JOINER.node, "joiner", now)
    assert read_welcome(welcome) == read_welcome(
        await desk.claim(line.invite_id, JOINER.node, "joiner", now + 9)
    )
    with pytest.raises(Refused) as no:
        await desk.claim(line.invite_id, OTHER.node, "other", now)
    assert no.value.code == "used"
    with pytest.raises(Refused) as no:
        await desk.claim(b"?" * 16, JOINER.node, "joiner", now)
    assert no.value.code == "unknown"
    kept = await desk.find(line.invite_id)
    assert kept is not None
    assert [use.joiner for use in kept.used] == [JOINER.node]
    assert JOINER.node not in host.node.membership.book.trusted, "claimed is not trusted"


async def test_a_completed_pairing_trusts_admits_and_stays(host: Host) -> None:
    desk, line = host.node.inviting, await invited(host, introducer=True)
    await desk.claim(line.invite_id, JOINER.node, "joiner", time.time())
    for _ in range(2):
        await desk.complete(line.invite_id, JOINER.node, acceptance(host))
    member = host.node.membership.book.trusted[JOINER.node]
    assert (member.name, member.how) == ("joiner", "invited")
    assert "1.2.3.4:5" in member.addresses
    assert JOINER.node in host.node.membership.book.introducers
    assert len(await host.node.db.rows("SELECT * FROM pins")) == 1
    assert len(await host.node.db.rows("SELECT * FROM statements")) == 3, "founding, our admit, theirs"


async def test_nobody_completes_what_he_did_not_claim(host: Host) -> None:
    desk, line = host.node.inviting, await invited(host)
    with pytest.raises(Refused):
        await desk.complete(line.invite_id, JOINER.node, acceptance(host))
    await desk.claim(line.invite_id, OTHER.node, "other", time.time())
    with pytest.raises(Refused) as no:
        await desk.complete(line.invite_id, JOINER.node, acceptance(host))
    assert no.value.code == "unknown"
    assert host.node.membership.book.trusted == {}


async def test_malformed_acceptances(host: Host) -> None:
    desk, line = host.node.inviting, await invited(host)
    await desk.claim(line.invite_id, JOINER.node, "joiner", time.time())
    good: list[Any] = msgpack.unpackb(acceptance(host))
    for bad in (
        b"", b"\xc1", msgpack.packb([1, 2, 3]), msgpack.packb(good[:2]),
        msgpack.packb([good[0][:-1] + b"x", *good[1:]]), acceptance(host, OTHER),
        acceptance(host, name="x" * 65), acceptance(host, where=("a",) * 17),
        acceptance(host, colony=b"x" * 32),
    ):  # fmt: skip
        with pytest.raises(Refused):
            await desk.complete(line.invite_id, JOINER.node, bad)
    assert host.node.membership.book.trusted == {}


async def test_confirming_needs_an_invite_that_asks_for_it(host: Host) -> None:
    plain, asks = await invited(host), await invited(host, confirm=True)
    desk = host.node.inviting
    with pytest.raises(Refused):
        await desk.claim(asks.invite_id, JOINER.node, "joiner", time.time())
    await desk.confirm(JOINER.node)
    await desk.claim(asks.invite_id, JOINER.node, "joiner", time.time())
    with pytest.raises(Refused):
        await desk.claim(asks.invite_id, OTHER.node, "other", time.time())
    kept = await desk.find(plain.invite_id)
    assert kept is not None
    assert kept.confirmed == ()


async def test_confirming_for_nobody_is_not_called_a_success(host: Host) -> None:
    await invited(host)
    with pytest.raises(NotFound):
        await host.service.accept_peer(await host.owner(), key_text(JOINER.node))


FOUND = found(OTHER, "x", b"n" * 16, 1)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", msgpack.packb([1]), Welcome(b"x", (), "n", ()).pack(),
     Welcome(FOUND.wire, (b"forged",), "n", ()).pack(), msgpack.packb([FOUND.wire, [], 5, []]),
     msgpack.packb([FOUND.wire, [], "n", [5]]), msgpack.packb([FOUND.wire, 5, "n", []])],
)  # fmt: skip
def test_malformed_welcomes(data: bytes) -> None:
    with pytest.raises(BadInput) as no:
        read_welcome(data)
    assert no.value.code == "bad_welcome"


async def test_the_joiner_takes_the_colony_of_its_line_and_no_other(host: Host) -> None:
    desk = host.node.joiner._desk
    before = host.node.membership.book.colony
    line = InviteLine(b"c" * 32, OTHER.node, "other", ("1.2.3.4:5",), b"s" * 16, int(time.time()) + 60)
    await desk.begin(line)
    assert not desk.is_in(line)
    for welcome in (
        Welcome(FOUND.wire, (), "other", ()),
        Welcome(admit(OTHER, b"c" * 32, OTHER.node, "x", (), False, 1).wire, (), "other", ()),
    ):
        with pytest.raises(MawError):
            await desk.welcomed(line, welcome.pack())
    assert host.node.membership.book.colony == before
    await desk.finished(line)
    assert await host.node.db.rows("SELECT * FROM joins") == []


async def test_a_revoked_key_is_told_so_and_uses_up_no_invite(host: Host) -> None:
    line = await invited(host)
    book = host.node.membership.book
    key = open_kept_key(host.node.home.path / "operator.key", "operator", lambda: "")
    gone = revocation_statement(key, book.colony, JOINER.node, {}, (), "stolen", 1)
    await host.node.membership.keep([gone])
    with pytest.raises(Refused, match="no invite brings it back") as refused:
        await host.node.inviting.claim(line.invite_id, JOINER.node, "another-name", time.time())
    assert refused.value.code == "revoked"
    kept = await host.node.inviting.find(line.invite_id)
    assert kept is not None and not kept.used
