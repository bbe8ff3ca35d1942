"""An https webhook is reached where its certificate is trusted by this machine, as in a daemon; else it is said why."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import ssl
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

AS_A_DAEMON = """
import asyncio, sys
from maw.errors import Unavailable
from maw.net.lean import without_authorities
with without_authorities():
    import aiohttp
from maw.node.bell import post
try:
    asyncio.run(post(sys.argv[1], b"{}"))
    print("told")
except Unavailable as error:
    print(error.message)
"""


def certificate(path: Path) -> None:
    """Key and self-signed certificate of 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a webhook")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    own = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(own + made.public_bytes(serialization.Encoding.PEM))


async def told(port: int, trusted: Path | None) -> str:
    env = {**os.environ, "SSL_CERT_FILE": str(trusted or os.devnull)}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AS_A_DAEMON, f"https://127.0.0.1:{port}/",
        env=env, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await child.communicate()
    return out.decode().strip()


async def test_who_this_machine_trusts_is_told_and_nobody_else(tmp_path: Path) -> None:
    pem = tmp_path / "hook.pem"
    certificate(pem)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        assert await told(port, pem) == "told"
        assert "CERTIFICATE_VERIFY_FAILED" in await told(port, None)
