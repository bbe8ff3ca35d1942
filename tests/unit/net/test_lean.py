"""Savings of memory hold, and change nothing for what comes after."""

import asyncio
import os
import ssl
from asyncio import sslproto

import pytest

from maw.core.identity import Signer
from maw.net import lean
from maw.net.tls import NodeTls, client_context


def test_contexts_made_within_know_no_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/some/bundle.pem")
    with lean.without_authorities():
        assert ssl.create_default_context().cert_store_stats()["x509_ca"] == 0
    assert os.environ["SSL_CERT_FILE"] == "/some/bundle.pem"
    monkeypatch.delenv("SSL_CERT_FILE")
    with lean.without_authorities():
        pass
    assert "SSL_CERT_FILE" not in os.environ


async def test_connections_take_small_buffers_and_carry_big_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attribute that is set is one that the interpreter's own code reads: else the saving is gone unseen."""
    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", sslproto.SSLProtocol.max_size)
    lean.small_tls_buffers()
    tls = NodeTls(Signer(bytes(32))).at(1_700_000_000.0)
    sent = os.urandom(5 * lean.TLS_BUFFER + 1)

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls.context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context())
        protocol = writer.transport._ssl_protocol  # type: ignore[attr-defined]
        assert len(protocol._ssl_buffer) == lean.TLS_BUFFER
        assert await reader.read(-1) == sent
        writer.close()
        await writer.wait_closed()
