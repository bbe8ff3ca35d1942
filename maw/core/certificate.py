"""The few bytes of X.509 that a node's certificate is made of: written, and read back.

    Certificate  SEQUENCE { signed, Ed25519, BIT STRING signature by the node key over signed }
    signed       SEQUENCE { [0] v3, serial, Ed25519, name, validity, name, public key of this run }

Ed25519 throughout (RFC 8410), so that nothing here is optional. Certificates are read as DER only, and only
after their signature was checked against a node key.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final, NamedTuple

from maw.core.identity import Signer, key_text

_INTEGER: Final = 0x02
_BIT_STRING: Final = 0x03
_UTF8: Final = 0x0C
_UTC_TIME: Final = 0x17
_LONG_TIME: Final = 0x18
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_VERSION: Final = 0xA0
_ED25519: Final = bytes.fromhex("300506032b6570")
_COMMON_NAME: Final = bytes.fromhex("0603550403")
_KEY_HEAD: Final = bytes.fromhex("302e020100300506032b657004220420")  # PKCS #8 of an Ed25519 seed
_NO_UNUSED_BITS: Final = b"\0"


class Signed(NamedTuple):
    """What is signed in a certificate, and the Ed25519 signature."""

    data: bytes
    signature: bytes


def issue(signer: Signer, tls_key: bytes, serial: int, begins: datetime, ends: datetime) -> bytes:
    """The DER of a certificate for the Ed25519 public key ``tls_key``, issued by ``signer``."""
    name = _put(
        _SEQUENCE, _put(_SET, _put(_SEQUENCE, _COMMON_NAME, _put(_UTF8, key_text(signer.node).encode())))
    )
    signed = _put(
        _SEQUENCE,
        _put(_VERSION, _put(_INTEGER, b"\x02")),
        _put(_INTEGER, serial.to_bytes(serial.bit_length() // 8 + 1, "big")),
        _ED25519,
        name,
        _put(_SEQUENCE, _time(begins), _time(ends)),
        name,
        _put(_SEQUENCE, _ED25519, _put(_BIT_STRING, _NO_UNUSED_BITS, tls_key)),
    )
    # What X.509 signs is DER and begins with 0x30: no signing domain of ours does, so neither can be shown
    # as the other.
    return _put(_SEQUENCE, signed, _ED25519, _put(_BIT_STRING, _NO_UNUSED_BITS, signer.sign(b"", signed)))


def as_pem(certificate: bytes, tls_seed: bytes) -> bytes:
    """Certificate and private key as ``ssl`` reads them from one file."""
    return _pem("CERTIFICATE", certificate) + _pem("PRIVATE KEY", _KEY_HEAD + tls_seed)


def signed_part(der: bytes) -> Signed:
    """Raises ValueError on what is no certificate signed with Ed25519."""
    begin, end = _get(der, 0, _SEQUENCE)
    _, signed_end = _get(der, begin, _SEQUENCE)
    bits, bits_end = _get(der, signed_end + len(_ED25519), _BIT_STRING)
    if end != len(der) or bits_end != end or der[signed_end : signed_end + len(_ED25519)] != _ED25519:
        raise ValueError("no certificate signed with Ed25519")
    if der[bits] != 0:
        raise ValueError("a signature that is no whole number of bytes")
    return Signed(der[begin:signed_end], der[bits + 1 : end])


def _put(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    octets = b"" if size < 0x80 else size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets) if octets else size]) + octets + content


def _get(der: bytes, at: int, tag: int) -> tuple[int, int]:
    """Where the content of the element at ``at`` begins and ends."""
    head = der[at : at + 2]
    if len(head) < 2 or head[0] != tag:
        raise ValueError(f"an element {tag:#04x} was due")
    size, begin = head[1], at + 2
    if size & 0x80:
        octets = size & 0x7F
        size = int.from_bytes(der[begin : begin + octets], "big") if octets <= 3 else len(der)
        begin += octets
    if not size or begin + size > len(der):
        raise ValueError("an element that is empty or too long")
    return begin, begin + size


def _time(at: datetime) -> bytes:
    """Up to 2049 with two digits of the year, as X.509 wants it."""
    if at.year < 2050:
        return _put(_UTC_TIME, f"{at:%y%m%d%H%M%SZ}".encode())
    return _put(_LONG_TIME, f"{at:%Y%m%d%H%M%SZ}".encode())


def _pem(what: str, der: bytes) -> bytes:
    text = base64.b64encode(der).decode("ascii")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {what}-----", *lines, f"-----END {what}-----", ""]).encode()
