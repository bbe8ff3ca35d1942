import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from maw.core import certificate
from maw.core.identity import Signer, key_text, verify

NODE = Signer(b"a" * 32)
TLS = Signer(b"t" * 32)
BEGINS = datetime(2026, 11, 21, 8, 0, 1, tzinfo=UTC)


def issued(ends: datetime = BEGINS + timedelta(days=30), serial: int = 1) -> bytes:
    return certificate.issue(NODE, TLS.node, serial, BEGINS, ends)


@pytest.mark.parametrize("ends", [BEGINS + timedelta(days=30), datetime(2050, 1, 1, tzinfo=UTC)])
@pytest.mark.parametrize("serial", [1, 127, 128, (1 << 127) - 1])
def test_another_implementation_reads_the_same(ends: datetime, serial: int) -> None:
    read = x509.load_der_x509_certificate(issued(ends, serial))
    assert read.serial_number == serial
    assert (read.not_valid_before_utc, read.not_valid_after_utc) == (BEGINS, ends)
    assert read.subject == read.issuer
    assert read.subject.rfc4514_string() == f"CN={key_text(NODE.node)}"
    key = read.public_key()
    assert isinstance(key, Ed25519PublicKey)
    assert key.public_bytes(Encoding.Raw, PublicFormat.Raw) == TLS.node
    Ed25519PublicKey.from_public_bytes(NODE.node).verify(read.signature, read.tbs_certificate_bytes)


def test_what_was_signed_comes_back() -> None:
    signed = certificate.signed_part(issued())
    assert verify(NODE.node, b"", *signed)


def test_openssl_takes_certificate_and_key() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tls.pem")
        path.write_bytes(certificate.as_pem(issued(), TLS.seed))
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
        path.write_bytes(certificate.as_pem(issued(), b"x" * 32))
        with pytest.raises(ssl.SSLError):
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)


@pytest.mark.parametrize("cut", [0, 1, 2, 40, 200, -1])
def test_a_piece_is_no_certificate(cut: int) -> None:
    with pytest.raises(ValueError):
        certificate.signed_part(issued()[:cut])
