"""Files as they lie on disks: what opens them, what is noticed, and the published bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as decrypt

from maw.core.blobs import (
    CHUNK,
    SEALED_CHUNK,
    chunk_count,
    chunk_size,
    open_chunk,
    seal_chunk,
    sealed_size,
)
from tests.vectors.make_files import CONTENTS, vectors

VECTORS: dict[str, Any] = json.loads(
    Path(__file__).parents[2].joinpath("vectors", "files.json").read_text(encoding="utf-8")
)
KEY = bytes.fromhex(VECTORS["key"])


def test_the_file_is_what_this_code_makes() -> None:
    assert vectors() == VECTORS


@pytest.mark.parametrize("name", list(CONTENTS))
def test_blobs_by_the_words_of_the_protocol_alone(name: str) -> None:
    """Without our own code: as a second implementation would read docs/protocol.md."""
    blob = VECTORS["blobs"][name]
    hashes = bytes.fromhex(blob["list"])
    assert hashlib.blake2b(b"maw-blob-v1\0" + hashes, digest_size=32).hexdigest() == blob["hash"]
    last = bytes.fromhex(blob["last_chunk"])
    number = len(blob["chunks"]) - 1
    assert hashlib.blake2b(last, digest_size=32).digest() == hashes[-32:]
    nonce = number.to_bytes(8, "big") + b"\1" + bytes(15)
    assert decrypt(last, b"maw-file-v1", nonce, KEY) == CONTENTS[name][number * 65536 :]


@given(st.integers(0, 5 * CHUNK))
def test_sizes_add_up(size: int) -> None:
    count = chunk_count(size)
    assert sum(chunk_size(size, number) for number in range(count)) == sealed_size(size)
    assert all(chunk_size(size, number) == SEALED_CHUNK for number in range(count - 1))


@given(st.binary(max_size=200), st.integers(0, 1023), st.booleans())
def test_a_chunk_opens_as_itself_only(plain: bytes, number: int, last: bool) -> None:
    sealed = seal_chunk(KEY, number, plain, last=last)
    assert open_chunk(KEY, number, sealed, last=last) == plain
    for wrong in ((KEY, number + 1, last), (KEY, number, not last), (bytes(32), number, last)):
        with pytest.raises(ValueError, match="does not open"):
            open_chunk(wrong[0], wrong[1], sealed, last=wrong[2])
    with pytest.raises(ValueError, match="does not open"):
        open_chunk(KEY, number, bytes([sealed[0] ^ 1]) + sealed[1:], last=last)
