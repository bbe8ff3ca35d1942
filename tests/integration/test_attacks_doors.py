"""Who only wants to keep the doors busy: bounded, so that agents get in all the same, and a stop is a stop."""

from __future__ import annotations

import asyncio
import resource

import pytest

from maw import daemon
from maw.api import bodies, waiting
from maw.api.limits import KEPT_DESCRIPTORS, MAX_REST_CONNECTIONS, MAX_SOCKET_CONNECTIONS, door_shares
from tests.unit.api.house import opened

HALF = (
    b"POST /api/channels/general/messages HTTP/1.1\r\nHost: localhost\r\nX-Maw-Agent: neo\r\n"
    b'Content-Length: 1000\r\n\r\n{"text": "never fini'
)


async def test_idle_connections_shut_nobody_else_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(most=(20, 100)) as house:
        assert house.doors.rest_address is not None
        host, _, port = house.doors.rest_address.rpartition(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(40)]
        ends = [asyncio.ensure_future(reader.read()) for reader, _ in idle]
        await asyncio.wait(ends, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert (await house.caller("socket")("GET", "/api/inbox")).status == 200
        async with asyncio.timeout(5):
            while sum(end.done() for end in ends) < 20:
                await asyncio.sleep(0.01)
        assert sum(end.done() for end in ends) == 20, "the others stay, within the bound"
        for _, writer in idle:
            writer.close()
        async with asyncio.timeout(5):
            while house.doors._served[1].runner.server.connections:  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
        assert (await house.caller("rest")("GET", "/healthz")).status == 200, "and room again when they go"
        await asyncio.gather(*ends, return_exceptions=True)


async def test_callers_without_a_token_take_only_their_share_of_the_waiting_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITING_ANONYMOUS", 3)
    async with opened() as house:
        nobody = house.caller("rest", None)
        streams = [await nobody.stream() for _ in range(3)]
        answer = await nobody("GET", "/api/channels/general/messages?wait=5&after_seq=99")
        assert (answer.status, answer.code) == (503, "too_many_waiting")
        assert (await house.caller("rest")("GET", "/api/inbox?wait=0.01")).status == 200
        await streams.pop().close()
        streams.append(await nobody.stream())
        for stream in streams:
            await stream.close()


async def test_a_body_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.05)
    async with opened() as house:
        reader, writer = await asyncio.open_unix_connection(str(house.doors.socket_path))
        writer.write(HALF)
        answer = await asyncio.wait_for(reader.readuntil(b"too_slow"), 5)
        assert answer.startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_half_sent_body_does_not_hold_up_a_stop() -> None:
    async with opened(grace_s=0.1) as house:
        _, writer = await asyncio.open_unix_connection(str(house.doors.socket_path))
        writer.write(HALF)
        async with asyncio.timeout(5):
            while not house.doors._served[0].edge._under_way:
                await asyncio.sleep(0.01)
            began = asyncio.get_running_loop().time()
            await house.doors.stop()
        assert asyncio.get_running_loop().time() - began < 2
        writer.close()


def test_the_daemon_takes_the_descriptors_that_it_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    daemon._raise_descriptor_limit()
    assert asked == [(4096, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 20, 1 << 20))
    daemon._raise_descriptor_limit()
    assert asked == [(4096, 4096)], "more than enough is left as it is"
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert daemon._descriptor_limit() == daemon.MAX_DESCRIPTORS


@pytest.mark.parametrize("descriptors", [16, 256, 1024, 4096, 16_384, 1 << 20])
def test_callers_never_take_the_descriptors_of_the_node_itself(descriptors: int) -> None:
    rest, local = door_shares(descriptors)
    assert 0 < rest <= MAX_REST_CONNECTIONS
    assert 0 < local <= MAX_SOCKET_CONNECTIONS
    if descriptors >= 1024:
        assert rest + local + KEPT_DESCRIPTORS <= descriptors
    if descriptors >= 16_384:
        assert (rest, local) == (MAX_REST_CONNECTIONS, MAX_SOCKET_CONNECTIONS)
