"""Where a node says it can be reached, and what its gate lets in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from maw.config import Endpoint
from maw.core.statement import admit
from maw.errors import HandshakeRefused, Unavailable
from maw.node.mesh import Gate
from tests.conftest import MakeHome, free_port
from tests.integration.nodes import NOWHERE, all_running, config_of, pair, running, until


async def test_it_names_what_it_listens_on(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as mbp:
        assert mbp.node.mesh.addresses() == tuple(str(at) for at in config_of(home).mesh.listen)
        assert [item.listening for item in mbp.node.mesh.bindings] == [True]


async def test_it_names_what_the_owner_advertises(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home, config=config_of(home, advertise=NOWHERE)) as mbp:
        assert mbp.node.mesh.addresses() == (NOWHERE,)


async def test_listening_everywhere_it_names_addresses_of_this_host(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home("mbp")
    port = free_port()
    config = config_of(home)
    config = replace(config, mesh=replace(config.mesh, listen=(Endpoint("0.0.0.0", port),)))
    info = [(0, 0, 0, "", (host, 0)) for host in ("127.0.1.1", "10.1.2.3", "10.1.2.3")]
    monkeypatch.setattr("maw.node.mesh.socket.getaddrinfo", lambda *_, **__: info)
    async with running(home) as mbp:
        mbp.node.mesh._config = config
        monkeypatch.setattr(
            type(mbp.node.mesh._listener), "bindings",
            property(lambda _: [type("B", (), {"host": "0.0.0.0", "port": port, "address": ""})()]),
        )  # fmt: skip
        assert mbp.node.mesh.addresses() == (f"10.1.2.3:{port}",)
        monkeypatch.undo()


async def test_an_address_that_is_taken_is_tried_again(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.setattr("maw.node.mesh.REBIND_S", 0.05)
    home = make_home("mbp")
    where = config_of(home).mesh.listen[0]
    with socket.socket() as other:
        other.bind((where.host, where.port))
        other.listen()
        async with running(home) as mbp:
            (binding,) = mbp.node.mesh.bindings
            assert not binding.listening
            assert binding.error
            await mbp.post("owner", "local things go on")
            other.close()
            await until(lambda: mbp.node.mesh.bindings[0].listening, "it listens by itself")


async def test_a_disk_that_cannot_keep_an_admission_refuses_the_link_and_nothing_more(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with all_running(make_home("a"), make_home("b"), make_home("c")) as (a, b, c):
        await pair(a, b)
        shown = admit(a.node.signer, a.node.membership.book.colony, c.me, "c", (), False, 1)
        gate = Gate(b.node.membership, b.node.board, b.node.mesh.linking, b.node.conduct)
        gate.judge(c.me, shown.wire)

        async def full(*_: Any) -> None:
            raise Unavailable("the disk is full", code="cannot_write")

        monkeypatch.setattr(b.node.membership, "keep", full)
        link = type("L", (), {"peer": c.me, "outbound": True})()
        with pytest.raises(HandshakeRefused) as no:
            await gate.admit_link(link)
        assert no.value.code == "cannot_write"
        assert not b.linked(c)
