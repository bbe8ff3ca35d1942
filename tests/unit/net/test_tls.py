import hashlib
import os
import random
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from maw.core.identity import NodeId, Signer, key_text
from maw.errors import HandshakeRefused
from maw.net import tls

NOW = 1_800_000_000.0
SIGNER = Signer(b"a" * 32)
OTHER = Signer(b"b" * 32)


def der_of(signer: Signer, now: float = NOW, *, claims: NodeId | None = None) -> bytes:
    """A certificate that ``signer`` issued, naming ``claims`` as who did."""
    from datetime import UTC, datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, key_text(claims or signer.node))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(1)
        .not_valid_before(datetime.fromtimestamp(now - 60, UTC))
        .not_valid_after(datetime.fromtimestamp(now + 60, UTC))
        .sign(Ed25519PrivateKey.from_private_bytes(signer.seed), None)
    )
    return certificate.public_bytes(serialization.Encoding.DER)


def refused(der: bytes) -> HandshakeRefused:
    with pytest.raises(HandshakeRefused) as caught:
        tls.check_certificate(der, SIGNER.node)
    return caught.value


def test_the_pinned_nodes_own_is_good() -> None:
    tls.check_certificate(der_of(SIGNER), SIGNER.node)


def test_another_nodes_is_named() -> None:
    no = refused(der_of(OTHER))
    assert no.code == "wrong_key"
    assert key_text(SIGNER.node) in no.message
    assert key_text(OTHER.node) in no.message


def test_one_that_only_claims_to_be_of_a_node_is_nobodys() -> None:
    for claims in (SIGNER.node, NodeId(b"z" * 32)):
        no = refused(der_of(OTHER, claims=claims))
        assert no.code == "wrong_key"
        assert "no node issued" in no.message


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30",
        b"\x30\x00",
        b"\x30\x80",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30" * 300,
        random.Random(1).randbytes(300),
    ],
)
def test_garbage_is_no_certificate(der: bytes) -> None:
    assert refused(der).code == "bad_certificate"


def test_every_changed_or_missing_byte_is_noticed() -> None:
    der = der_of(SIGNER)
    refused(der + b"\x00")
    for end in range(len(der)):
        assert refused(der[:end]).code in ("wrong_key", "bad_certificate")
    for at in range(len(der)):
        changed = bytearray(der)
        changed[at] ^= 1
        assert refused(bytes(changed)).code in ("wrong_key", "bad_certificate")


@pytest.mark.parametrize("now", [0.0, NOW - 400 * tls.DAY, 4_300_000_000.0])
def test_its_dates_are_no_reason_to_be_alone(now: float) -> None:
    """A host whose clock says 1970, or 2106, links all the same."""
    tls.check_certificate(der_of(SIGNER, max(now, 60.0)), SIGNER.node)


@pytest.mark.parametrize("now", [0.0, 4_300_000_000.0, 400_000_000_000.0])
def test_one_is_issued_at_any_time(now: float) -> None:
    assert len(tls.NodeTls(SIGNER).at(now).certificate) == 32


def test_a_new_one_is_issued_at_half_its_life_and_when_the_clock_falls_back() -> None:
    node = tls.NodeTls(SIGNER, lifetime=100.0, skew=10.0)
    first = node.at(NOW)
    assert node.at(NOW + 49.0) is first
    second = node.at(NOW + 50.0)
    assert second.certificate != first.certificate
    assert second.expires_at == NOW + 150.0
    assert node.at(NOW - 1.0) is not second


def test_every_start_has_its_own_key() -> None:
    assert tls.NodeTls(SIGNER).at(NOW).certificate != tls.NodeTls(SIGNER).at(NOW).certificate


def test_a_served_certificate_is_the_one_that_is_named() -> None:
    served = tls.NodeTls(SIGNER).at(NOW)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = served.context.wrap_bio(incoming, outgoing, server_side=True)
    client = tls.client_context().wrap_bio(outgoing, incoming)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() == server.version() == "TLSv1.3"
    der = client.getpeercert(binary_form=True)
    assert der is not None
    assert hashlib.sha256(der).digest() == served.certificate
    tls.check_certificate(der, SIGNER.node)


def test_where_memory_is_no_file_nothing_stays_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert len(tls.NodeTls(SIGNER).at(NOW).certificate) == 32
    assert list(tmp_path.iterdir()) == []


def test_cryptography_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys; import maw.net.listener, maw.net.redialler, maw.net.joining, maw.net.dialer;"
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
