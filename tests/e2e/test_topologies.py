"""Real daemons in shapes: who can dial whom is given by peers.toml, and nobody learns another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from maw.core.identity import key_text
from maw.node.home import NodeHome, read_key
from tests.conftest import MakeHome
from tests.e2e.daemons import Daemon
from tests.e2e.lab import wait_until

NOWHERE = '"127.0.0.1:1"'
DEADLINE_S = 60.0
POSTS = 10

Dials = Sequence[tuple[int, int]]
LINE: Dials = [(at + 1, at) for at in range(4)]
STAR: Dials = [(leaf, 0) for leaf in range(1, 5)]
ONLY_OUTBOUND: Dials = [(0, 1), (0, 2), *((a, b) for a in (1, 2, 3) for b in (1, 2, 3) if a != b)]
"""Node 0 dials two of three; nobody can dial it."""


def _write(homes: Sequence[NodeHome], at: int, dials: Dials, colony: str | None) -> None:
    """Everybody trusts everybody, and has addresses only of whom it dials."""
    home = homes[at]
    blocks = [f'[colony]\nid = "{colony}"\n'] if colony else []
    for number, other in enumerate(homes):
        if number != at:
            found = home_address(other) if (at, number) in dials else ""
            key = key_text(read_key(other.key).node)
            blocks.append(f'[[peer]]\nname = "{other.path.name}"\nkey = "{key}"\naddresses = [{found}]\n')
    home.peers.write_text("\n".join(blocks))
    home.peers.chmod(0o600)


def home_address(home: NodeHome) -> str:
    line = next(line for line in home.config.read_text().splitlines() if line.startswith("listen = "))
    return line.split("[")[1].rstrip("]")


def _advertise_nowhere(home: NodeHome) -> None:
    text = home.config.read_text()
    home.config.write_text(text.replace("[mesh]\n", f"[mesh]\nadvertise = [{NOWHERE}]\n", 1))


@pytest.fixture
def shape(make_home: MakeHome) -> Iterator[Callable[[Dials], list[Daemon]]]:
    """``shape(dials)``: one daemon for each node, all up."""
    up: list[Daemon] = []

    def make(dials: Dials) -> list[Daemon]:
        homes = [make_home(f"n{at}") for at in range(1 + max(max(pair) for pair in dials))]
        colony: str | None = None
        for at, home in enumerate(homes):
            _advertise_nowhere(home)
            _write(homes, at, dials, colony)
            up.append(Daemon(Path(home.path)).start())
            colony = str(status(up[0])["colony"])
        return up

    yield make
    for daemon in up:
        daemon.__exit__(None, None, None)


def status(daemon: Daemon) -> dict[str, object]:
    code, said = daemon.ask("GET", "/api/status", agent="owner")
    assert code == 200, said
    return dict(said)


def post(daemon: Daemon, text: str) -> None:
    code, said = daemon.ask("POST", "/api/channels/general/messages", {"text": text}, agent="owner")
    assert code == 201, said


def links(daemon: Daemon) -> int:
    found = status(daemon)["links_up"]
    assert isinstance(found, int)
    return found


def texts(daemon: Daemon) -> list[str]:
    return sorted(item["text"] for item in daemon.channel())


@pytest.mark.parametrize("dials", [LINE, STAR, ONLY_OUTBOUND], ids=["line", "star", "only outbound"])
def test_everything_comes_to_everybody_once(shape: Callable[[Dials], list[Daemon]], dials: Dials) -> None:
    daemons = shape(dials)
    pairs = {frozenset(pair) for pair in dials}
    degree = [sum(at in pair for pair in pairs) for at in range(len(daemons))]
    wait_until(lambda: [links(one) for one in daemons] == degree, "all are linked as they can be", DEADLINE_S)
    for at, daemon in enumerate(daemons):
        post(daemon, f"hello from {at}")
    wait_until(lambda: all(len(texts(one)) == len(daemons) for one in daemons), "all know all", DEADLINE_S)
    before = [(status(one)["entries_repeated"], status(one)["follows_moved"]) for one in daemons]
    said = texts(daemons[0])
    for number in range(POSTS):
        for at, daemon in enumerate(daemons):
            said.append(f"{number} of {at}")
            post(daemon, said[-1])
    wait_until(lambda: all(texts(one) == sorted(said) for one in daemons), "all have all", DEADLINE_S)
    assert [links(one) for one in daemons] == degree, "nobody found another way"
    after = [(status(one)["entries_repeated"], status(one)["follows_moved"]) for one in daemons]
    assert after == before, "and nothing came twice over a link"
