"""Three hosts, by the command alone: two talk, and the third holds nothing but ciphertext of it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

from tests.e2e.daemons import MAW, Daemon, MakeDaemon

DEADLINE_S = 30.0
SECRET = "the horse is called Quicksilver"


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def told(node: Daemon, *words: str) -> Any:
    return json.loads(node.maw(*words, "--json", check=False) or "[]")


def refused(node: Daemon, *words: str) -> str:
    done = subprocess.run([*MAW, *words], env=node.environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    return done.stderr


def texts(node: Daemon, *words: str) -> list[str]:
    return [one["text"] for one in told(node, *words)]


def test_two_talk_and_the_third_holds_ciphertext(daemon: MakeDaemon) -> None:
    mbp, oracle, pi = (daemon(name) for name in ("mbp", "oracle", "pi"))
    for node, name in ((mbp, "arthur"), (oracle, "neo"), (pi, "trillian")):
        node.maw("agent", "add", name)
    for node in (oracle, pi):
        node.maw("join", told(mbp, "invite")["line"])
    until(lambda: len(told(pi, "agent", "list")) >= 6, "all know each other")

    sent = json.loads(mbp.maw("send", "@neo", SECRET, "--as", "arthur", "--json"))
    until(lambda: texts(oracle, "inbox", "--as", "neo", "--peek") == [SECRET], "neo has it")
    made = json.loads(
        mbp.maw("channel", "create", "plans", "--private", "--with", "@neo", "--as", "arthur", "--json")
    )
    mbp.maw("post", "plans", "saddle Quicksilver", "--as", "arthur")
    until(lambda: texts(oracle, "read", "plans", "--as", "neo") == ["saddle Quicksilver"], "neo reads it")
    oracle.maw("post", made["id"], "Quicksilver is ready", "--as", "neo")
    mbp.maw("channel", "invite", "plans", "@trillian", "--as", "arthur")
    mbp.maw("post", "plans", "hello @trillian", "--as", "arthur")
    until(
        lambda: texts(pi, "read", "plans", "--as", "trillian") == ["hello @trillian"], "she reads from now on"
    )
    assert "no message" in refused(pi, "read", sent["id"], "--as", "trillian")
    mbp.maw("channel", "expel", "plans", "@trillian", "--as", "arthur")
    until(
        lambda: made["id"] not in [one["id"] for one in told(pi, "channel", "list", "--as", "trillian")],
        "gone",
    )
    assert "no channel is called" in refused(pi, "post", "plans", "hello?", "--as", "trillian")
    pi.stop()
    held = b"".join(path.read_bytes() for path in pi.home.iterdir() if path.is_file())
    assert b"trillian" in held and b"ilver" not in held
