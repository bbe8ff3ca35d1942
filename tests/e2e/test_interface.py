"""`watch` follows a real WireGuard interface through its life, in a namespace of its own."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab import Lab, TestHost, wait_until

pytestmark = [pytest.mark.root, pytest.mark.timeout(60)]

ROOT = Path(__file__).parents[2]
FOLLOWER = """
import asyncio, json, logging, sys
from contextlib import aclosing
from maw.net.wireguard import watch

async def main():
    logging.basicConfig()
    # the poll is slower than the test: only notifications can bring a state in time
    async with aclosing(watch(sys.argv[1], poll=600)) as states:
        async for state in states:
            print(json.dumps([state.word, state.addresses]), flush=True)

asyncio.run(main())
"""


class Follower:
    """A process on a test host that prints each state of wg0."""

    def __init__(self, host: TestHost) -> None:
        self.process = host.popen(
            [sys.executable, "-c", FOLLOWER, "wg0"], environment={"PYTHONPATH": str(ROOT)}
        )

    def until(self, word: str, *addresses: str) -> list[str]:
        """The states read, up to and with this one. Never silent about what came instead."""
        assert self.process.stdout is not None
        seen: list[str] = []
        for line in self.process.stdout:
            state, found = json.loads(line)
            seen.append(state)
            if state == word and tuple(found) == addresses:
                return seen
        assert self.process.stderr is not None
        raise AssertionError(f"ended after {seen}: {self.process.stderr.read()}")


@pytest.fixture
def host(lab_without_wireguard: Lab) -> Iterator[TestHost]:
    yield lab_without_wireguard[0]


def test_watch_follows_wg0_through_its_life(host: TestHost) -> None:
    first = host.wg_address
    follower = Follower(host)
    assert follower.until("missing") == ["missing"]

    host.wg_create(address=False, up=False)
    follower.until("down")
    host.wg_up()
    follower.until("no address")
    host.ip("addr", "add", f"{first}/24", "dev", "wg0")
    follower.until("up", first)

    host.wg_down()
    follower.until("down", first)
    host.wg_up()
    follower.until("up", first)

    host.set_wg_address("10.44.0.99")
    follower.until("up", "10.44.0.99")
    host.ip("addr", "add", "fd44::1/64", "dev", "wg0")
    follower.until("up", "10.44.0.99", "fd44::1")
    host.ip("addr", "add", "fe80::77/64", "dev", "wg0")  # link-local: not told of
    host.ip("addr", "del", "fd44::1/64", "dev", "wg0")
    assert follower.until("up", "10.44.0.99") == ["up"]

    host.wg_delete()
    follower.until("missing")
    host.wg_create()
    follower.until("up", "10.44.0.99")
    host.ip("link", "set", "wg0", "name", "renamed0")
    follower.until("missing")
    assert follower.process.poll() is None


def test_an_overrun_notification_buffer_heals(host: TestHost) -> None:
    """While the process is stopped the kernel runs out of room and drops notifications; then it resyncs."""
    follower = Follower(host)
    follower.until("missing")
    follower.process.send_signal(signal.SIGSTOP)
    batch = "\n".join(f"link set lo alias {'x' * 200}{number}" for number in range(2000))
    host.run(["ip", "-batch", "-"], input_text=batch)
    host.wg_create()
    wait_until(lambda: _drops(host) > 0, "the kernel dropped notifications")
    follower.process.send_signal(signal.SIGCONT)
    follower.until("up", host.wg_address)


def _drops(host: TestHost) -> int:
    """Notifications dropped for the sockets on this host that listen to a group: the follower's."""
    rows = [line.split() for line in host.run(["cat", "/proc/net/netlink"]).stdout.splitlines()[1:]]
    return sum(int(row[8]) for row in rows if row[1] == "0" and int(row[3], 16))
