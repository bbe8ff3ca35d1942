"""Fixtures for real hosts. Tests that use them are marked `root` and grouped, as the machine is small."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import MakeHome
from tests.e2e.booted import BootedHost, boot_requirements_missing
from tests.e2e.daemons import Daemon, MakeDaemon
from tests.e2e.lab import Lab, TestHost, requirements_missing


def need(missing: str | None) -> None:
    """Skip with the way to run it; fail where MAW_REQUIRE_LAB is set (CI: nothing may skip unseen)."""
    if missing and os.environ.get("MAW_REQUIRE_LAB"):
        pytest.fail(f"MAW_REQUIRE_LAB is set, but this {missing}")
    if missing:
        pytest.skip(missing)


@pytest.fixture
def daemon(make_home: MakeHome) -> Iterator[MakeDaemon]:
    """``daemon("mbp")``: founded and up; whatever still runs at the end is killed."""
    made: list[Daemon] = []

    def make(name: str) -> Daemon:
        made.append(Daemon(make_home(name).path))
        return made[-1].start()

    yield make
    for one in made:
        one.__exit__(None, None, None)


@pytest.fixture
def lab() -> Iterator[Callable[[int], Lab]]:
    """``lab(3)``: three hosts joined by WireGuard, ended after the test."""
    need(requirements_missing())
    with ExitStack() as stack:
        yield lambda hosts: stack.enter_context(Lab(hosts))


@pytest.fixture
def lab_without_wireguard() -> Iterator[Lab]:
    """One host without wg0, for a test that makes it."""
    need(requirements_missing())
    with Lab(1, wireguard=False) as made:
        yield made


@pytest.fixture(scope="module")
def boot() -> Iterator[Callable[..., BootedHost]]:
    """``boot()``: a host with a real systemd, wiped after the module; ``boot(host)``: in a lab host's net."""
    need(boot_requirements_missing())

    with ExitStack() as stack:

        def made(host: TestHost | None = None, binds: tuple[Path, ...] = ()) -> BootedHost:
            return stack.enter_context(BootedHost(host, binds=binds))

        yield made
