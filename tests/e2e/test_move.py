"""An agent moves between real daemons, which are killed at each step while another host writes to it all the time."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.e2e.daemons import MAW, Daemon, MakeDaemon

DEADLINE_S = 60.0
FIRST = {"to": ["scout@old"], "text": "the first"}


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def asked(node: Daemon, method: str, path: str, body: object = None, agent: str | None = None) -> Any:
    status, answer = node.ask(method, path, body, agent=agent)
    assert status in (200, 201), answer
    return answer


def knows_all(node: Daemon, count: int) -> None:
    until(lambda: len(asked(node, "GET", "/api/users")) == count, "all know each other")


def step(node: Daemon) -> str | None:
    try:
        moves = node.ask("GET", "/api/moves")[1]
    except OSError:
        return None
    return moves[0]["step"] if isinstance(moves, list) and moves else None


def again(*nodes: Daemon) -> None:
    """kill -9 of all of them, and another start; at once, for a start takes as long as it computes."""
    for node in nodes:
        node.kill()
    for node in nodes:
        node.process = node.launch()
    for node in nodes:
        until(partial(answers, node), "it is up again")


def answers(node: Daemon) -> bool:
    with suppress(OSError, HTTPException):
        return node.ask("GET", "/healthz")[0] in (200, 503)
    return False


class Sender:
    """Says one number after the other to scout at the old address, and remembers those that were taken."""

    def __init__(self, node: Daemon) -> None:
        self.node = node
        self.taken: list[str] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        n = 0
        while not self.stop.wait(0.2):
            n += 1
            body = {"to": ["scout@old"], "text": f"number {n}"}
            status, _ = self.node.ask("POST", "/api/direct", body, agent="neo")
            assert status == 201
            self.taken.append(f"number {n}")

    def end(self) -> list[str]:
        self.stop.set()
        self.thread.join(DEADLINE_S)
        return self.taken


def exits(node: Daemon, *words: str) -> int:
    done = subprocess.run(
        [*MAW, *words], env=node.environment(), capture_output=True, timeout=60, check=False
    )
    return done.returncode


def test_a_move_that_is_killed_at_each_step_loses_nothing(daemon: MakeDaemon, tmp_path: Path) -> None:
    old, new, third = (daemon(name) for name in ("old", "new", "third"))
    asked(old, "POST", "/api/users", {"username": "scout"})
    asked(third, "POST", "/api/users", {"username": "neo"})
    for node in (new, third):
        asked(node, "POST", "/api/join", {"line": asked(old, "POST", "/api/invites", {})["line"]})
    for node in (old, new, third):
        knows_all(node, 5)
    until(lambda: third.ask("POST", "/api/direct", FIRST, agent="neo")[0] == 201, "it knows what to seal for")
    home = tmp_path / "scout"
    (home / "memory").mkdir(parents=True)
    (home / "soul.md").write_text("I am scout")

    sender = Sender(third)
    try:
        until(lambda: len(sender.taken) > 3, "it writes")
        until(lambda: len(asked(old, "GET", "/api/inbox", agent="scout")) > 3, "it comes")
        some = asked(old, "GET", "/api/inbox", agent="scout")[:3]
        asked(old, "POST", "/api/ack", {"ids": [one["id"] for one in some]}, agent="scout")
        done = [one["text"] for one in some]
        move = ("move", "scout", "new", "--dir", str(home))
        asked(old, "POST", "/api/moves", {"agent": "scout", "host": "new"})
        again(old)
        until(lambda: step(new) == "offered", "the offer is there")
        there = tmp_path / "there"
        asked(new, "POST", "/api/moves/scout", {"do": "accept", "home": str(there)}, agent="~")
        again(new)
        until(lambda: step(old) == "accepted", "the old host knows")
        moving = threading.Thread(target=exits, args=(old, *move))  # it loses its daemon on the way
        moving.start()
        until(lambda: step(old) != "accepted", "handed over")
        again(old, new)
        moving.join(DEADLINE_S)
        until(lambda: step(old) == "moved", "it turns")
        again(new, old)
        until(lambda: step(new) == "home", "it has arrived")
        assert "has moved to new" in old.maw(*move)
        assert "lives here now" in new.maw("move", "accept", "scout", "--as", "~")
        assert not home.exists() and len(list(tmp_path.glob("scout.moved-*"))) == 1, "it is set aside"
        assert (there / "soul.md").read_text() == "I am scout"
    finally:
        sent = sender.end()

    wanted = Counter({FIRST["text"], *sent} - set(done))

    def has() -> Counter[str]:
        status, page = new.ask("GET", "/api/inbox?limit=500", agent="scout")
        assert status == 200
        return Counter(one["text"] for one in page)

    until(lambda: sum(has().values()) >= sum(wanted.values()), "all is there")
    assert has() == wanted, "each once, and nothing that was done with"
    local = [one["username"] for one in asked(old, "GET", "/api/users") if one["local"]]
    assert "scout" not in local
    sent_last = json.loads(third.maw("send", "@scout@old", "to the old address", "--as", "neo", "--json"))
    assert sent_last["warnings"] == ["scout@old has moved to scout@new"]
