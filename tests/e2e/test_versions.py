"""Today's maw beside tomorrow's: both are built, and run as daemons of one Colony, each side knowing the other through
a third. And one that speaks another protocol: refused by name, while the rest goes on."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import maw
from tests.conftest import MakeHome
from tests.e2e.lab import wait_until
from tests.e2e.tomorrow import VERSION, Versioned, speaking, tomorrow

NOTE = 4242
pytestmark = pytest.mark.timeout(240)


class Chain:
    """Two hosts that can dial only the one between them, and be dialled by nobody."""

    def __init__(self, make_home: MakeHome) -> None:
        self.one, self.hub, self.other = (Versioned(make_home(name).path) for name in ("one", "hub", "other"))
        self.all = (self.one, self.hub, self.other)
        for end in (self.one, self.other):
            config = end.home / "maw.toml"
            text, count = re.subn(
                r"(?m)^# advertise = .*$", 'advertise = ["127.0.0.1:1"]', config.read_text()
            )
            assert count == 1
            config.write_text(text)

    def start(self) -> None:
        for daemon in self.all:
            daemon.start()
        for end in (self.one, self.other):
            end.maw("join", json.loads(self.hub.maw("invite", "--json"))["line"])
        for end in (self.one, self.other):
            wait_until(lambda e=end: links(e) == ["hub"], f"{end.home.name} is linked with the hub alone", 30)  # type: ignore[misc]
            wait_until(lambda e=end: len(peers(e)) == 2, f"{end.home.name} knows both", 30)  # type: ignore[misc]

    def sound(self) -> None:
        """Nobody was thrown out, nothing was set aside, nothing fell over."""
        for daemon in self.all:
            log = daemon.log.read_text()
            assert "Traceback" not in log, log
            assert "protocol_violation" not in log, log
            kinds = {alert["kind"] for alert in alerts(daemon)}
            assert not kinds & {"bug", "set_aside", "fork", "version", "forged"}, kinds
        assert len(re.findall("link with .* ended", self.hub.log.read_text())) == 0, self.hub.log.read_text()


@pytest.fixture
def chain(make_home: MakeHome) -> Iterator[Chain]:
    made = Chain(make_home)
    yield made
    for daemon in made.all:
        daemon.__exit__(None, None, None)


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tomorrow(tmp_path_factory.mktemp("tomorrow"))


def peers(daemon: Versioned) -> list[dict[str, str]]:
    found: list[dict[str, str]] = daemon.ask("GET", "/api/peers")[1]
    return found


def links(daemon: Versioned) -> list[str]:
    return [peer["name"] for peer in peers(daemon) if peer["state"] == "linked"]


def alerts(daemon: Versioned) -> list[dict[str, str]]:
    found: list[dict[str, str]] = daemon.ask("GET", "/api/status")[1]["alerts"]
    return found


def post(daemon: Versioned, text: str) -> None:
    body = {"text": text}
    status, said = daemon.ask("POST", "/api/channels/general/messages", body, agent="owner")
    assert status == 201, said


def all_read(*daemons: Versioned, texts: list[str]) -> None:
    for daemon in daemons:
        wait_until(
            lambda d=daemon: sorted(item["text"] for item in d.channel()) == sorted(texts),  # type: ignore[misc]
            f"{daemon.home.name} has {texts}: {daemon.log.read_text()[-2000:]}",
            30,
        )


def tell(daemon: Versioned, what: str, text: str) -> None:
    (daemon.home / f"{what}.new").write_text(text)
    (daemon.home / f"{what}.new").rename(daemon.home / what)


def heard(daemon: Versioned, word: str) -> Counter[str]:
    return Counter(re.findall(rf"(?m){word} (.*)$", daemon.log.read_text()))


def notes_held(daemon: Versioned) -> int:
    """Entries of the kind that today's maw does not know, on its disk."""
    from maw.core.entry import decode

    with sqlite3.connect(f"file:{daemon.home / 'colony.db'}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT header, signature, payload FROM entries").fetchall()
    db.close()
    found = [decode(*row) for row in rows]
    return sum(1 for entry in found if entry.kind == NOTE and entry.payload is not None)


def praises(daemon: Versioned) -> int:
    with sqlite3.connect(f"file:{daemon.home / 'colony.db'}?mode=ro", uri=True) as db:
        wires = db.execute("SELECT wire FROM statements").fetchall()
    db.close()
    return sum(1 for (wire,) in wires if b"praise" in wire)


