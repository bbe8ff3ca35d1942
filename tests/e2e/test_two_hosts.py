"""The main promise, seen on two hosts joined by real WireGuard: nothing accepted is lost, ever.

Install from the wheel, pair, talk both ways, cut the network, take wg0 down, kill each daemon under load;
in the end both databases hold the same entries and every accepted message stands in both, once, in order.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import pytest

from maw.client.daemon import Daemon
from maw.errors import MawError
from tests.e2e.lab import Lab, TestHost, wait_until
from tests.e2e.wheel import install_wheel
from tests.unlimited import unlimited

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass
class Box:
    """One host with its node."""

    host: TestHost
    maw_path: Path
    name: str
    home: Path
    daemon: subprocess.Popen[str] | None = None
    accepted: list[str] = field(default_factory=list)
    """Texts that this host's daemon accepted, in order."""

    @property
    def env(self) -> dict[str, str]:
        return {"MAW_HOME": str(self.home), "MAW_SOCKET": ""}

    def maw(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.host.run([str(self.maw_path), *words], check, environment=self.env)

    def json(self, *words: str) -> Any:
        return json.loads(self.maw(*words, "--json", check=False).stdout)

    def up(self) -> None:
        log = self.home.parent / f"{self.name}.log"
        self.daemon = self.host.popen([str(self.maw_path), "up"], environment=self.env, log=log)
        wait_until(lambda: self.maw("status", check=False).returncode == 0, f"{self.name} is up", 20)

    def kill(self) -> None:
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait(10)

    def stop(self) -> None:
        assert self.daemon is not None
        self.daemon.terminate()
        assert self.daemon.wait(20) == 0

    def say(self, agent: str, to: str, text: str) -> None:
        """Through the socket, once however often the daemon dies under it."""
        daemon = Daemon(self.home / "maw.sock", agent)
        deadline = time.monotonic() + 30
        key = os.urandom(8).hex()
        while True:
            try:
                daemon._ask("POST", "/api/direct", {}, {"to": to, "text": text}, {"Idempotency-Key": key}, 20)
                break
            except MawError:
                assert time.monotonic() < deadline, f"{self.name} did not come back"
                time.sleep(0.05)
        self.accepted.append(text)

    def inbox(self, agent: str) -> list[str]:
        found: list[str] = []
        after = 0
        daemon = Daemon(self.home / "maw.sock", agent)
        while page := daemon.get("/api/inbox", after_seq=after, limit=500).body:
            found += [message["text"] for message in page]
            after = page[-1]["seq"]
        return found

    def entries(self) -> set[tuple[bytes, int, int, bytes]]:
        """(author, epoch, seq, header) of everything held."""
        with sqlite3.connect(f"file:{self.home / 'colony.db'}?mode=ro", uri=True) as conn:
            headers = [msgpack.unpackb(row[0]) for row in conn.execute("SELECT header FROM entries")]
        conn.close()
        return {(h[2], h[3], h[4], h[8]) for h in headers}

    def linked(self) -> bool:
        return any(peer["state"] == "linked" for peer in self.json("peers"))

    def rest(self, path: str) -> Any:
        """From the far side's own loopback, as a script there would."""
        rest = self.json("status")["rest"]
        return json.loads(self.host.run(["curl", "-sS", "--fail", f"http://{rest}{path}"]).stdout)


@pytest.fixture(scope="module")
def maw_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_wheel(tmp_path_factory.mktemp("wheel"))


def _pair(lab: Lab, maw_path: Path, base: Path) -> tuple[Box, Box]:
    boxes = []
    for index, name in enumerate(("oracle-world", "mbp")):
        box = Box(lab[index], maw_path, name, base / name / "home")
        box.home.parent.mkdir()
        box.maw("init", "--name", name, "--interface", "wg0")
        unlimited(box.home / "maw.toml")
        box.up()
        boxes.append(box)
    one, two = boxes
    line = one.maw("invite").stdout.strip()
    assert one.host.wg_address in one.json("invite")["addresses"][0]
    assert "linked" in two.maw("join", line).stdout
    one.maw("agent", "add", "neo")
    two.maw("agent", "add", "arthur")
    wait_until(lambda: len(one.json("agent", "list")) >= 4, "one knows two's agents")
    wait_until(lambda: len(two.json("agent", "list")) >= 4, "two knows one's agents")
    return one, two


def _arrived(box: Box, agent: str, texts: list[str]) -> Callable[[], bool]:
    return lambda: box.inbox(agent) == texts


def test_nothing_accepted_is_lost(lab: Callable[[int], Lab], maw_path: Path, tmp_path: Path) -> None:
    hosts = lab(2)
    hosts.wait_for_mesh()
    one, two = _pair(hosts, maw_path, tmp_path)

    # both ways, by the command, and by REST on the far side
    sent = one.maw("send", "--as", "neo", "@arthur", "the build is green", "--wait", "replicated")
    assert sent.stdout.startswith("replicated · arthur@mbp")
    one.accepted.append("the build is green")
    two.say("arthur", "neo", "thank you")
    wait_until(_arrived(one, "neo", two.accepted), "the answer")
    one.maw("post", "general", "--as", "neo", "hello @arthur")
    wait_until(lambda: bool(two.rest("/api/mentions?user=arthur&after_seq=0")), "the mention by REST")
    assert two.rest("/api/channels/general/messages?after_seq=0")[0]["text"] == "hello @arthur"
    assert two.maw("ack", "--as", "arthur", "--all").returncode == 0

    # what the other side made of it comes back
    wait_until(
        lambda: [item["state"] for item in one.json("sent", "--as", "neo")] == ["acked", "acked"],
        "neo knows that both were acknowledged",
    )
    waits: list[str] = []
    reading = threading.Thread(
        target=lambda: waits.append(
            one.maw("send", "--as", "neo", "@arthur", "read it", "--wait", "read", "--timeout", "40s").stdout
        )
    )
    reading.start()
    one.accepted.append("read it")
    wait_until(lambda: "read it" in two.maw("inbox", "--as", "arthur", check=False).stdout, "arthur reads it")
    reading.join(60)
    assert [line.split(" · ")[:2] for line in waits] == [["read", "arthur@mbp"]]
    way = one.maw("trace", "--as", "neo", waits[0].split(" · ")[2].strip()).stdout
    assert [line.split()[:2] for line in way.splitlines()[1:]] == [
        ["stored", "oracle-world"],
        ["replicated", "mbp"],
        ["read", "arthur@mbp"],
    ]
    assert two.maw("ack", "--as", "arthur", "--all").returncode == 0

    # the underlay is cut for a while: both go on accepting
    one.host.cut()
    for number in range(20):
        one.say("neo", "arthur", f"cut {number}")
        two.say("arthur", "neo", f"cut too {number}")
    assert all(item["state"] == "stored" for item in one.json("sent", "--as", "neo")[-20:])
    one.host.heal()
    wait_until(_arrived(two, "arthur", one.accepted[2:]), "what was said during the cut", 60)
    wait_until(_arrived(one, "neo", two.accepted), "the same the other way", 60)

    # wg0 itself goes and comes
    two.host.wg_down()
    wait_until(lambda: two.json("status")["interface"]["state"] == "down", "the node sees wg0 down")
    two.say("arthur", "neo", "said with wg0 down")
    two.host.wg_up()
    wait_until(_arrived(one, "neo", two.accepted), "what was said with wg0 down", 60)

    # each daemon is killed in turn, under load from both sides
    stop = threading.Event()

    def load(box: Box, agent: str, to: str) -> None:
        number = 0
        while not stop.is_set():
            box.say(agent, to, f"load {box.name} {number}")
            number += 1

    threads = [
        threading.Thread(target=load, args=(one, "neo", "arthur")),
        threading.Thread(target=load, args=(two, "arthur", "neo")),
    ]
    for thread in threads:
        thread.start()
    try:
        for box in (one, two, one, two):
            before = len(box.accepted)
            wait_until(lambda box=box, before=before: len(box.accepted) > before + 30, "some load")  # type: ignore[misc]
            box.kill()
            box.up()
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)

    wait_until(_arrived(two, "arthur", one.accepted[2:]), "all of one's messages, once and in order", 60)
    wait_until(_arrived(one, "neo", two.accepted), "all of two's messages, once and in order", 60)
    wait_until(lambda: one.json("peers")[0]["behind"] == 0 == one.json("peers")[0]["lacks"], "equal heads")
    one.stop()
    two.stop()
    assert one.entries() == two.entries()


def test_the_address_of_wg0_changes(lab: Callable[[int], Lab], maw_path: Path, tmp_path: Path) -> None:
    """The daemon follows, without a restart; the far side is found again."""
    hosts = lab(2)
    hosts.wait_for_mesh()
    one, two = _pair(hosts, maw_path, tmp_path)
    moved = two.host.wg_address.rpartition(".")[0] + ".77"
    one.host.wg("set", "wg0", "peer", two.host.public_key, "allowed-ips", f"{moved}/32")
    two.host.set_wg_address(moved)
    wait_until(
        lambda: two.json("status")["mesh"][0]["address"].startswith(moved), "two listens on the new address"
    )
    wait_until(one.linked, "linked again", 30)
    one.say("neo", "arthur", "still there?")
    wait_until(_arrived(two, "arthur", one.accepted), "a message to the new address")
