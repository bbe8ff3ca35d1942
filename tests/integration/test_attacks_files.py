"""What stands in a node's directory and should not: each a clear refusal, or passed over and told; never a crash."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from maw.config import load_config, load_peers
from maw.core.entry import MAX_COUNT
from maw.errors import BadConfig, MawError
from maw.node.home import NodeHome, hold_lock
from tests.conftest import MakeHome
from tests.integration.nodes import all_running, pair, running, until
from tests.unit.api.house import opened


@pytest.mark.parametrize(
    "mark",
    [b"\xff" * 16, MAX_COUNT.to_bytes(8, "big") + bytes(8), bytes(8) + b"\x7f" * 8, b"abc", b"x" * 5000],
)
async def test_a_mark_that_nobody_wrote_is_passed_over_and_told(make_home: MakeHome, mark: bytes) -> None:
    """Taken at its word it would put our next epoch where no other node takes it, or nowhere at all."""
    one, other = make_home("mbp"), make_home("oracle")
    async with all_running(one, other) as (mbp, oracle):
        await mbp.add("arthur")
        await pair(mbp, oracle)
        await mbp.post("arthur", "before")
    one.mark.write_bytes(mark)
    async with all_running(one, other) as (mbp, oracle):
        await mbp.post("arthur", "after")
        await until(lambda: mbp.held() == oracle.held(), "the other takes it")
        assert await oracle.channel() == ["before", "after"]
        assert "node.mark is damaged" in (await mbp.alert("recovery"))["text"]
    async with running(one) as mbp:
        assert not mbp.node._opened.notes, "and it is whole again"


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.symlink_to("other")])
@pytest.mark.parametrize("name", ["node.mark", "maw.lock"])
async def test_what_is_no_plain_file_is_refused(
    make_home: MakeHome, name: str, make: Callable[[Path], None]
) -> None:
    home = make_home("mbp")
    (home.path / "other").write_text("precious")
    (home.path / name).unlink(missing_ok=True)
    make(home.path / name)
    with pytest.raises(BadConfig, match=name):
        if name == "maw.lock":
            with hold_lock(home):
                pass
        else:
            async with running(home):
                pass
    assert (home.path / "other").read_text() == "precious"


@pytest.mark.parametrize("text", ["a=" + "[" * 100_000, "[" * 100_000])
def test_toml_that_is_nested_without_end(tmp_path: Path, text: str) -> None:
    path = tmp_path / "peers.toml"
    path.write_text(text)
    for load in (load_peers, load_config):
        with pytest.raises(BadConfig, match=r"peers\.toml"):
            load(path)


async def spoken(make_home: MakeHome) -> NodeHome:
    """A node with a few pages of everything."""
    home = make_home("mbp")
    async with running(home) as mbp:
        await mbp.add("arthur")
        for number in range(60):
            await mbp.post("arthur", f"{number} @arthur " + "x" * 300)
    return home


def plain(error: Exception) -> BadConfig:
    """What the daemon ends with, out of the groups around it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, BadConfig), repr(error)
    return error


async def test_damage_anywhere_is_a_plain_refusal_or_is_lived_with(make_home: MakeHome) -> None:
    home = await spoken(make_home)
    whole = home.database.read_bytes()
    rng = random.Random(7)
    refused = lived = 0
    for number in range(16):
        data = bytearray(whole)
        if number % 2:
            for _ in range(60):
                data[rng.randrange(4096, len(data))] ^= 1 << rng.randrange(8)
        else:
            page = rng.randrange(1, len(data) // 4096) * 4096
            data[page : page + 4096] = rng.randbytes(4096)
        for rest in home.path.glob("colony.db-*"):
            rest.unlink()
        home.database.write_bytes(data)
        home.mark.unlink(missing_ok=True)
        try:
            async with running(home) as mbp:
                lived += 1
                try:
                    await mbp.post("arthur", "still here")
                    await mbp.channel()
                except (sqlite3.Error, MawError):
                    pass
        except (BadConfig, ExceptionGroup) as no:
            refused += 1
            assert "colony.db" in plain(no).message
            assert plain(no).hint
    assert refused
    assert lived


async def test_a_page_that_cannot_be_read_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as house:

        async def torn(*_: object, **__: object) -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

        monkeypatch.setattr(house.backend, "channel_page", torn)
        answer = await house.caller("socket")("GET", "/api/channels/general/messages")
        assert (answer.status, answer.code) == (503, "cannot_read")
        assert (await house.caller("socket")("GET", "/api/inbox")).status == 200


async def test_a_umask_of_nothing_leaves_nothing_open(make_home: MakeHome) -> None:
    before = os.umask(0)
    try:
        home = make_home("mbp")
        modes = {path.name: path.stat().st_mode & 0o777 for path in home.path.iterdir()}
    finally:
        os.umask(before)
    assert modes["node.key"] == modes["operator.key"] == modes["recovery.key"] == 0o600
    assert modes["colony.db"] & 0o077 == 0
    assert home.path.stat().st_mode & 0o077 == 0
