"""The hour itself, and what it came to."""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.e2e.lab import wait_until
from tests.hour.talk import Word, schedule
from tests.hour.town import Host

_NUMBER: Final = re.compile(r"message (\d{4})")
_DIGEST: Final = re.compile(r"^\[maw [a-z0-9]{6,}\]", re.MULTILINE)
SETTLE_S: Final = 90.0


@dataclass(slots=True)
class Tally:
    """Of all agents together. ``missing`` and ``twice``: numbers of messages that an agent they were for did not hear
    of in a digest or its inbox, and those that more than one digest told of."""

    seconds: float = 0.0
    said: int = 0
    wakes: int = 0
    nudges: int = 0
    digests: int = 0
    digest_bytes: int = 0
    context_bytes: int = 0
    per_agent: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)


def run(
    *,
    seed: int,
    minutes: float,
    messages: int,
    agents: int,
    nudged: int,
    told: Callable[[str], None] = lambda _: None,
) -> Tally:
    names = [f"agent-{number:02}" for number in range(agents)]
    half = (agents + 1) // 2
    with tempfile.TemporaryDirectory(prefix="maw-hour-") as root:
        hosts = [Host(Path(root), "oracle"), Host(Path(root), "mbp")]
        try:
            _paired(*hosts)
            for host, some in zip(hosts, (names[:half], names[half:]), strict=True):
                host.people(some, nudged // 2 + (nudged % 2 if host is hosts[1] else 0))
            told(f"{agents} agents are up on two hosts, {nudged} of them without hooks")
            home = {name: host for host in hosts for name in host.agents}
            words = schedule(seed, names, minutes * 60, messages)
            wait_until(lambda: all(_knows(host, names) for host in hosts), "each knows all", 30)
            began = time.monotonic()
            _speak(home, words, began, told)
            _settle(home, told)
            return _tally(hosts, home, words, time.monotonic() - began)
        finally:
            for host in hosts:
                host.close()


def _paired(one: Host, other: Host) -> None:
    line = one.daemon.maw("invite").strip().splitlines()[-1]
    other.daemon.maw("join", line)


def _knows(host: Host, names: Sequence[str]) -> bool:
    status, users = host.daemon.ask("GET", "/api/users")
    return status == 200 and {*names} <= {user["username"] for user in users}


def _speak(home: dict[str, Host], words: Sequence[Word], began: float, told: Callable[[str], None]) -> None:
    next_told = began + 300
    for number, word in enumerate(words):
        time.sleep(max(0.0, began + word.at - time.monotonic()))
        intent = word.kind if word.kind in ("inform", "ack") else "chat"
        if word.kind in ("direct", "inform", "ack"):
            home[word.author].say(
                word.author, "/api/direct", {"to": word.to, "text": word.text, "intent": intent}
            )
        else:
            at = {"mention": f"@{word.to} ", "group": "@agents "}.get(word.kind, "")
            home[word.author].say(word.author, "/api/channels/general/messages", {"text": at + word.text})
        if time.monotonic() > next_told:
            told(f"{number + 1} of {len(words)} said")
            next_told += 300


def _settle(home: dict[str, Host], told: Callable[[str], None]) -> None:
    """What wakes was heard of; what wakes nobody is asked for by a person, at the end."""
    told("all is said; what wakes nobody is heard of with the next prompt")
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline and any(host.waits(name) for name, host in home.items()):
        time.sleep(1)
    for name, host in home.items():
        host.fleet.types(name, "anything new?")
    wait_until(lambda: not any(host.inbox(name) for name, host in home.items()), "all is read", SETTLE_S)


def _tally(hosts: Sequence[Host], home: dict[str, Host], words: Sequence[Word], seconds: float) -> Tally:
    tally = Tally(seconds, len(words))
    for host in hosts:
        for name, one in host.wakes().items():
            since = one["since_start"]
            entered = host.heard(name)
            size = sum(len(text.encode()) for text in entered)
            tally.wakes += since["wakes"]
            tally.digests += since["digests"]
            tally.digest_bytes += since["digest_bytes"]
            tally.context_bytes += size
            tally.nudges += since["wakes"] if name in host.nudged else 0
            tally.per_agent[name] = (since["wakes"], since["digest_bytes"], size)
            _compare(tally, name, entered, words)
    for name, host in home.items():
        status, sent = host.daemon.ask("GET", "/api/sent?limit=500", agent=name)
        assert status == 200, sent
        tally.states.update(one["state"] for one in sent)
    return tally


def _compare(tally: Tally, name: str, entered: Sequence[str], words: Sequence[Word]) -> None:
    """A message is heard of in a digest, and read in an inbox; in both at most once."""
    digests = Counter(n for text in entered if _DIGEST.search(text) for n in _NUMBER.findall(text))
    anywhere = {n for text in entered for n in _NUMBER.findall(text)}
    due = {
        f"{at:04}"
        for at, word in enumerate(words)
        if word.to == name or (word.kind == "group" and word.author != name)
    }
    tally.missing += [f"{name} {n}" for n in sorted(due - anywhere)]
    tally.twice += [f"{name} {n}" for n, count in sorted(digests.items()) if count > 1]
