"""Sealed words: who opens them, and what does not open; the bytes as docs/protocol.md has them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
)

from maw.core.entry import START, Kind, decode, make, pack_content, pack_payload, unpack_content
from maw.core.identity import NodeId, Signer
from maw.core.seal_keys import SealKey
from maw.core.sealing import (
    MAX_WRAPS,
    Chances,
    KeyIsGoneError,
    Sealed,
    check_public,
    key_id,
    open_box,
    opened,
    padded,
    public_of,
    seal,
    stored_words,
    unwrap,
    words_of,
)

COLONY, AGENT = b"c" * 32, b"a" * 16
ME, HER, EVE = (Signer(bytes([n]) * 32) for n in (1, 2, 3))
SECRET = {signer.node: bytes([n + 10]) * 32 for n, signer in enumerate((ME, HER, EVE))}
HOSTS = {signer.node: public_of(SECRET[signer.node]) for signer in (ME, HER)}
CONTENT: dict[str, Any] = {"agent": AGENT, "text": "meet me at the gate", "to": []}


def chances() -> Chances:
    return Chances(os.urandom(16), os.urandom(32), os.urandom(32))


def halves(node: NodeId) -> dict[bytes, tuple[bytes, bytes]]:
    public = public_of(SECRET[node])
    return {key_id(public): (SECRET[node], public)}


def sealed(content: dict[str, Any] = CONTENT) -> Sealed:
    return seal(Kind.DIRECT, content, COLONY, ME.node, AGENT, HOSTS, chances())


def test_both_hosts_open_it_and_no_other() -> None:
    words = sealed()
    assert Sealed.read(unpack_content(pack_content(words.content()))) == words
    assert b"gate" not in pack_content(words.content())
    for host in (ME, HER):
        key = unwrap(words, COLONY, ME.node, [host.node], halves(host.node))
        assert key is not None
        assert open_box(words, COLONY, ME.node, key) == {"kind": Kind.DIRECT, **CONTENT}
    assert unwrap(words, COLONY, ME.node, [EVE.node], halves(EVE.node)) is None


def test_a_key_that_was_deleted_is_told_from_words_for_others() -> None:
    with pytest.raises(KeyIsGoneError):
        unwrap(sealed(), COLONY, ME.node, [HER.node], {})


@pytest.mark.parametrize(
    ("colony", "author", "change"),
    [
        (COLONY, EVE.node, lambda words: words),
        (b"d" * 32, ME.node, lambda words: words),
        (COLONY, ME.node, lambda words: words._replace(id=bytes(16))),
        (COLONY, ME.node, lambda words: words._replace(eph=public_of(bytes(32)))),
        (COLONY, ME.node, lambda words: words._replace(eph=bytes(32))),
        (COLONY, ME.node, lambda words: words._replace(wraps=_torn(words.wraps))),
    ],
)
def test_what_was_wrapped_for_another_place_does_not_unwrap(
    colony: bytes, author: NodeId, change: Callable[[Sealed], Sealed]
) -> None:
    with pytest.raises(ValueError, match="was not sealed for this host"):
        unwrap(change(sealed()), colony, author, [HER.node], halves(HER.node))


def _torn(wraps: Any) -> Any:
    return tuple(wrap._replace(wrapped=wrap.wrapped[:-1] + bytes([wrap.wrapped[-1] ^ 1])) for wrap in wraps)


@pytest.mark.parametrize(
    ("colony", "author", "change"),
    [
        (COLONY, EVE.node, lambda words: words),
        (b"d" * 32, ME.node, lambda words: words),
        (COLONY, ME.node, lambda words: words._replace(agent=b"b" * 16)),
        (COLONY, ME.node, lambda words: words._replace(wraps=words.wraps[:1])),
        (COLONY, ME.node, lambda words: words._replace(box=words.box[:-1])),
        (COLONY, ME.node, lambda words: words._replace(box=words.box[:-1] + bytes([words.box[-1] ^ 1]))),
    ],
)
def test_a_box_is_bound_to_its_place_its_speaker_and_whom_it_is_for(
    colony: bytes, author: NodeId, change: Callable[[Sealed], Sealed]
) -> None:
    """Even for who has the content key, as each recipient's host does."""
    words = sealed()
    key = unwrap(words, COLONY, ME.node, [HER.node], halves(HER.node))
    assert key is not None
    with pytest.raises(ValueError, match="does not open"):
        open_box(change(words), colony, author, key)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({**CONTENT, "agent": b"b" * 16}, "another agent within"),
        ({"text": "nobody's"}, "another agent within"),
    ],
)
def test_what_is_within_is_no_other_agents(content: dict[str, Any], why: str) -> None:
    words = seal(Kind.DIRECT, content, COLONY, ME.node, AGENT, HOSTS, chance := chances())
    with pytest.raises(ValueError, match=why):
        open_box(words, COLONY, ME.node, chance.key)


