"""Redaction between three real daemons, by their commands: at once, a month later, over restores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.conftest import MakeHome
from tests.e2e.clocks import ClockedDaemon
from tests.e2e.daemons import Daemon
from tests.e2e.lab import wait_until

pytestmark = pytest.mark.timeout(240)
MONTH_S = 31 * 86_400
SECRET, STRAY, KEPT = "the-pin-is-4711-", "and-4712-was-the-old-one-", "this stays"

MakeDaemon = Callable[[str], ClockedDaemon]


@pytest.fixture
def daemon(make_home: MakeHome) -> Iterator[MakeDaemon]:
    made: list[ClockedDaemon] = []

    def make(name: str) -> ClockedDaemon:
        made.append(ClockedDaemon(make_home(name).path))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.__exit__(None, None, None)


def texts(one: Daemon) -> list[str]:
    return [message["text"] for message in one.channel()]


def says(one: Daemon, count: int) -> bool:
    return len(texts(one)) == count


def linked(one: Daemon, count: int) -> bool:
    found = json.loads(one.maw("peers", "--json", check=False) or "[]")
    return len([peer for peer in found if peer["state"] == "linked"]) == count


def words_in_files(one: Daemon, *words: str) -> list[str]:
    """Which of ``words`` are anywhere in the database's files: pages in use, free ones, the write-ahead log."""
    found = b"".join(path.read_bytes() for path in sorted(one.home.glob("colony.db*")))
    return [word for word in words if word.encode() in found]


def clean(one: Daemon) -> bool:
    return not words_in_files(one, SECRET, STRAY)


def in_order(one: Daemon) -> None:
    report = json.loads(one.maw("verify", "--json"))
    assert report["sound"], report


def test_what_was_redacted_is_gone_everywhere_and_does_not_come_back(daemon: MakeDaemon) -> None:
    mbp, oracle, vps = daemon("mbp"), daemon("oracle"), daemon("vps")
    all_ = mbp, oracle, vps
    mbp.maw("agent", "add", "arthur")
    oracle.maw("agent", "add", "neo")
    for joiner in (oracle, vps):
        joiner.maw("join", mbp.maw("invite", "--introducer").strip())
    wait_until(lambda: all(linked(one, 2) for one in all_), "all are linked", 30)
    wait_until(lambda: "neo" in mbp.maw("agent", "list"), "mbp knows neo")

    secret = json.loads(mbp.maw("post", "general", SECRET * 2_000 + " @neo", "--as", "arthur", "--json"))[
        "id"
    ]
    stray = json.loads(oracle.maw("post", "general", STRAY * 2_000, "--as", "neo", "--json"))["id"]
    oracle.maw("post", "general", KEPT, "--as", "neo")
    wait_until(lambda: all(says(one, 3) for one in all_), "all hold all of it", 30)
    for one in all_:
        assert words_in_files(one, SECRET, STRAY) == [SECRET, STRAY]
    backup = json.loads(oracle.maw("backup", "--json"))["path"]
    vps.stop()

    refused = oracle.maw("redact", secret, "--yes", "--as", "neo", "--json", check=False)
    assert json.loads(refused)["error"]["code"] == "not_ours"
    mbp.maw("redact", secret, "--reason", "a secret", "--yes", "--as", "arthur")
    mbp.maw("redact", stray, "--operator", "--key", str(mbp.home / "operator.key"), "--yes")
    for one in (mbp, oracle):
        wait_until(partial(clean, one), f"it left the files of {one.home}", 30)
        shown = texts(one)
        assert shown[0].startswith("[redacted by arthur@mbp at ")
        assert shown[1].startswith("[redacted by operator founder at ")
        assert shown[2] == KEPT
        in_order(one)
    mail = json.loads(oracle.maw("inbox", "--as", "neo", "--json"))
    assert [message["redacted"]["reason"] for message in mail] == ["a secret"]
    assert words_in_files(vps, SECRET, STRAY) == [SECRET, STRAY], "vps does not know yet"

    for one in (mbp, oracle):
        one.stop()
    for one in all_:
        one.set_clock(MONTH_S)
    for one in all_:
        one.start()
    wait_until(partial(clean, vps), "a month later it leaves the files of vps too", 60)
    assert [text.split(" at ")[0] for text in texts(vps)[:2]] == [
        "[redacted by arthur@mbp", "[redacted by operator founder",
    ]  # fmt: skip
    in_order(vps)
    listed = json.loads(vps.maw("redact", "--json"))
    assert "is redacted" in listed[0]["about"]
    wait_until(
        lambda: json.loads(mbp.maw("redact", "--json"))[0]["kept_by"] == ["mbp", "oracle", "vps"],
        "mbp knows that all dropped it", 30,
    )  # fmt: skip

    for one in (mbp, vps):  # nobody is there to tell oracle again
        one.stop()
    oracle.stop()
    oracle.maw("restore", backup, "--force")
    assert clean(oracle), "the backup held it; the restored database does not"
    oracle.start()
    assert [text.split(" at ")[0] for text in texts(oracle)] == [
        "[redacted by arthur@mbp", "[redacted by operator founder", KEPT,
    ]  # fmt: skip
    oracle.stop()

    for path in oracle.home.glob("colony.db*"):
        path.unlink()
    oracle.maw("restore", backup)
    assert not clean(oracle), "with the database gone, only the others know"
    mbp.start()
    oracle.start()
    wait_until(partial(clean, oracle), "they have told oracle", 60)
    oracle.stop()

    for path in oracle.home.glob("colony.db*"):
        path.unlink()
    oracle.start()
    wait_until(lambda: KEPT in texts(oracle), "its own log came back", 30)
    assert clean(oracle)
    assert texts(oracle) == [KEPT]


def test_disk_use_goes_down(daemon: MakeDaemon) -> None:
    mbp = daemon("mbp")
    mbp.maw("agent", "add", "arthur")
    database = mbp.home / "colony.db"
    ids = []
    for n in range(100):
        body = {"text": f"{SECRET}{n} " * 2_500}
        status, receipt = mbp.ask("POST", "/api/channels/general/messages", body, agent="arthur")
        assert status == 201
        ids.append(receipt["id"])
    mbp.maw("post", "general", KEPT, "--as", "arthur")
    mbp.stop()
    mbp.start()
    before = database.stat().st_size
    assert before > 4 << 20
    mbp.maw("redact", *ids, "--yes", "--as", "arthur")
    wait_until(lambda: database.stat().st_size < before / 3, "the file is a third of what it was", 60)
    wait_until(partial(clean, mbp), "no page holds it", 30)
    assert KEPT in texts(mbp)
    in_order(mbp)
