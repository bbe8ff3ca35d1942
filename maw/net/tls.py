"""TLS that proves a node: a key of this run's own, in a certificate that the node key issued.

There is no authority and no host name in it. The dialler knows the node key it wants, and
``NodeCertificate`` checks the certificate against it after the TLS handshake and before one byte of HTTP is
written.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import ssl
import tempfile
from asyncio import Transport
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from maw.core import certificate
from maw.core.identity import KEY_BYTES, NodeId, Signer, key_text, parse_key, verify
from maw.errors import BadInput, HandshakeRefused

DAY: Final = 86400.0
_LAST: Final = 250_000_000_000.0
"""A time in 9892: what is written in years of four digits ends not much later."""
_KEY: Final = re.compile(rb"mk1[a-z2-7]{56}")


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a listener serves with. ``certificate``: SHA-256 of its DER; times in unix seconds."""

    context: ssl.SSLContext
    certificate: bytes
    issued_at: float
    expires_at: float


class NodeTls:
    """Issues this run's TLS key and certificate, and a new one when half the old one's life is over.

    ``lifetime``: seconds of validity. ``skew``: how far another host's clock may be behind ours.
    """

    def __init__(self, signer: Signer, *, lifetime: float = 30 * DAY, skew: float = DAY) -> None:
        self._signer = signer
        self._lifetime = lifetime
        self._skew = skew
        self._current: ServerTls | None = None

    def at(self, now: float) -> ServerTls:
        """The one to serve with at ``now`` (unix seconds); also anew when the clock fell back before it."""
        current = self._current
        if current is None or not 0 <= now - current.issued_at < self._lifetime / 2:
            current = self._current = issue(self._signer, now, lifetime=self._lifetime, skew=self._skew)
        return current


def issue(signer: Signer, now: float, *, lifetime: float, skew: float) -> ServerTls:
    """A new TLS key and its certificate, valid from ``now - skew`` to ``now + lifetime``."""
    tls_key = Signer(secrets.token_bytes(KEY_BYTES))
    at = min(now, _LAST)
    begins, ends = (datetime.fromtimestamp(date, UTC) for date in (at - skew, at + lifetime))
    der = certificate.issue(signer, tls_key.node, secrets.randbits(127), begins, ends)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    with _as_file(certificate.as_pem(der, tls_key.seed)) as path:
        context.load_cert_chain(path)
    return ServerTls(context, hashlib.sha256(der).digest(), now, now + lifetime)


def client_context() -> ssl.SSLContext:
    """TLS 1.3 without an authority: whom we reached is for ``NodeCertificate`` to check."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


class WrongCertificate(aiohttp.ServerFingerprintMismatch):
    """The kind of error on which aiohttp's connector closes the connection."""

    def __init__(self, expected: NodeId) -> None:
        super().__init__(expected, b"", "", 0)


class NodeCertificate(aiohttp.Fingerprint):
    """One dial's check, given to aiohttp's connector, which calls it before it writes a request.

    After a good check ``certificate`` is the SHA-256 of the DER seen and ``transport`` the connection;
    after a bad one ``problem`` says why.
    """

    def __init__(self, expected: NodeId) -> None:
        super().__init__(expected)
        self._expected = expected
        self.certificate = b""
        self.transport: Transport | None = None
        self.problem: HandshakeRefused | None = None

    def check(self, transport: Transport) -> None:
        """Raises WrongCertificate when it is not the expected node's."""
        tls = transport.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True) if tls is not None else None
        try:
            check_certificate(der or b"", self._expected)
        except HandshakeRefused as problem:
            self.problem = problem
            raise WrongCertificate(self._expected) from problem
        self.certificate = hashlib.sha256(der or b"").digest()
        self.transport = transport


def check_certificate(der: bytes, expected: NodeId) -> None:
    """Whether ``expected`` issued this certificate. Raises HandshakeRefused.

    Codes: wrong_key (both keys named), bad_certificate. The signature is checked on the bytes, before
    anything reads what they say. Its dates are not looked at: a host whose clock has lost its battery could
    link with nobody, and they guard nothing. Who stole the TLS key of a run has a certificate that passes here
    and stops at the handshake, where the node key signs over this certificate and both nonces.
    """
    try:
        signed, signature = certificate.signed_part(der)
    except ValueError:
        raise HandshakeRefused(
            "what listens there shows no certificate of a node", code="bad_certificate"
        ) from None
    if not verify(expected, b"", signed, signature):
        found = _issuer(signed, signature)
        raise HandshakeRefused(
            f"wrong key at this address: expected {key_text(expected)}, "
            f"found {key_text(found) if found else 'a certificate that no node issued'}",
            code="wrong_key",
            hint="another node has this address now, or the key written down here is another host's",
        )


def _issuer(signed: bytes, signature: bytes) -> NodeId | None:
    """The node that is named in it, when it really issued it."""
    named = _KEY.search(signed)
    try:
        node = parse_key(named[0].decode("ascii")) if named else None
    except BadInput:
        return None
    return node if node is not None and verify(node, b"", signed, signature) else None


@contextmanager
def _as_file(secret: bytes) -> Iterator[str]:
    """``ssl`` reads keys from files only; where the system can, one that never touches a disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("maw-tls", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as memory:
                memory.write(secret)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory() as folder:  # 0700
        path = Path(folder, "tls.pem")
        path.write_bytes(secret)
        yield str(path)
