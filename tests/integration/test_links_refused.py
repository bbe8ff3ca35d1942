"""Links that end or never come about: bad peers, refusals, and strangers who knock."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import random
import select
import socket
import ssl
import time

import pytest

from maw.core.frames import MAX_FRAME
from maw.core.handshake import Dialler
from maw.core.identity import Signer, key_text
from maw.core.transcript import Refusal, decode
from maw.errors import HandshakeRefused, LinkClosed, LinkError, ProtocolViolation
from maw.net.dialer import Connection, DialTimers
from maw.net.link import LinkTimers
from maw.net.listener import Bounds
from maw.net.reception import ReceptionTimers
from maw.net.tls import DAY, client_context, issue
from tests.integration.linknode import LinkNode, everything, linked, refusal, timers, until

NOISE = random.Random(6290).randbytes(4096)  # the same in every process that collects these tests


class TestBadPeers:
    async def test_a_frame_too_big_ends_that_link_only(self) -> None:
        async with LinkNode("b").listening() as b, linked(good := LinkNode("good"), b) as fine:
            bad = LinkNode("bad")
            async with linked(bad, b) as link:
                await link._pipe.socket.send_bytes(b"x" * (MAX_FRAME + 1))
                await until(lambda: b.ended)
            assert isinstance(b.ended[0], ProtocolViolation)
            fine.send(b"still here")
            await until(lambda: b.frames == [b"still here"])
            assert good.ended == []

    async def test_a_text_message_is_a_violation(self) -> None:
        async with LinkNode("b").listening() as b, linked(LinkNode("a"), b) as link:
            await link._pipe.socket.send_str("hello?")
            await until(lambda: b.ended)
            assert isinstance(b.ended[0], ProtocolViolation)
            assert "text" in str(b.ended[0])

    async def test_garbage_instead_of_a_websocket_frame_is_a_violation(self) -> None:
        async with LinkNode("b").listening() as b, linked(LinkNode("a"), b) as link:
            link._pipe.transport.write(b"\xff" * 100)
            await until(lambda: b.ended)
            assert isinstance(b.ended[0], ProtocolViolation)

    async def test_a_flood_of_pings_is_answered_now_and_then(self) -> None:
        async with LinkNode("b").listening() as b, linked(a := LinkNode("a"), b) as link:
            for n in range(20_000):
                await link._pipe.socket.ping(b"%d" % n)
            link.send(b"after the flood")
            await until(lambda: b.frames == [b"after the flood"])
            assert a.ended == []

    async def test_one_that_does_not_read_loses_the_link(self) -> None:
        quick = LinkTimers(queue_bytes=1 << 20, goodbye=0.1)
        async with LinkNode("b", link_timers=quick).listening() as b:
            link = await LinkNode("a").dialer.dial(b.address, b.node)
            await until(lambda: everything([b]))
            back = everything([b])[0]
            link._pipe.transport.pause_reading()
            while back.ended is None:
                back.send(b"x" * 65536)
                assert back.queued_bytes < 2 << 20
                await asyncio.sleep(0)
            await until(lambda: b.ended)
            assert b.ended[0].code == "cannot_keep_up"
            await link.shut("done")

    async def test_silence_is_noticed_within_its_time(self) -> None:
        async with LinkNode("b", link_timers=timers()).listening() as b:
            link = await LinkNode("a").dialer.dial(b.address, b.node)  # and is never run: answers nothing
            begun = time.monotonic()
            await until(lambda: b.ended)
            assert b.ended[0].code == "silent"
            assert 0.2 < time.monotonic() - begun < 2
            await link.shut("done")

    async def test_quiet_but_alive_stays(self) -> None:
        a, b = LinkNode("a", link_timers=timers()), LinkNode("b", link_timers=timers())
        async with b.listening(), linked(a, b) as link:
            begun = link.last_heard
            await until(lambda: link.last_heard - begun > 0.8)  # well past dead_after
            assert a.ended == b.ended == []
            assert link.rtt is not None

    async def test_a_lost_connection_ends_both_ends(self) -> None:
        async with LinkNode("b").listening() as b, linked(a := LinkNode("a"), b) as link:
            link._pipe.transport.abort()
            await until(lambda: a.ended and b.ended)
            assert isinstance(a.ended[0], LinkClosed)
            assert everything([a, b]) == []


class TestRefusals:
    async def test_an_unknown_key_is_told_so_once(self, caplog: pytest.LogCaptureFixture) -> None:
        async with LinkNode("b").listening() as b:
            b.trusted = set()
            a = LinkNode("a")
            for _ in range(5):
                no = await refusal(a, b.address, b, "unknown_key")
                assert "not known here" in no.message
            assert b.listener is not None
            await until(lambda: b.listener is not None and b.listener.strangers == 0)
            assert everything([b]) == []
        assert len([r for r in caplog.records if "not known here" in r.getMessage()]) == 1

    async def test_another_colony(self) -> None:
        async with LinkNode("b").listening() as b:
            no = await refusal(LinkNode("a", colony=b"d" * 32), b.address, b, "other_colony")
            assert "another Colony" in no.message

    async def test_another_version_names_both(self) -> None:
        async with LinkNode("b").listening() as b:
            a = LinkNode("a")
            a.local = dataclasses.replace(a.local, versions=(7,))
            no = await refusal(a, b.address, b, "version_mismatch")
            assert "speaks 1" in no.message
            assert "7" in no.message

    async def test_another_key_at_that_address_names_both(self) -> None:
        async with LinkNode("b").listening() as b:
            other = LinkNode("other")
            no = await refusal(LinkNode("a"), b.address, other, "wrong_key")
            assert key_text(b.node) in no.message
            assert key_text(other.node) in no.message

    async def test_our_own_address(self) -> None:
        async with LinkNode("a").listening() as a:
            await refusal(a, a.address, a, "self_dial")

    async def test_a_handshake_replayed_is_refused(self) -> None:
        async with LinkNode("b").listening() as b:
            a = LinkNode("a")
            recorded: list[bytes] = []
            connection = await a.dialer.connect(b.address, b.node)
            sends = connection.pipe.socket.send_bytes

            async def recording(frame: bytes) -> None:
                recorded.append(frame)
                await sends(frame)

            connection.pipe.socket.send_bytes = recording  # type: ignore[assignment, method-assign]
            await a.dialer.greet(connection, a.local)
            await connection.pipe.close("recorded")
            assert len(recorded) == 3

            again = await LinkNode("thief").dialer.connect(b.address, b.node)
            await again.pipe.send(recorded[0])
            await again.pipe.receive()
            await again.pipe.send(recorded[1])
            answer = decode(await again.pipe.receive())
            assert isinstance(answer, Refusal)
            assert answer.code == "bad_signature"
            await again.pipe.close("done")

    async def test_one_in_the_middle_with_another_certificate_hears_no_http(self) -> None:
        heard: list[bytes] = []
        over = asyncio.Event()

        async def middle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(1000))
            writer.close()
            over.set()

        thief = Signer(os.urandom(32))
        tls = issue(thief, time.time(), lifetime=DAY, skew=DAY)
        server = await asyncio.start_server(middle, "127.0.0.1", 0, ssl=tls.context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await refusal(LinkNode("a"), f"127.0.0.1:{port}", LinkNode("b"), "wrong_key")
            async with asyncio.timeout(3):
                await over.wait()
        assert heard == [b""]

    async def test_one_in_the_middle_cannot_pass_the_proof_on(self) -> None:
        """It holds a certificate the dialler takes (a stolen one, say), but not the listener's."""
        async with LinkNode("b").listening() as b:
            a = LinkNode("a")
            real = await a.dialer.connect(b.address, b.node)
            fooled = Connection(real.pipe, b.node, b"another certificate than b's....")
            with pytest.raises(HandshakeRefused) as caught:
                await a.dialer.greet(fooled, a.local)
            assert caught.value.code == "wrong_certificate"
            await real.pipe.close("done")

    async def test_a_connection_that_is_gone_is_never_full(self) -> None:
        """The second time it is closed, asyncio's transport of TLS lets go of what could be asked."""
        async with LinkNode("b").listening() as b:
            connection = await LinkNode("a").dialer.connect(b.address, b.node)
            for _ in range(2):
                connection.pipe.transport.close()
                assert not connection.pipe.full
            async with asyncio.timeout(1):
                await connection.pipe.taken()
            await connection.pipe.close("done")


