"""A connection that is over is over: nothing of it is left to the loop, nor to the connection that comes next."""

import asyncio
import gc
import socket
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

import pytest
from aiohttp import web

from maw.core.identity import Signer
from maw.net import reception
from maw.net.tls import NodeTls, client_context
from maw.net.wire import Pipe
from tests.integration.linknode import LinkNode, until


@contextmanager
def cancelled_as_tls_is_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Cancels the task of the first inbound connection in the turn in which TLS is up, of which it has not heard yet:
    asyncio then says goodbye in TLS, and waits for an answer. Yields the sockets on which it did so."""
    found: list[socket.socket] = []
    made = reception._Measured.connection_made

    def cancel(self: reception._Measured, transport: asyncio.BaseTransport) -> None:
        made(self, transport)
        if not found:
            found.append(transport.get_extra_info("socket"))
            (task,) = [task for task in asyncio.all_tasks() if task.get_name().startswith("inbound")]
            task.cancel()

    with monkeypatch.context() as patched:
        patched.setattr(reception._Measured, "connection_made", cancel)
        yield found


def test_a_listener_left_as_tls_comes_up_leaves_no_transport_to_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def life() -> None:
        dialler = LinkNode("dialler")
        async with LinkNode("listener").listening() as listener:
            with cancelled_as_tls_is_up(monkeypatch) as found:
                dial = asyncio.create_task(dialler.dialer.dial(listener.address, listener.node))
                await until(lambda: found)
        assert found[0].fileno() == -1
        await asyncio.wait([dial])
        assert dial.exception() is not None

    gc.collect()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with asyncio.Runner() as runner:
            runner.run(life())
        gc.collect()
    assert not [str(warning.message) for warning in said]


async def test_the_next_connection_is_served_after_one_was_cancelled_as_tls_came_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It gets the descriptors of the one before, and the loop must have forgotten what they were."""
    dialler = LinkNode("dialler")
    async with LinkNode("listener").listening() as listener:
        host, port = listener.address.rsplit(":", 1)
        with cancelled_as_tls_is_up(monkeypatch) as found:
            reader, writer = await asyncio.open_connection(host, int(port), ssl=client_context())
            assert await reader.read() == b""
            writer.close()
        assert found
        async with asyncio.timeout(0.5):  # asyncio would wait for an answer in TLS for a second
            link = await dialler.dialer.dial(listener.address, listener.node)
        await link.shut("done")


async def test_who_says_goodbye_and_takes_nothing_more_holds_no_connection() -> None:
    """asyncio waits for ever until what is written is taken, and after the goodbye aborts nothing any more."""
    tls = NodeTls(Signer(bytes(32))).at(1_700_000_000.0)
    accepted: asyncio.Queue[asyncio.Transport] = asyncio.Queue()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(1 << 24))
        accepted.put_nowait(cast(asyncio.Transport, writer.transport))

    class WebSocket:
        """What aiohttp's does with a connection that is gone for it."""

        async def close(self, **_: object) -> None:
            transport.close()

    def say_goodbye() -> ssl.SSLSocket:
        plain = socket.create_connection(server.sockets[0].getsockname())
        peer = client_context().wrap_socket(plain)
        peer.setblocking(False)
        with suppress(ssl.SSLWantReadError):
            peer.unwrap()
        return peer

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls.context) as server:
        with await asyncio.to_thread(say_goodbye):
            transport = await accepted.get()
            connection = transport.get_extra_info("socket")
            await until(transport.is_closing)
            await Pipe(cast(web.WebSocketResponse, WebSocket()), transport).close("bye")
            await until(lambda: connection.fileno() == -1)
