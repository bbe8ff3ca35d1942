"""Any bit of the database flipped: it does no harm, or is noticed and named. It is never served as if it were so,
and the node comes back."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from maw.config import Endpoint
from maw.errors import BadConfig, MawError
from maw.node.founding import create
from maw.node.home import NodeHome
from maw.node.rebuilding import rebuild
from maw.store.copying import open_readonly
from maw.store.verifying import verify_database
from tests.conftest import free_port
from tests.integration.nodes import Host, pair, running, until

SAID = ("id", "kind", "channel", "to", "author", "role", "text", "mentions")
"""What a message says of itself. When it came only this host knows."""
CHANNELS = ("general", "plans")
DAMAGED = "[maw: this message is damaged on this disk"
EACH = 12

Served = dict[str, dict[str, Any]]


async def served(host: Host) -> Served:
    """Every message as a reader gets it, by id."""
    found: Served = {}
    for channel in CHANNELS:
        try:
            page = await host.service.channel_page(
                await host.owner(), channel, after_seq=0, before_seq=None, limit=500
            )
        except (MawError, sqlite3.Error) as error:  # the doors answer `cannot_read`, which is no message
            assert str(error)
            continue
        found |= {item["id"]: item for item in page.items}
    return found


async def talk(make: Callable[[str], NodeHome]) -> Served:
    async with running(make("mbp")) as mbp, running(make("oracle")) as oracle:
        await pair(mbp, oracle)
        await mbp.add("neo")
        await oracle.add("trinity")
        await oracle.service.add_channel(await oracle.owner(), "plans")
        for n in range(12):
            first = await mbp.post("neo", f"ours {n} @owner " + "x" * 300 * (n % 4))
            await oracle.post("trinity", f"theirs {n} @neo", channel="plans")
            await mbp.post("owner", f"yes {n}", reply_to=first["id"])
        await mbp.post("neo", "long " + "y" * 30_000)
        await until(lambda: mbp.node.state.messages == oracle.node.state.messages == 37, "both have all")
        return await served(mbp)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Served]:
    """The directory of a stopped node that has heard another, and what it served."""
    base = tmp_path_factory.mktemp("flipped")

    def make(name: str) -> NodeHome:
        create(
            base / name, name=name, listen=Endpoint("127.0.0.1", free_port()),
            rest=Endpoint("127.0.0.1", free_port()), owner_uid=os.getuid(), owner_name="owner",
        )  # fmt: skip
        return NodeHome(base / name)

    with ThreadPoolExecutor(1) as pool:  # founding runs a loop of its own
        homes = {name: pool.submit(make, name).result() for name in ("mbp", "oracle")}
        before = pool.submit(lambda: asyncio.run(talk(homes.__getitem__))).result()
    return homes["mbp"].path, before


def flip(path: Path, random_: random.Random) -> list[int]:
    """One bit, or three, mostly in bytes that are used; where."""
    data = bytearray(path.read_bytes())
    used = [at for at, byte in enumerate(data) if byte]
    places = [random_.choice(used) if random_.random() < 0.9 else random_.randrange(len(data))
              for _ in range(random_.choice((1, 1, 3)))]  # fmt: skip
    for at in places:
        data[at] ^= 1 << random_.randrange(8)
    path.write_bytes(data)
    return places


def findings(home: NodeHome) -> list[str]:
    """What `maw verify` says of it."""
    try:
        with closing(open_readonly(home.database)) as conn:
            return [f"{one.what}: {one.where}: {one.text}" for one in verify_database(conn).findings]
    except MawError as error:
        assert error.hint
        return [error.message]


async def read_all(home: NodeHome) -> Served:
    async with asyncio.timeout(30), running(home) as host:
        return await served(host)


def come_back(home: NodeHome) -> Served:
    """What the node serves; where it says that the file is beyond that, after the repair that it names."""
    try:
        return asyncio.run(read_all(home))
    except BaseExceptionGroup as several:
        refused, rest = several.split(BadConfig)
        assert rest is None and refused is not None, several
    except BadConfig as error:
        assert "maw verify --repair" in error.hint, error
    rebuild(home)
    return asyncio.run(read_all(home))


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_bit_is_harmless_or_named_and_never_served(
    stopped: tuple[Path, Served], tmp_path: Path, seed: int
) -> None:
    path, before = stopped
    random_ = random.Random(seed)
    told = 0
    for number in range(EACH):
        home = NodeHome(tmp_path / f"n{number}")
        shutil.copytree(path, home.path, ignore=shutil.ignore_patterns("*.sock"))
        where = f"seed {seed}, {number}: {flip(home.database, random_)}"
        named = findings(home)
        after = come_back(home)
        whole = {name: one for name, one in after.items() if not one["text"].startswith(DAMAGED)}
        for name, one in whole.items():
            assert name in before, f"{where}: {one}"
            was = before[name]
            if named and one["author"] == f"{one['author_name']}@{name.partition('-')[0]}":
                # both its host's row and the entry that says its name are damaged: until a peer gives that back the
                # host goes by the beginning of its key, which is in the message's id
                was = {**was, "author": one["author"]}
            assert [one[key] for key in SAID] == [was[key] for key in SAID], where
        replies = all(one["reply_to"] == before[name]["reply_to"] for name, one in whole.items())
        if whole.keys() != before.keys() or not replies:
            assert named, f"{where}: nothing was named"
        told += bool(named)
    assert told, "no bit did anything: this shows nothing"
