"""Which Colony a node belongs to: told in peers.toml, changed only while it is alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from maw.core.statement import colony_id, colony_text, found
from maw.errors import BadConfig, Conflict, Refused
from maw.store import trust as rows
from tests.conftest import MakeHome
from tests.integration.nodes import running
from tests.unit.store.opened import Author

COLONY = colony_id(found(Author(2).signer, "elsewhere", b"n" * 16, 1))


def ask_for(home: Path, colony: bytes) -> None:
    (home / "peers.toml").write_text(f'[colony]\nid = "{colony_text(colony)}"\n')


async def test_a_node_alone_takes_the_colony_that_is_written_down(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        await host.post("owner", "said alone")
        ask_for(host.node.home.path, COLONY)
        await host.node.read_peers()
        assert host.node.membership.book.colony == COLONY
        assert await host.channel() == ["said alone"]
        with pytest.raises(Conflict) as no:
            host.node.belonging.founding()
        assert no.value.code == "no_founding"


async def test_one_that_has_linked_stays_where_it_is(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        before = host.node.membership.book.colony
        await host.node.writer.submit(lambda conn: rows.set_meta(conn, "linked", 1))
        ask_for(host.node.home.path, COLONY)
        with pytest.raises(Refused) as no:
            await host.node.read_peers()
        assert no.value.code == "already_in_a_colony"
        assert host.node.membership.book.colony == before


async def test_a_broken_file_changes_nothing(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        before = host.node.membership.book.colony
        (host.node.home.path / "peers.toml").write_text('[colony]\nid = "mc1nonsense"\n')
        with pytest.raises(BadConfig, match="line 2"):
            await host.node.read_peers()
        assert host.node.membership.book.colony == before