class TestStrangers:
    async def raw(self, b: LinkNode, said: bytes) -> bytes:
        host, port = b.address.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        async with asyncio.timeout(3):
            try:
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.transport.abort()

    async def tls(self, b: LinkNode, said: bytes, context: ssl.SSLContext | None = None) -> bytes:
        host, port = b.address.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(
            host, int(port), ssl=context or client_context(), server_hostname=""
        )
        writer.write(said)
        async with asyncio.timeout(3):
            try:
                return await reader.read()
            except OSError:
                return b""
            finally:
                writer.transport.abort()

    @pytest.mark.parametrize(
        "said",
        [b"\x00" * 100, b"GET /maw/1 HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", NOISE, b"\x16\x03\x01"],
    )
    async def test_garbage_before_tls(self, said: bytes, caplog: pytest.LogCaptureFixture) -> None:
        async with LinkNode("b").listening(timers=ReceptionTimers(0.2, 0.3, 1)) as b:
            for _ in range(3):
                await self.raw(b, said)
            await self.still_good(b)
        self.one_quiet_line(caplog)

    @pytest.mark.parametrize(
        "said",
        [
            NOISE,
            b"\r\n\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /maw/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\nabc",
            b"GET /maw/1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            b"GET /maw/1 HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20000 + b"\r\n\r\n",
            b"GET /maw/1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: a\r\n\r\n",
        ],
    )
    async def test_garbage_after_tls(self, said: bytes, caplog: pytest.LogCaptureFixture) -> None:
        async with LinkNode("b").listening(timers=ReceptionTimers(0.3, 0.5, 1)) as b:
            for _ in range(3):
                await self.tls(b, said)
            await self.still_good(b)
        self.one_quiet_line(caplog)

    @pytest.mark.parametrize("frame", [b"", b"\x00", NOISE[:100], b"\x92\xa4open\x00", b"x" * 60_000])
    async def test_garbage_after_the_websocket(self, frame: bytes, caplog: pytest.LogCaptureFixture) -> None:
        async with LinkNode("b").listening() as b:
            for _ in range(3):
                connection = await LinkNode("a").dialer.connect(b.address, b.node)
                await connection.pipe.send(frame)
                answer = decode(await connection.pipe.receive())
                assert isinstance(answer, Refusal)
                assert answer.code == "protocol_violation"
                await connection.pipe.close("done")
            await self.still_good(b)
        self.one_quiet_line(caplog)

    async def still_good(self, b: LinkNode) -> None:
        assert b.listener is not None
        await until(lambda: b.listener is not None and b.listener.strangers == 0)
        async with linked(LinkNode("a"), b) as link:
            link.send(b"hello")
            await until(lambda: b.frames == [b"hello"])

    def one_quiet_line(self, caplog: pytest.LogCaptureFixture) -> None:
        loud = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert len(loud) == 1, [r.getMessage() for r in loud]
        assert loud[0].name == "maw.net.listener"
        assert loud[0].exc_info is None
        assert "\n" not in loud[0].getMessage()

    async def test_tls_1_2_is_refused(self) -> None:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname = False
        old.verify_mode = ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        async with LinkNode("b").listening() as b:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await self.tls(b, b"", old)

    async def test_a_listener_with_tls_1_2_is_refused(self) -> None:
        signer = Signer(os.urandom(32))
        old = issue(signer, time.time(), lifetime=DAY, skew=DAY).context
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=old)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(LinkError, match="TLS"):
                await LinkNode("a").dialer.dial(f"127.0.0.1:{port}", signer.node)

    @pytest.mark.parametrize("how_far", ["tcp", "tls", "http", "websocket", "opening"])
    async def test_whoever_stops_halfway_is_let_go(self, how_far: str) -> None:
        async with LinkNode("b").listening(timers=ReceptionTimers(0.2, 0.3, 1)) as b:
            begun = time.monotonic()
            match how_far:
                case "tcp":
                    await self.raw(b, b"")
                case "tls":
                    await self.tls(b, b"")
                case "http":
                    await self.tls(b, b"GET /maw/1 HTTP/1.1\r\n")
                case _:
                    a = LinkNode("a")
                    connection = await a.dialer.connect(b.address, b.node)
                    if how_far == "opening":
                        machine = Dialler(a.local, b.node, connection.certificate, os.urandom(32))
                        await connection.pipe.advance(machine.start())
                        await connection.pipe.receive()
                    with pytest.raises(LinkClosed):
                        await connection.pipe.receive()
                    await connection.pipe.close("done")
            assert 0.1 < time.monotonic() - begun < 2
            await self.still_good(b)

    async def test_a_dialler_does_not_wait_for_ever_either(self) -> None:
        async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                writer.transport.abort()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        a = LinkNode("a", dial_timers=DialTimers(0.2, 0.2))
        with pytest.raises(LinkClosed, match="timed out"):
            await a.dialer.dial(f"127.0.0.1:{port}", LinkNode("b").node)
        server.close()

    async def test_given_up_the_connection_ends_at_once(self) -> None:
        """Also with one that reads nothing: nobody waits for its farewell."""
        b = LinkNode("b")
        context = issue(b.local.signer, time.time(), lifetime=DAY, skew=DAY).context

        def mute(server: socket.socket) -> bool:
            connection, _ = server.accept()
            with context.wrap_socket(connection, server_side=True) as shaken:
                end = select.poll()
                end.register(shaken, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
                return bool(end.poll(3000))

        with socket.create_server(("127.0.0.1", 0)) as server:
            ended = asyncio.create_task(asyncio.to_thread(mute, server))
            a = LinkNode("a", dial_timers=DialTimers(0.3, 0.3))
            with pytest.raises(LinkClosed, match="timed out"):
                await a.dialer.dial(f"127.0.0.1:{server.getsockname()[1]}", b.node)
            assert await ended

    async def test_one_source_cannot_take_all_places(self, caplog: pytest.LogCaptureFixture) -> None:
        bounds = Bounds(strangers=8, per_source=3)
        async with LinkNode("b").listening(bounds=bounds) as b:
            assert b.listener is not None
            host, port = b.address.rsplit(":", 1)
            held = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
            await until(lambda: b.listener is not None and b.listener.strangers == 3)
            reader, writer = await asyncio.open_connection(host, int(port))
            async with asyncio.timeout(1):
                assert await reader.read() == b""  # closed at once, without a word
            for _, one in [*held, (reader, writer)]:
                one.transport.abort()
            await self.still_good(b)
        assert sum("too many" in r.getMessage() for r in caplog.records) == 1

    async def test_links_take_no_strangers_place(self) -> None:
        one = Bounds(strangers=1, per_source=1)
        async with (
            LinkNode("b").listening(bounds=one) as b,
            linked(LinkNode("a"), b),
            linked(LinkNode("c"), b),
        ):
            assert len(everything([b])) == 2
