"""Hearing through real commands and a real daemon: who says what he has shown is believed, and nobody else."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
import time
from functools import partial
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
    assert "is woken again" in host.maw("wakes", "release", "arthur", "--as", "~")
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


def longer(found: list[str], count: int) -> bool:
    return len(found) > count


def test_killed_again_and_again_it_announces_all_and_nothing_twice_that_was_confirmed(host: Daemon) -> None:
    """What was confirmed with 200 is never shown again; what was not may be; nothing is left out."""
    over = threading.Event()
    said: list[str] = []
    shown: list[tuple[str, int]] = []
    confirmed: set[int] = set()
    wrong: list[int] = []

    def asked(path: str, body: Any, agent: str, **headers: str) -> tuple[int, Any]:
        try:
            return host.ask("POST", path, body, agent=agent, **headers)
        except (OSError, http.client.HTTPException, ValueError):
            time.sleep(0.02)
            return 0, None

    def talk() -> None:
        for at in range(60):
            body, key = {"to": "arthur", "text": f"number {at}"}, f"k{at}"
            while asked("/api/direct", body, "neo", Idempotency_Key=key)[0] != 201:
                pass
            said.append(body["text"])
            time.sleep(0.05)

    def announce() -> None:
        while not over.is_set():
            status, claim = asked("/api/hear", {"via": "hook", "wait": 0.5}, "arthur")
            if status != 200:
                continue
            seqs = [one["seq"] for one in claim["messages"]]
            wrong.extend(confirmed & set(seqs))
            shown.extend((one["text"], one["seq"]) for one in claim["messages"])
            if asked("/api/heard", {"claim": claim["claim"]}, "arthur")[0] == 200:
                confirmed.update(seqs)

    threads = [threading.Thread(target=talk), threading.Thread(target=announce)]
    for thread in threads:
        thread.start()
    try:
        for count in (8, 20, 35, 50):
            wait_until(partial(longer, said, count), f"{count} were said", 30)
            host.kill()
            host.start()
        threads[0].join(60)
        wait_until(lambda: {text for text, _ in shown} == set(said), "all were shown", 40)
        everything = {seq for _, seq in shown}
        wait_until(lambda: confirmed == everything, "all were confirmed", 40)
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    assert wrong == []
    assert len(said) == 60
    status, inbox = host.ask("GET", "/api/inbox?limit=500", agent="arthur")
    assert status == 200
    assert [one["text"] for one in inbox if one["delivered_at"] is None] == []
