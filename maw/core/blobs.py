"""A file as it lies on disks and travels over links: encrypted, in chunks, each of which can be checked as it comes.

    chunk k   XChaCha20-Poly1305 of the k-th 64 KiB, under the file's own random key;
              nonce: k (8 bytes, big-endian) ‖ 1 in the last chunk, else 0 ‖ 15 zero bytes
              associated data: "maw-file-v1"
    list      BLAKE2b-256 of each encrypted chunk, in order, one behind the other
    hash      BLAKE2b-256 over "maw-blob-v1\\0" ‖ list: the blob's name

There is always a last chunk: of an empty file it holds nothing. A key is used for one file, so that no nonce comes
twice; number and end are in the nonce, so that chunks can be neither exchanged nor left out without the reader
noticing, even if somebody made up a list of his own. Who has only the hash can check every chunk and read none.
"""

from __future__ import annotations

from typing import Final

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as _decrypt,
)
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_encrypt as _encrypt,
)
from nacl.exceptions import CryptoError

from maw.core.identity import digest

CHUNK: Final = 64 * 1024
"""Bytes of a file in each chunk but the last."""
TAG: Final = 16
SEALED_CHUNK: Final = CHUNK + TAG
HASH_BYTES: Final = 32
KEY_BYTES: Final = 32
MAX_FILE: Final = 64 << 20
MAX_CHUNKS: Final = MAX_FILE // CHUNK
_DOMAIN: Final = b"maw-blob-v1\0"
_DATA: Final = b"maw-file-v1"


def chunk_count(size: int) -> int:
    """Of a file of ``size`` bytes."""
    return max(1, -(-size // CHUNK))


def sealed_size(size: int) -> int:
    """Bytes of all encrypted chunks together."""
    return size + TAG * chunk_count(size)


def chunk_size(size: int, number: int) -> int:
    """Bytes of an encrypted chunk of a file of ``size`` bytes."""
    return min(CHUNK, size - number * CHUNK) + TAG


def blob_hash(hashes: bytes) -> bytes:
    """The name of the blob with this list."""
    return digest(_DOMAIN, hashes)


def chunk_hash(sealed: bytes) -> bytes:
    return digest(sealed)


def hash_in(hashes: bytes, number: int) -> bytes:
    """Of a chunk, as the list has it."""
    return hashes[number * HASH_BYTES : (number + 1) * HASH_BYTES]


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(8, "big") + bytes([last]) + bytes(15)


def seal_chunk(key: bytes, number: int, plain: bytes, *, last: bool) -> bytes:
    """``plain``: CHUNK bytes, fewer in the last one."""
    sealed: bytes = _encrypt(plain, _DATA, _nonce(number, last), key)
    return sealed


def open_chunk(key: bytes, number: int, sealed: bytes, *, last: bool) -> bytes:
    """Raises ValueError when it is not that chunk of a file with this key."""
    try:
        plain: bytes = _decrypt(sealed, _DATA, _nonce(number, last), key)
    except CryptoError:
        raise ValueError(f"chunk {number} does not open with the key that the message has") from None
    return plain
