"""Links between nodes over real TLS on loopback: frames, addresses, and which link stays."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from typing import NoReturn

import pytest

from maw.core.frames import MAX_FRAME
from maw.core.identity import Signer
from maw.errors import HandshakeRefused, InternalError, LinkClosed, ProtocolViolation
from maw.net.link import Link
from maw.net.tls import DAY, issue
from tests.integration.linknode import LinkNode, everything, linked, refusal, until


class TestFrames:
    async def test_go_both_ways_in_order_of_any_size(self) -> None:
        frames = [os.urandom(size) for size in (0, 1, 125, 126, 65535, 65536, MAX_FRAME)]
        async with LinkNode("b").listening() as b:
            a = LinkNode("a")
            async with linked(a, b) as link:
                back = b.switchboard.get(a.node)
                assert back is not None
                for frame in frames:
                    link.send(frame)
                    back.send(frame)
                await until(lambda: len(a.frames) == len(b.frames) == len(frames))
        assert a.frames == b.frames == frames

    async def test_both_ends_know_whom_they_have(self) -> None:
        async with LinkNode("b").listening() as b:
            a = LinkNode("a")
            async with linked(a, b) as link:
                back = b.switchboard.get(a.node)
                assert back is not None
                assert (link.peer, link.peer_name, link.outbound) == (b.node, "b", True)
                assert (back.peer, back.peer_name, back.outbound) == (a.node, "a", False)
                assert link.instance == b.local.instance
                assert back.instance == a.local.instance
                assert link.remote_address == back.local_address == b.address
                assert link.local_address == back.remote_address
                assert abs(link.up_since - time.time()) < 5
                assert 0 < await link.ping(1.0) < 1
                assert link.rtt is not None
                assert b.shown == [b"admission"]
            await until(lambda: b.ended)
        assert [str(why) for why in a.ended] == ["the test is over"]
        assert [str(why) for why in b.ended] == ["closed by the other side: the test is over"]
        assert everything([a, b]) == []

    async def test_over_ipv6(self) -> None:
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 loopback here: enable it with sysctl net.ipv6.conf.lo.disable_ipv6=0")
        async with LinkNode("b").listening(host="::1") as b:
            assert b.address.startswith("[::1]:")
            async with linked(a := LinkNode("a"), b) as link:
                link.send(b"hello")
                await until(lambda: b.frames == [b"hello"])
            assert a.ended

    async def test_urgent_ones_go_before_what_waits(self) -> None:
        async with LinkNode("b").listening() as b, linked(LinkNode("a"), b) as link:
            for n in range(3):
                link.send(b"backlog %d" % n)
            link.send(b"live 0", urgent=True)
            link.send(b"live 1", urgent=True)
            await until(lambda: len(b.frames) == 5)
            assert b.frames == [b"live 0", b"live 1", b"backlog 0", b"backlog 1", b"backlog 2"]

    async def test_what_was_sent_before_close_arrives(self) -> None:
        async with LinkNode("b").listening() as b, linked(LinkNode("a"), b) as link:
            for n in range(1000):
                link.send(b"%d" % n)
            link.close("done")
            await until(lambda: b.ended)
            assert len(b.frames) == 1000
            link.send(b"too late, and no error")

    async def test_too_big_to_send_is_our_own_bug(self) -> None:
        async with LinkNode("b").listening() as b, linked(LinkNode("a"), b) as link:
            with pytest.raises(InternalError):
                link.send(b"x" * (MAX_FRAME + 1))

    async def test_a_bug_in_the_receiver_is_not_swallowed(self) -> None:
        async with LinkNode("b").listening() as b:
            link = await LinkNode("a").dialer.dial(b.address, b.node)
            await until(lambda: everything([b]))
            everything([b])[0].send(b"frame")

            def bug(_frame: bytes) -> NoReturn:
                raise ZeroDivisionError

            with pytest.raises(ExceptionGroup) as caught:
                await link.run(bug)
            assert caught.group_contains(ZeroDivisionError)

    async def test_a_bug_behind_the_listener_is_not_swallowed_either(self) -> None:
        b = LinkNode("b")

        def bug(_frame: bytes) -> None:
            raise ZeroDivisionError

        async def serve(link: Link) -> None:
            await link.run(bug)

        b.serve = serve  # type: ignore[method-assign]
        with pytest.raises(ExceptionGroup) as caught:
            async with b.listening():
                link = await LinkNode("a").dialer.dial(b.address, b.node)
                await link._pipe.send(b"frame")
                await asyncio.Event().wait()
        assert caught.group_contains(ZeroDivisionError)
        await link.shut("done")

    async def test_the_receiver_may_end_a_link_that_breaks_the_rules(self) -> None:
        async with LinkNode("b").listening() as b:
            link = await LinkNode("a").dialer.dial(b.address, b.node)
            await until(lambda: everything([b]))
            everything([b])[0].send(b"frame")

            def strict(_frame: bytes) -> NoReturn:
                raise ProtocolViolation("a gap")

            assert str(await link.run(strict)) == "a gap"
            await until(lambda: b.ended)
            assert str(b.ended[0]) == "closed by the other side: a gap"


class TestWhichLinkStays:
    @pytest.mark.parametrize("_time", range(5))
    async def test_dialling_each_other_at_once_leaves_the_smaller_keys_link(self, _time: int) -> None:
        one, two = sorted((LinkNode("a"), LinkNode("b")), key=lambda node: node.node)
        async with one.listening(), two.listening(), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.dial_and_live(one, two)),
                group.create_task(self.dial_and_live(two, one)),
            ]
            await until(lambda: self.one_link(one, two))
            link = one.switchboard.get(two.node)
            assert link is not None
            await link.ping(1)
            assert self.one_link(one, two)
            link.close("done")
            for task in tasks:
                await task

    async def dial_and_live(self, a: LinkNode, b: LinkNode) -> None:
        try:
            link = await a.dialer.dial(b.address, b.node)
        except HandshakeRefused as no:
            assert no.code == "duplicate"
            return
        await a.live(link)

    def one_link(self, one: LinkNode, two: LinkNode) -> bool:
        mine, yours = one.switchboard.get(two.node), two.switchboard.get(one.node)
        return (
            mine is not None
            and yours is not None
            and mine.outbound
            and not yours.outbound
            and mine.local_address == yours.remote_address
        )

    async def test_a_copied_host_is_refused_loudly(self, caplog: pytest.LogCaptureFixture) -> None:
        async with LinkNode("b").listening() as b, linked(a := LinkNode("a"), b) as link:
            copy = a.restarted()
            no = await refusal(copy, b.address, b, "copied_host")
            assert "another running node has this key" in no.message
            link.send(b"I am the first")
            await until(lambda: b.frames == [b"I am the first"])
        assert any(r.levelno == logging.ERROR and "copied host" in r.getMessage() for r in caplog.records)

    async def test_who_only_looks_whether_anybody_listens_is_no_matter(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with LinkNode("b").listening() as b:
            host, port = b.address.split(":")
            for said in (b"", b"GET / HTTP/1.0\r\n\r\n"):  # a look, and somebody who speaks something else
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(said)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
            await until(lambda: any("no TLS 1.3" in record.getMessage() for record in caplog.records))
            refused = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
        assert len(refused) == 1, refused
        assert "the connection was closed" not in refused[0]

    async def test_a_restarted_host_replaces_its_dead_link(self) -> None:
        async with LinkNode("b").listening() as b:
            a = LinkNode("a")
            dead = await a.dialer.dial(b.address, b.node)  # never run: answers no ping
            await until(lambda: b.switchboard.linked(a.node))
            async with linked(a.restarted(), b) as link:
                link.send(b"back again")
                await until(lambda: b.frames == [b"back again"])
                await until(lambda: b.ended)
                assert "silent" in str(b.ended[0])
            await dead.shut("done")

    async def test_who_dials_again_has_lost_the_old_link(self) -> None:
        async with LinkNode("b").listening() as b:
            a = LinkNode("a")
            old = await a.dialer.dial(b.address, b.node)
            await until(lambda: b.switchboard.linked(a.node))
            async with linked(a, b) as link:
                link.send(b"again")
                await until(lambda: b.frames == [b"again"])
                await until(lambda: b.ended)
                assert "replaced" in str(b.ended[0])
            await old.shut("done")

    async def test_a_sleeper_finds_its_dead_links_by_probing(self) -> None:
        async with LinkNode("b").listening() as b:
            alive = LinkNode("alive")
            dead = await LinkNode("dead").dialer.dial(b.address, b.node)
            async with linked(alive, b):
                await until(lambda: len(everything([b])) == 2)
                await b.switchboard.probe(0.2)
                await until(lambda: len(everything([b])) == 1)
                assert b.switchboard.linked(alive.node)
            await dead.shut("done")


class TestAddresses:
    async def test_come_and_go_without_disturbing_the_others(self) -> None:
        async with LinkNode("b").listening() as b, linked(LinkNode("a"), b) as link:
            assert b.listener is not None
            host, port = b.address.rsplit(":", 1)
            first = b.listener.bindings[0]
            bound = await b.listener.set_addresses([(first.host, 0), ("127.0.0.2", int(port))])
            assert bound[0] == first
            assert bound[1].listening
            assert (await b.listener.set_addresses([("127.0.0.2", int(port))]))[0].listening
            with pytest.raises(LinkClosed, match="connection refused"):
                await LinkNode("c").dialer.dial(b.address, b.node)
            link.send(b"not disturbed")  # by its own listening socket's end
            await until(lambda: b.frames == [b"not disturbed"])
            async with linked(LinkNode("c"), b_at(b, f"127.0.0.2:{port}")):
                pass
            assert host == "127.0.0.1"

    async def test_what_cannot_be_bound_says_why_and_is_tried_again(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            async with LinkNode("b").listening() as b:
                assert b.listener is not None
                wanted = [("127.0.0.1", port), ("192.0.2.1", port), ("not an address", 1), ("127.0.0.1", 0)]
                in_use, not_ours, nonsense, fine = await b.listener.set_addresses(wanted)
                assert in_use.error == "another program listens there already"
                assert not_ours.error == "no interface of this host has this address"
                assert nonsense.error
                assert not (in_use.listening or not_ours.listening or nonsense.listening)
                assert fine.listening
                taken.close()
                assert (await b.listener.set_addresses(wanted))[0].listening

    async def test_nothing_listens_after_the_end(self) -> None:
        async with LinkNode("b").listening() as b:
            address, node = b.address, b.node
        with pytest.raises(LinkClosed, match="connection refused"):
            await LinkNode("a").dialer.dial(address, node)


def b_at(b: LinkNode, address: str) -> LinkNode:
    b.address = address
    return b


class TestPlainWords:
    @pytest.mark.parametrize(
        ("address", "words"),
        [
            ("127.0.0.1:1", "connection refused"),
            ("nobody.invalid:6290", "the name does not resolve"),
            ("[::1]:1", "connection refused|no address of this host|no route"),
        ],
    )
    async def test_why_not(self, address: str, words: str) -> None:
        with pytest.raises(LinkClosed, match=words):
            await LinkNode("a").dialer.dial(address, LinkNode("b").node)

    async def test_a_web_server_with_a_certificate_of_ours_is_no_node(self) -> None:
        heard = asyncio.Event()

        async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            heard.set()
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
            await reader.read()
            writer.close()

        signer = Signer(os.urandom(32))
        tls = issue(signer, time.time(), lifetime=DAY, skew=DAY)
        async with await asyncio.start_server(web, "127.0.0.1", 0, ssl=tls.context) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(LinkClosed, match="it redirects"):
                await LinkNode("a").dialer.dial(f"127.0.0.1:{port}", signer.node)
        assert heard.is_set()
