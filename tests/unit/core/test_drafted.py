"""Nothing is signed but what was asked for: every field of a draft that was changed is found and named."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from maw.core.authority import DISMISS, OPERATOR, dismissal_fields, grant_fields
from maw.core.drafted import MAX_APART_MS, compare, compare_word
from maw.core.entry import Head, Position
from maw.core.freezing import AGENT, ALL, CHANNEL, FREEZE, NODE, THAW, Target, freeze_fields, thaw_fields
from maw.core.identity import digest, key_text, short_key
from maw.core.message_ids import message_id
from maw.core.redaction import REDACT, redaction_fields
from maw.core.revocation import REVOKE, revocation_fields
from maw.errors import Refused
from tests.unit.core.builders import COLONY, signer

OTHER, HOST, THIRD = (signer(n).node for n in range(1, 4))
NOW = 10_000_000
ID = digest(b"x")
AN_ID = [message_id(Position(HOST, 36, seq)) for seq in (3, 4, 9)]
GRANT = {"name": "Ann", "key": key_text(OTHER), "rights": "order, freeze", "hosts": f"mbp,{key_text(THIRD)}"}
"""By a name and by a key."""

HONEST: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "grant": (OPERATOR, {**GRANT, "until_ms": 77}, grant_fields(OTHER, "ann", ["order", "freeze"], 77, [HOST, THIRD])),
    "everywhere": (
        OPERATOR, {**GRANT, "hosts": ""}, grant_fields(OTHER, "ann", ["order", "freeze"], None, []),
    ),
    "dismiss": (DISMISS, {"who": "ann"}, dismissal_fields(OTHER, [ID], [ID])),
    "dismiss by key": (DISMISS, {"who": key_text(OTHER)}, dismissal_fields(OTHER, [ID], [ID])),
    "revoke": (REVOKE, {"who": "mbp", "why": "lost"}, revocation_fields(HOST, {1: Head(3, ID)}, [ID], "lost")),
    "revoke one of two": (REVOKE, {"who": f"mbp~{short_key(HOST)}"}, revocation_fields(HOST, {}, [], "")),
    "freeze all": (FREEZE, {"who": "all"}, freeze_fields(Target(ALL, name="all"), "")),
    "freeze channel": (
        FREEZE, {"who": "#Noise", "why": "loud"},
        freeze_fields(Target(CHANNEL, channel="noise", name="#noise"), "loud"),
    ),
    "freeze agent": (FREEZE, {"who": "@neo"}, freeze_fields(Target(AGENT, HOST, bytes(16), name="neo@mbp"), "")),
    "freeze agent there": (
        FREEZE, {"who": "@neo@mbp"}, freeze_fields(Target(AGENT, HOST, bytes(16), name="neo@mbp"), ""),
    ),
    "freeze host": (FREEZE, {"who": "mbp"}, freeze_fields(Target(NODE, HOST, name="mbp"), "")),
    "freeze host by key": (FREEZE, {"who": key_text(HOST)}, freeze_fields(Target(NODE, HOST, name="mbp"), "")),
    "thaw": (THAW, {"who": "mbp"}, thaw_fields([ID])),
    "thaw by id": (THAW, {"who": ID.hex()[:12]}, thaw_fields([ID])),
    "redact": (REDACT, {"ids": AN_ID, "why": "pin"}, redaction_fields(HOST, 36, [(3, 4), (9, 9)], "pin")),
}  # fmt: skip


def compared(type_: str, asked: dict[str, Any], fields: dict[str, Any], /, **lie: Any) -> list[str]:
    wire = msgpack.unpackb(msgpack.packb(fields))
    return compare(
        type_,
        asked,
        **{"drafted": type_, "colony": COLONY, "at_ms": NOW, "fields": wire, "now_ms": NOW, **lie},
    )


@pytest.mark.parametrize("name", HONEST)
def test_what_was_asked_for_is_signed(name: str) -> None:
    compared(*HONEST[name])


def test_a_name_is_shown_with_the_key_it_was_taken_for() -> None:
    assert compared(*HONEST["dismiss"]) == [f"ann: {key_text(OTHER)}"]
    assert compared(*HONEST["grant"]) == [f"mbp: {key_text(HOST)}"]
    assert compared(*HONEST["freeze agent"]) == [f"@neo: neo@mbp on {key_text(HOST)}"]
    assert compared(*HONEST["thaw"]) == [f"mbp: lifts {ID.hex()[:12]}"]


LIES: list[tuple[str, str, object]] = [
    ("grant", "key", THIRD), ("grant", "name", "founders"), ("grant", "rights", ["delegate", "freeze", "order"]),
    ("grant", "until", None), ("grant", "until", 78), ("grant", "hosts", []), ("grant", "hosts", [HOST]),
    ("grant", "hosts", sorted([HOST, OTHER])), ("grant", "hosts", [HOST, OTHER, THIRD]),
    ("everywhere", "hosts", [HOST]), ("everywhere", "until", 5), ("dismiss by key", "key", THIRD),
    ("revoke", "why", "otherwise"), ("revoke", "new", THIRD), ("revoke one of two", "key", THIRD),
    ("freeze all", "what", NODE), ("freeze all", "why", "spite"), ("freeze channel", "channel", "general"),
    ("freeze channel", "what", ALL), ("freeze agent", "what", NODE), ("freeze agent", "name", "trinity@mbp"),
    ("freeze agent there", "name", "neo@oracle"), ("freeze agent", "channel", "general"),
    ("freeze agent", "agent", None),
    ("freeze host", "what", ALL), ("freeze host", "name", "oracle"), ("freeze host by key", "node", THIRD),
    ("thaw by id", "lifts", [digest(b"y")]), ("thaw", "lifts", []), ("redact", "author", THIRD),
    ("redact", "epoch", 37),
    ("redact", "seqs", [[1, 500]]), ("redact", "seqs", [[3, 4]]), ("redact", "why", ""), ("redact", "more", 1),
]  # fmt: skip


@pytest.mark.parametrize("name, field, value", LIES)
def test_what_was_not_asked_for_is_not(name: str, field: str, value: object) -> None:
    type_, asked, fields = HONEST[name]
    with pytest.raises(Refused, match="nothing was signed") as told:
        compared(type_, asked, {**fields, field: value})
    assert told.value.code == "draft_differs"
    if (name, field) not in (("freeze all", "what"), ("freeze agent", "name"), ("freeze agent there", "name"),
                             ("freeze agent", "what"), ("freeze host", "what"), ("freeze host", "name")):  # fmt: skip
        assert f": {field} is " in told.value.message, told.value.message


@pytest.mark.parametrize(
    "lie",
    [
        {"drafted": REVOKE}, {"colony": b""}, {"colony": "c"}, {"at_ms": NOW + MAX_APART_MS + 1}, {"at_ms": 1},
        {"at_ms": True}, {"fields": []}, {"fields": None},
    ],
)  # fmt: skip
def test_nor_under_another_head(lie: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=f"{next(iter(lie)).replace('drafted', 'type')} is"):
        compared(*HONEST["freeze all"], **lie)


def word(asked: dict[str, Any], targets: object, **lie: Any) -> tuple[str, ...]:
    return compare_word(
        asked, **{"colony": COLONY, "author": HOST, "at_ms": NOW, "targets": targets, "now_ms": NOW, **lie}
    )


def test_an_order_goes_where_it_was_meant_to_go() -> None:
    assert word({"channel": "general"}, ["#general"]) == ("#general",)
    assert word({"to": ["neo", "arthur@mbp"]}, ["neo@oracle", "arthur@mbp"]) == ("neo@oracle", "arthur@mbp")
    assert word({"to": ["neo", "neo@oracle"]}, ["neo@oracle"]) == ("neo@oracle",), "said twice, meant once"


@pytest.mark.parametrize(
    "asked, targets",
    [
        ({"channel": "general"}, ["#plans"]), ({"channel": "general"}, ["neo@mbp"]), ({"to": ["neo"]}, ["#general"]),
        ({"to": ["neo"]}, ["trinity@oracle"]), ({"to": ["neo"]}, ["neo@oracle", "trinity@oracle"]),
        ({"to": ["neo@mbp"]}, ["neo@oracle"]), ({"to": ["neo", "arthur"]}, ["neo@oracle"]), ({"to": ["neo"]}, []),
        ({"to": ["neo"]}, "neo@oracle"), ({"to": ["neo"]}, [1]), ({"to": ["neo"]}, ["neo"]),
    ],
)  # fmt: skip
def test_and_nowhere_else(asked: dict[str, Any], targets: object) -> None:
    with pytest.raises(Refused, match="targets is"):
        word(asked, targets)


def test_a_host_is_meant_by_its_name_for_that_is_what_is_signed() -> None:
    for host in (short_key(HOST), key_text(HOST)):
        with pytest.raises(Refused, match="targets is") as told:
            word({"to": [f"neo@{host}"]}, ["neo@mbp"])
        assert "not a piece of a key" in told.value.hint
    assert word({"to": [f"neo@mbp~{short_key(HOST)}"]}, ["neo@mbp"]) == ("neo@mbp",)


@pytest.mark.parametrize("lie", [{"author": b"short"}, {"colony": b""}, {"at_ms": 5}])
def test_nor_from_elsewhere(lie: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=f"{next(iter(lie))} is"):
        word({"channel": "general"}, ["#general"], **lie)