def test_only_words_are_sealed() -> None:
    words = seal(Kind.OPEN, CONTENT, COLONY, ME.node, AGENT, HOSTS, chance := chances())
    with pytest.raises(ValueError, match="nothing that is sealed"):
        open_box(words, COLONY, ME.node, chance.key)


@pytest.mark.parametrize(
    "change",
    [
        {"keys": []},
        {"keys": [[b"n" * 32, b"i" * 8, b"w" * 48]] * (MAX_WRAPS + 1)},
        {"keys": [[b"n" * 32, b"i" * 8, b"w" * 48]] * 10_000},
        {"keys": [[b"n" * 32, b"i" * 8]]},
        {"keys": [[b"n" * 31, b"i" * 8, b"w" * 48]]},
        {"keys": [["n" * 32, b"i" * 8, b"w" * 48]]},
        {"keys": {}},
        {"eph": b""},
        {"agent": "a" * 16},
        {"id": b"short"},
        {"box": b"x" * 200},
        {"box": None},
    ],
)
def test_what_is_malformed_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is|holds|box"):
        Sealed.read(sealed().content() | change)


def test_sizes_tell_little() -> None:
    assert [padded(n) for n in (1, 256, 257, 300, 1000, 5000, 70_000)] == [
        256,
        256,
        272,
        304,
        1024,
        5120,
        71_680,
    ]
    assert all(n <= padded(n) <= max(256, n * 1.12) for n in range(1, 5000))
    assert len(sealed().box) == len(sealed(CONTENT | {"text": "yes"}).box)


def test_a_row_is_read_by_its_header_and_key() -> None:
    words = seal(Kind.DIRECT, CONTENT, COLONY, ME.node, AGENT, HOSTS, chance := chances())
    payload = pack_payload(bytes(16), words.content() | {"reply": "k7q2mx-syvr30-42"})
    entry = make(ME, COLONY, 1, START, 1, Kind.PRIVATE, payload)
    said = stored_words(entry.header, entry.payload, chance.key)
    assert (said["text"], said["reply"]) == ("meet me at the gate", "k7q2mx-syvr30-42")
    assert words_of(entry, chance.key) == (Kind.DIRECT, said)
    plain = make(ME, COLONY, 1, START, 1, Kind.DIRECT, pack_payload(bytes(16), CONTENT))
    assert words_of(plain, None) == (Kind.DIRECT, CONTENT)


@pytest.mark.parametrize("public", [bytes(32), b"\x01" + bytes(31)])
def test_a_key_that_agrees_with_everybody_is_none(public: bytes) -> None:
    with pytest.raises(ValueError, match="none to which"):
        check_public(public)
    with pytest.raises(ValueError, match="none to which"):
        SealKey.read({"key": public, "since": 1})
    with pytest.raises(ValueError, match="nothing can be sealed"):
        seal(Kind.DIRECT, CONTENT, COLONY, ME.node, AGENT, {HER.node: public}, chances())


# -- the words of the protocol alone ------------------------------------------------------------------

VECTORS: dict[str, Any] = json.loads(
    Path(__file__).parents[2].joinpath("vectors", "core.json").read_text(encoding="utf-8")
)


def test_the_published_message_opens_as_docs_protocol_says() -> None:
    """Without our own code."""
    given = VECTORS["sealed"]
    entry = decode(*(bytes.fromhex(given["entry"][part]) for part in ("header", "signature", "payload")))
    outer = msgpack.unpackb((entry.payload or b"")[16:])
    secret = bytes.fromhex(given["secret"])
    public = crypto_scalarmult_base(secret)
    name = hashlib.blake2b(public, digest_size=8, person=b"maw-seal-id").digest()
    node, _, wrapped = next(item for item in outer["keys"] if item[1] == name)
    shared = crypto_scalarmult(secret, outer["eph"])
    wrapping = hashlib.blake2b(
        shared + outer["eph"] + public, digest_size=32, person=b"maw-seal-wrap"
    ).digest()
    bound = b"maw-wrap-v1\0" + entry.colony + entry.author + outer["id"] + node
    key = crypto_aead_xchacha20poly1305_ietf_decrypt(wrapped, bound, bytes(24), wrapping)
    assert key.hex() == given["content_key"]
    whom = hashlib.blake2b(b"".join(item[0] + item[1] for item in outer["keys"]), digest_size=32).digest()
    bound = (
        b"maw-seal-v1\0" + entry.colony + entry.author + outer["agent"] + outer["id"] + outer["eph"] + whom
    )
    plain = crypto_aead_xchacha20poly1305_ietf_decrypt(outer["box"], bound, outer["id"] + bytes(8), key)
    assert len(plain) == 256
    within = msgpack.unpackb(plain[4 : 4 + int.from_bytes(plain[:4], "big")])
    assert (within["kind"], within["text"]) == (6, given["text"])
    assert opened(entry.payload or b"", entry.colony, entry.author, key) == within
