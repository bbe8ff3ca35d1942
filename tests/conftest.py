"""Fixtures for tests that found nodes: directories of their own, on ports nobody has."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings

from maw.config import Endpoint
from maw.node.founding import create
from maw.node.home import NodeHome
from tests.unlimited import unlimited

# how long one example takes says more of the machine's other work than of the code
settings.register_profile("maw", deadline=None)
settings.load_profile("maw")

MakeHome = Callable[[str], NodeHome]


_given: set[int] = set()


def free_port() -> int:
    """A port below those that the kernel gives to outgoing connections, so that it stays free for a restart."""
    # each of the processes that test side by side has a range of its own: what one has found free another would take
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8
    for _ in range(200):
        port = random.randrange(20_000 + worker * 1_500, 20_000 + (worker + 1) * 1_500)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise AssertionError("no free port on 127.0.0.1")


@pytest.fixture
def make_home(tmp_path: Path) -> MakeHome:
    """``make_home("alpha")``: a founded node on loopback, owned by this uid's ape ``owner``."""

    def make(name: str) -> NodeHome:
        def found() -> None:
            create(
                tmp_path / name,
                name=name,
                listen=Endpoint("127.0.0.1", free_port()),
                rest=Endpoint("127.0.0.1", free_port()),
                owner_uid=os.getuid(),
                owner_name="owner",
            )

        with ThreadPoolExecutor(1) as pool:  # founding runs a loop of its own
            pool.submit(found).result()
        home = NodeHome(tmp_path / name)
        unlimited(home.config)
        return home

    return make
