"""Hearing through real commands and a real daemon: who says what he has shown is believed, and nobody else."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import Any

import pytest

from maw.core.budget import GAP_S
from tests.e2e.daemons import MAW, Daemon, MakeDaemon
from tests.e2e.lab import wait_until


@pytest.fixture
def host(daemon: MakeDaemon) -> Daemon:
    host = daemon("mbp")
    for name in ("arthur", "neo"):
        host.maw("agent", "add", name)
    return host


def sent(host: Daemon) -> Any:
    """The latest that neo sent, for whom."""
    (recipient,) = json.loads(host.maw("sent", "--as", "neo", "--json", "--limit", "1"))[0]["recipients"]
    return recipient


def run(host: Daemon, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*MAW, *words], env=host.environment(), stdout=subprocess.PIPE, text=True)


def test_what_tail_shows_is_delivered_by_the_stream(host: Daemon) -> None:
    peeking = run(host, "tail", "--as", "arthur", "--peek")
    wait_until(lambda: asking(host) == 1, "the stream is there")
    try:
        host.maw("send", "--as", "neo", "@arthur", "only looked at")
        time.sleep(0.5)  # nothing is to happen
        assert sent(host)["state"] == "replicated"
    finally:
        peeking.kill()
        peeking.communicate()
    tail = run(host, "tail", "--as", "arthur", "--json")
    try:
        wait_until(lambda: asking(host) == 1, "the stream is there")
        host.maw("send", "--as", "neo", "@arthur", "shown")
        wait_until(lambda: sent(host)["state"] == "delivered", "the stream confirms")
        assert sent(host)["via"] == "stream"
    finally:
        tail.kill()
        tail.communicate()


def asking(host: Daemon) -> int:
    """Streams that are open: their sockets have an end in the daemon beside the listening one."""
    shown = subprocess.run(["ss", "-xH"], capture_output=True, text=True, check=True).stdout
    return sum(str(host.home / "maw.sock") in line for line in shown.splitlines())


def test_what_wait_prints_is_delivered_and_read_by_it(host: Daemon) -> None:
    waiting = run(host, "wait", "--as", "arthur", "--json", "--timeout", "30")
    wait_until(lambda: asking(host) == 1, "it waits")
    host.maw("send", "--as", "neo", "@arthur", "hello")
    printed, _ = waiting.communicate(timeout=20)
    assert [one["text"] for one in json.loads(printed)] == ["hello"]
    assert waiting.returncode == 0
    told = sent(host)
    assert (told["state"], told["via"]) == ("read", "wait")
    assert host.ask("POST", "/api/hear", {"via": "hook"}, agent="arthur")[0] == 204


def test_wait_leaves_to_a_waiter_that_wakes_what_is_its(host: Daemon) -> None:
    waiting = run(host, "wait", "--as", "arthur", "--json", "--timeout", "4")
    wait_until(lambda: asking(host) == 1, "it waits")
    heard: list[Any] = []

    def rewake() -> None:
        status, claim = host.ask(
            "POST", "/api/hear", {"via": "rewake", "wake": True, "wait": 20}, agent="arthur"
        )
        assert status == 200, claim
        assert host.ask("POST", "/api/heard", {"claim": claim["claim"]}, agent="arthur")[0] == 200
        heard.append(claim)

    thread = threading.Thread(target=rewake)
    thread.start()
    wait_until(lambda: asking(host) == 2, "both wait")
    host.maw("send", "--as", "neo", "@arthur", "hello")
    thread.join(10)
    assert [one["text"] for one in heard[0]["messages"]] == ["hello"]
    assert sent(host)["via"] == "rewake"
    printed, _ = waiting.communicate(timeout=20)
    # it is in the inbox: who asks for that still has it, at the latest when his time is over
    assert (waiting.returncode, len(json.loads(printed))) == (0, 1)


def test_quiet_and_release_by_command(host: Daemon) -> None:
    assert host.maw("dnd", "arthur", "on") == "arthur@mbp · not to be disturbed: on, now\n"
    host.maw("send", "--as", "neo", "@arthur", "good night")
    assert host.ask("POST", "/api/hear", {"via": "hook"}, agent="arthur")[0] == 204
    wait_until(lambda: sent(host)["why"] == "in its inbox; dnd", "the sender is told")
    assert "in its inbox; dnd" in host.maw("sent", "--as", "neo")
    assert host.maw("dnd", "--as", "arthur", "off") == "arthur@mbp · dnd off\n"
    status, claim = host.ask("POST", "/api/hear", {"via": "hook"}, agent="arthur")
    assert status == 200
    assert "1 of them waited up to " in claim["text"]
    host.ask("POST", "/api/heard", {"claim": claim["claim"]}, agent="arthur")
    assert sent(host)["state"] == "delivered"
    assert host.maw("wakes", "arthur").startswith("arthur@mbp · woken 0 of 60 times this hour")
    assert "is woken again" in host.maw("wakes", "release", "arthur")
    assert host.ask("POST", "/api/wakes/release", {"agent": "arthur"}, agent="arthur")[0] == 403


def test_from_send_to_digest_takes_a_moment(host: Daemon) -> None:
    took = []
    for at in range(3):
        began: list[float] = []
        thread = threading.Thread(target=_hear, args=(host, began))
        thread.start()
        wait_until(lambda: asking(host) == 1, "it waits")
        time.sleep(GAP_S if at else 0)  # else it is of the same wake
        start = time.monotonic()
        status, _ = host.ask("POST", "/api/direct", {"to": "arthur", "text": f"{at}"}, agent="neo")
        assert status == 201
        thread.join(10)
        took.append(began[0] - start)
    assert sorted(took)[1] < 1.0, took


def _hear(host: Daemon, began: list[float]) -> None:
    """Waits to be woken, and notes when it was."""
    status, claim = host.ask("POST", "/api/hear", {"via": "rewake", "wake": True, "wait": 30}, agent="arthur")
    began.append(time.monotonic())
    assert status == 200
    host.ask("POST", "/api/heard", {"claim": claim["claim"]}, agent="arthur")