def test_what_is_new_goes_through_an_older_host_and_is_read_there_after_its_update(
    chain: Chain, newer: Path
) -> None:
    chain.one.tree = chain.other.tree = newer
    chain.start()
    assert f"maw {VERSION}" in chain.one.maw("status")
    assert f"maw {maw.__version__}" in chain.hub.maw("status")
    post(chain.one, "from tomorrow")
    post(chain.hub, "from today")
    post(chain.other, "from tomorrow too")
    all_read(*chain.all, texts=["from tomorrow", "from today", "from tomorrow too"])
    tell(chain.one, "note", "one's")
    tell(chain.other, "note", "other's")
    for daemon in (chain.one, chain.other):
        wait_until(lambda d=daemon: len(heard(d, "NOTE")) == 2, f"{daemon.home.name} reads both notes", 30)  # type: ignore[misc]
    wait_until(lambda: notes_held(chain.hub) == 2, "the older one holds what it cannot read")
    tell(chain.one, "praise", "the hub")
    wait_until(lambda: praises(chain.hub) == praises(chain.other) == 1, "statements of a new type go on", 30)
    versions = {peer["name"]: peer["version"] for peer in peers(chain.hub)}
    assert versions == {"one": VERSION, "other": VERSION}
    chain.sound()

    assert chain.hub.stop() == 0
    post(chain.one, "while it was updated")
    chain.hub.tree = newer
    chain.hub.start()
    wait_until(lambda: heard(chain.hub, "NOTE") == {"one's": 1, "other's": 1}, "what it kept is read now", 20)
    wait_until(lambda: heard(chain.hub, "WAVE").total() >= 2, "and both wave", 20)
    all_read(*chain.all, texts=["from tomorrow", "from today", "from tomorrow too", "while it was updated"])
    assert chain.hub.stop() == 0
    chain.hub.start()
    tell(chain.hub, "note", "the hub's")
    wait_until(lambda: heard(chain.other, "NOTE")["the hub's"] == 1, "it speaks so itself", 20)
    assert heard(chain.hub, "NOTE") == {"one's": 1, "other's": 1, "the hub's": 1}, "each is read once"


def test_a_newer_host_between_two_older_ones(chain: Chain, newer: Path) -> None:
    chain.hub.tree = newer
    chain.start()
    tell(chain.hub, "note", "for whom it may concern")
    post(chain.one, "one")
    post(chain.hub, "hub")
    post(chain.other, "other")
    all_read(*chain.all, texts=["one", "hub", "other"])
    for end in (chain.one, chain.other):
        wait_until(lambda e=end: notes_held(e) == 1, f"{end.home.name} keeps what it cannot read")  # type: ignore[misc]
    assert heard(chain.hub, "NOTE") == {"for whom it may concern": 1}
    chain.sound()


def version_alert(daemon: Versioned, about: str) -> str:
    """What `maw status` says of a peer that speaks another protocol, once it does."""
    begin = f"no link with {about} at"

    def said() -> list[str]:
        return [
            one["text"]
            for one in alerts(daemon)
            if one["kind"] == "version" and one["text"].startswith(begin)
        ]

    wait_until(said, f"{daemon.home.name} says so: {daemon.log.read_text()[-2000:]}", 30)
    (text,) = said()
    assert f"version: {begin}" in " ".join(daemon.maw("status").split())
    return text


def test_another_protocol_is_refused_on_both_sides_and_the_rest_goes_on(
    make_home: MakeHome, tmp_path: Path
) -> None:
    two, both = speaking(tmp_path / "two", (2,)), speaking(tmp_path / "both", (1, 2))
    old, new, third = daemons = tuple(Versioned(make_home(name).path) for name in ("old", "new", "third"))
    try:
        for daemon in daemons:
            daemon.start()
        for daemon in (new, third):
            daemon.maw("join", json.loads(old.maw("invite", "--json"))["line"])
        for daemon in daemons:
            wait_until(lambda d=daemon: len(links(d)) == 2, f"{daemon.home.name} is linked", 30)  # type: ignore[misc]
        assert new.stop() == 0
        new.tree = two
        new.start()
        post(old, "the rest goes on")
        all_read(old, third, texts=["the rest goes on"])
        assert links(old) == ["third"]
        here, there = version_alert(old, "new"), version_alert(new, "old")
        assert "the listener speaks 2, the dialler 1" in here
        assert "the listener speaks 1, the dialler 2" in there
        for daemon in (old, new):
            assert "no protocol version in common: the listener speaks" in daemon.log.read_text()
        post(new, "waits")

        assert third.stop() == 0
        third.tree = both
        third.start()
        all_read(*daemons, texts=["the rest goes on", "waits"])
        assert not set(links(old)) & {"new"}, "through the one that speaks with both"

        assert old.stop() == 0
        old.tree = both
        old.start()
        wait_until(lambda: "new" in links(old), "an update ends it", 30)
        for daemon in (old, new):
            wait_until(
                lambda d=daemon: all(alert["kind"] != "version" for alert in alerts(d)),  # type: ignore[misc]
                f"{daemon.home.name} says so no more",
            )
        for daemon in daemons:
            assert "Traceback" not in daemon.log.read_text()
    finally:
        for daemon in daemons:
            daemon.__exit__(None, None, None)
