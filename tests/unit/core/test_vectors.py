"""The published bytes: changing any of them breaks every node in the field."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgpack
import pytest
from nacl.signing import SigningKey, VerifyKey

from maw.core.colony import AgentCard, Said
from maw.core.editing import Edit
from maw.core.entry import START, Position, decode, unpack_payload
from maw.core.frames import decode_frame, encode
from maw.core.identity import Signer, key_text, parse_key
from maw.core.log import check_run
from maw.core.message_ids import message_id
from maw.core.progress import Progress
from maw.core.redaction import Redaction, may_redact, read_redaction
from maw.core.statement import colony_id, read_admission, read_statement
from tests.vectors.make_core import vectors

VECTORS: dict[str, Any] = json.loads(
    Path(__file__).parents[2].joinpath("vectors", "core.json").read_text(encoding="utf-8")
)


def raw(*path: str | int) -> bytes:
    value: Any = VECTORS
    for step in path:
        value = value[step]
    return bytes.fromhex(value)


def blake(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def test_the_file_is_what_this_code_makes() -> None:
    assert vectors() == VECTORS


@pytest.mark.parametrize("name", ["node", "other"])
def test_keys(name: str) -> None:
    signer = Signer(raw("given", f"{name}_seed"))
    assert signer.node == raw("keys", name, "key") == bytes(SigningKey(signer.seed).verify_key)
    assert key_text(signer.node) == VECTORS["keys"][name]["text"]
    assert parse_key(VECTORS["keys"][name]["text"]) == signer.node


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4])
def test_entries_by_the_words_of_the_protocol_alone(at: int) -> None:
    """Without our own code: as a second implementation would read docs/protocol.md."""
    header, signature = raw("entries", at, "header"), raw("entries", at, "signature")
    payload = raw("entries", at, "payload")
    version, colony, author, epoch, seq, prev, _, _, payload_hash, size = msgpack.unpackb(header)
    VerifyKey(author).verify(b"maw-entry-v1\0" + header, signature)
    assert (version, colony, epoch, seq) == (1, raw("colony"), VECTORS["given"]["epoch"], at + 1)
    assert prev == (raw("entries", at - 1, "id") if at else bytes(32))
    assert (payload_hash, size) == (blake(payload), len(payload))
    assert blake(header + signature) == raw("entries", at, "id")


def test_entries_make_a_log() -> None:
    log = [
        decode(*(bytes.fromhex(item[name]) for name in ("header", "signature", "payload")))
        for item in VECTORS["entries"]
    ]
    check_run(raw("colony"), START, log)


def test_the_colony_is_a_hash_of_its_founding() -> None:
    wire = raw("statements", "found", "wire")
    assert colony_id(read_statement(wire)) == raw("colony") == blake(b"maw-colony-v1\0" + wire)


def test_an_admit() -> None:
    word = read_statement(raw("statements", "admit", "wire"))
    assert word.id == raw("statements", "admit", "id") == blake(word.wire)
    assert read_admission(word).subject == raw("keys", "other", "key")
    body, signature = msgpack.unpackb(word.wire)
    VerifyKey(raw("keys", "node", "key")).verify(b"maw-statement-v1\0" + body, signature)


def test_an_admit_that_says_which_recovery_keys_they_have() -> None:
    word = read_admission(read_statement(raw("statements", "admit with recovery keys", "wire")))
    assert word.own == blake(raw("keys", "node", "key"))
    assert word.recovery is not None and len(word.recovery) == 32
    assert read_admission(read_statement(raw("statements", "admit", "wire"))).recovery is None


def test_a_redaction_by_an_entry_and_by_a_statement() -> None:
    """Both name the post."""
    payload = raw("entries", 2, "payload")
    named = {"author": raw("keys", "node", "key"), "epoch": VECTORS["given"]["epoch"], "seqs": [[2, 2]]}
    assert unpack_payload(payload) == {**named, "why": "redacted", "by": "arthur@node", "reason": "a secret"}
    entry = decode(raw("entries", 2, "header"), raw("entries", 2, "signature"), payload)
    assert entry.kind == 9
    assert may_redact(entry, Redaction.read(unpack_payload(payload)))
    word = read_statement(raw("statements", "redact", "wire"))
    assert (word.type, word.fields) == ("redact", {**named, "why": "a secret"})
    assert read_redaction(word).ranges == ((2, 2),)


def test_an_intent_is_said_where_it_is_not_chat() -> None:
    post, asking = (unpack_payload(raw("entries", at, "payload")) for at in (1, 3))
    assert (Said.read(post, direct=False).intent, Said.read(asking, direct=True).intent) == ("chat", "ask")
    assert "intent" not in post
    assert Said.read(asking, direct=True).content() == asking


def test_what_an_author_wishes_beside_his_words() -> None:
    content = unpack_payload(raw("entries", 5, "payload"))
    said, at = Said.read(content, direct=False), VECTORS["given"]["at_ms"]
    assert said.wishes() == ("high", at + 86_400_000, at + 7_200_000, ("role:cook", "host:other"))
    assert said.content() == content
    plain = Said.read(unpack_payload(raw("entries", 1, "payload")), direct=False)
    assert plain.wishes() == ("normal", None, None, ())


def test_an_edit_of_the_post() -> None:
    header, signature, payload = (raw("entries", 6, key) for key in ("header", "signature", "payload"))
    entry = decode(header, signature, payload)
    edit = Edit.read(unpack_payload(payload))
    assert (entry.kind, edit.target(entry)) == (12, (VECTORS["given"]["epoch"], 2))
    assert unpack_payload(payload) == {
        "agent": bytes(16), "edits": message_id(Position(entry.author, entry.epoch, 2)),
        "text": "hej @ford, @trillian", "mentions": ["ford", "trillian"],
    }  # fmt: skip
    assert edit.content() == unpack_payload(payload)


def test_how_far_a_message_got() -> None:
    said = unpack_payload(raw("entries", 4, "payload"))
    log = [raw("keys", "other", "key"), VECTORS["given"]["epoch"], 9, blake(b"head")]
    mark = [0, raw("given", "nonce"), "read", VECTORS["given"]["at_ms"], "inbox", [[2, 2], [4, 4]]]
    assert said == {"logs": [log], "marks": [mark]}
    assert Progress.read(said).content() == said


@pytest.mark.parametrize(
    ("name", "is_order", "targets", "rest"),
    [
        ("order", True, ["#general"], ["stop"]),
        ("said to inform", False, ["ford@other"], ["tea", "inform"]),
    ],
)
def test_what_an_operator_signs(name: str, is_order: bool, targets: list[str], rest: list[str]) -> None:
    given = [VECTORS["given"]["at_ms"], raw("given", "nonce"), is_order, targets]
    key, *said, signature = msgpack.unpackb(raw("words", name))["op"]
    assert said == given
    signed = msgpack.packb([raw("colony"), raw("keys", "node", "key"), *given, *rest])
    VerifyKey(key).verify(b"maw-word-v1\0" + signed, signature)


@pytest.mark.parametrize("name", sorted(VECTORS["frames"]))
def test_frames(name: str) -> None:
    frame = decode_frame(raw("frames", name))
    assert type(frame).__name__ == name
    assert encode(frame) == raw("frames", name)


def test_the_digest_is_blake2b_of_32_bytes() -> None:
    assert blake(raw("digest", "of")) == raw("digest", "is")


def test_a_card_of_a_role_by_the_words_of_the_protocol_alone() -> None:
    content = msgpack.unpackb(raw("payloads", "agent, a role"))
    assert content["of"] == raw("given", "nonce") and content["roles"] == ["reviewer"]
    assert AgentCard.read(content).content() == content


def test_presence_by_the_words_of_the_protocol_alone() -> None:
    at = VECTORS["given"]["at_ms"]
    content = msgpack.unpackb(raw("payloads", "presence"))
    assert content == {"agents": [[bytes(16), at, at - 1, False], [raw("given", "nonce"), at, None, True]]}


def test_an_operators_word_for_a_human_by_the_words_of_the_protocol_alone() -> None:
    key, at_ms, signature = msgpack.unpackb(raw("vouched"))
    signed = msgpack.packb([raw("colony"), raw("keys", "node", "key"), "anna", 1000, at_ms])
    VerifyKey(key).verify(b"maw-ape-v1\0" + signed, signature)


def test_a_soul_a_policy_and_who_runs_it_by_the_words_of_the_protocol_alone() -> None:
    soul = msgpack.unpackb(raw("payloads", "soul"))
    assert soul == {"agent": bytes(16), "text": "# arthur\n\nI look for tea.\n"}
    told = msgpack.unpackb(raw("payloads", "presence, with a policy"))
    at_ms = VECTORS["given"]["at_ms"]
    assert told == {"agents": [[bytes(16), at_ms, at_ms, False, raw("given", "nonce")]]}
    body, signature = msgpack.unpackb(raw("statements", "policy", "wire"))
    _, type_, colony, issuer, _, fields = msgpack.unpackb(body)
    assert (type_, colony, fields) == ("policy", raw("colony"), {"version": 3, "text": "Say who you are.\n"})
    VerifyKey(issuer).verify(b"maw-statement-v1\0" + body, signature)


def test_a_ledger_and_a_cap_by_the_words_of_the_protocol_alone() -> None:
    day = VECTORS["given"]["at_ms"] // 86_400_000
    assert msgpack.unpackb(raw("payloads", "ledger")) == {
        "rows": [
            [bytes(16), day, 7, "opus", [0, 0, 0, 0, 1, 0, 0, 1500, 0, 0, 0, 12_300]],
            [bytes(16), day, 7, "", [2, 3, 4, 512, 0, 0, 0, 0, 0, 0, 0, 0]],
        ]
    }
    body, signature = msgpack.unpackb(raw("statements", "cap", "wire"))
    _, type_, colony, issuer, _, fields = msgpack.unpackb(body)
    assert (type_, colony) == ("cap", raw("colony"))
    assert fields == {"unit": "usd", "amount": 50_000_000, "lifts": [raw("digest", "is")]}
    VerifyKey(issuer).verify(b"maw-statement-v1\0" + body, signature)
