"""`maw up` for real: killed, stopped, started twice, started wrongly; what it acknowledged is there."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from maw.node.home import NodeHome
from tests.conftest import MakeHome
from tests.e2e.daemons import Daemon, MakeDaemon, request
from tests.e2e.lab import wait_until


def longer(found: Sequence[object], count: int) -> bool:
    return len(found) > count


def burst(daemon: Daemon, who: str, count: int, acknowledged: list[tuple[str, str]]) -> threading.Thread:
    """Posts through one connection for as long as it is answered. Fills ``acknowledged``: (text, id)."""

    def run() -> None:
        connection = daemon.connect()
        with contextlib.suppress(OSError, http.client.HTTPException):
            for n in range(count):
                text = f"{who} {n}"
                body = {"text": text}
                status, said = request(
                    connection, "POST", "/api/channels/general/messages", body, agent="owner"
                )
                if status != 201:
                    break
                acknowledged.append((text, said["id"]))
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_killed_in_a_burst_it_has_all_it_acknowledged_once(daemon: MakeDaemon) -> None:
    node = daemon("mbp")
    acknowledged: list[tuple[str, str]] = []
    cursor = 0
    for round_ in range(2):
        threads = [burst(node, f"{round_}-{who}", 2000, acknowledged) for who in range(4)]
        enough = len(acknowledged) + 150
        wait_until(partial(longer, acknowledged, enough), "it is being talked to")
        node.kill()
        for thread in threads:
            thread.join(20)
        node.start()
        messages = node.channel()
        ids = {item["id"]: item["text"] for item in messages}
        assert len(ids) == len(messages), "nothing twice"
        assert all(ids.get(message_id) == text for text, message_id in acknowledged), "nothing lost"
        seqs = [item["seq"] for item in messages]
        assert seqs == sorted(set(seqs))
        newer = [item for item in messages if item["seq"] > cursor]
        assert newer, f"round {round_}: a cursor from before goes on"
        cursor = seqs[-1]
    for text in {text.rpartition(" ")[0] for text, _ in acknowledged}:
        own = [int(i["text"].rpartition(" ")[2]) for i in messages if i["text"].rpartition(" ")[0] == text]
        assert own == sorted(own), "FIFO per speaker"


def test_a_terminated_daemon_finishes_what_it_accepted(daemon: MakeDaemon) -> None:
    node = daemon("mbp")
    acknowledged: list[tuple[str, str]] = []
    threads = [burst(node, f"{who}", 5000, acknowledged) for who in range(4)]
    wait_until(lambda: len(acknowledged) > 100, "it is being talked to")
    assert node.stop() == 0
    for thread in threads:
        thread.join(20)
    assert not (node.home / "maw.sock").exists()
    assert "Traceback" not in node.log.read_text(), node.log.read_text()
    node.start()
    assert {text for text, _ in acknowledged} <= {item["text"] for item in node.channel()}
    assert node.stop() == 0


def test_a_long_poll_does_not_hold_up_the_end(daemon: MakeDaemon) -> None:
    node = daemon("mbp")
    connection = node.connect()
    assert request(connection, "GET", "/healthz")[0] == 200
    connection.request("GET", "/api/inbox?wait=60", headers={"X-Maw-Agent": "owner"})
    began = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - began < 5
    connection.close()


def test_a_second_daemon_on_the_same_directory_is_refused(daemon: MakeDaemon) -> None:
    node = daemon("mbp")
    code, said = node.fails()
    assert code == 6
    assert node.process is not None
    assert f"pid {node.process.pid}" in said
    assert node.ask("GET", "/healthz")[0] == 200, "the first goes on"


def test_a_socket_left_behind_is_no_obstacle(daemon: MakeDaemon) -> None:
    node = daemon("mbp")
    node.kill()
    assert (node.home / "maw.sock").exists()
    node.start()
    assert node.ask("GET", "/healthz")[0] == 200


def test_pairing_and_talking_across_kills(daemon: MakeDaemon) -> None:
    mbp, oracle = daemon("mbp"), daemon("oracle")
    mbp.maw("agent", "add", "arthur")
    oracle.maw("agent", "add", "neo")
    line = json.loads(mbp.maw("invite", "--json"))["line"]
    joined = json.loads(oracle.maw("join", line, "--json"))
    assert joined["state"] in ("linked", "connecting")
    wait_until(
        lambda: any(u["username"] == "arthur" for u in oracle.ask("GET", "/api/users")[1]),
        "oracle knows arthur",
    )
    mbp.kill()
    sent = []
    for n in range(20):
        status, said = oracle.ask("POST", "/api/direct", {"to": "arthur", "text": f"{n}"}, agent="neo")
        assert (status, said["state"]) == (201, "stored")
        sent.append(said["id"])
    oracle.kill()
    oracle.start()
    mbp.start()
    wait_until(lambda: len(mbp.ask("GET", "/api/inbox", agent="arthur")[1]) == 20, "all have arrived")
    status, first = mbp.ask("POST", "/api/ack", {"ids": sent[:5]}, agent="arthur")
    assert (status, first["acked"]) == (200, sent[:5])
    mbp.kill()
    mbp.start()
    left = mbp.ask("GET", "/api/inbox", agent="arthur")[1]
    assert [item["id"] for item in left] == sent[5:], "acked stays acked, the rest is there again, in order"
    wait_until(
        lambda: (
            [item["state"] for item in oracle.ask("GET", "/api/sent?limit=20", agent="neo")[1]]
            == ["acked"] * 5 + ["replicated"] * 15
        ),
        "all are known to be there, and those that were acked before the kill to be",
    )
    assert mbp.stop() == oracle.stop() == 0


def test_a_repeated_request_after_a_crash_is_one_message(daemon: MakeDaemon) -> None:
    node = daemon("mbp")
    path, body = "/api/channels/general/messages", {"text": "once"}
    first = node.ask("POST", path, body, agent="owner", Idempotency_Key="k1")
    node.kill()
    node.start()
    again = node.ask("POST", path, body, agent="owner", Idempotency_Key="k1")
    assert first[1]["id"] == again[1]["id"]
    assert [item["text"] for item in node.channel()] == ["once"]
    assert node.ask("POST", path, {"text": "other"}, agent="owner", Idempotency_Key="k1")[0] == 409


def logged(node: Daemon, words: str, after: int) -> bool:
    return words in node.log.read_text()[after:]


def test_peers_toml_is_read_again_on_sighup(daemon: MakeDaemon) -> None:
    node = daemon("mbp")
    assert node.process is not None
    peers = node.home / "peers.toml"
    other = "mk1" + "a" * 56
    for text, said in (
        ("[[peer]]\nname = 5\n", "the old peers stay"),
        (f'[[peer]]\nname = "x"\nkey = "{other}"\n', "the old peers stay"),
        ("", "read again"),
    ):
        before = len(node.log.read_text())
        peers.write_text(text)
        node.process.send_signal(signal.SIGHUP)
        wait_until(partial(logged, node, said, before), f"{said}: {text!r}")
    assert node.ask("GET", "/healthz")[0] == 200
    assert node.stop() == 0


# -- refused to start: one sentence, no traceback, nothing changed -------------------------------------------


def _open_key(home: NodeHome) -> None:
    home.key.chmod(0o644)


def _no_key(home: NodeHome) -> None:
    home.key.unlink()


def _other_key(home: NodeHome) -> None:
    home.key.write_text("-----BEGIN PRIVATE KEY-----\n")


def _newer(home: NodeHome) -> None:
    with contextlib.closing(sqlite3.connect(home.database)) as db:
        db.execute("PRAGMA user_version = 4711")


def _not_toml(home: NodeHome) -> None:
    home.config.write_text("[node\nname = mbp")


def _unknown_word(home: NodeHome) -> None:
    home.config.write_text(home.config.read_text() + "\n[limitz]\nx = 1\n")


def _bad_peers(home: NodeHome) -> None:
    home.peers.write_text('[[peer]]\nname = "x"\nkey = "nonsense"\n')


def _no_node(home: NodeHome) -> None:
    home.config.unlink()


def _garbage(home: NodeHome) -> None:
    home.database.write_bytes(b"garbage" * 1000)


@pytest.mark.parametrize(
    ("break_it", "code", "words"),
    [
        (_open_key, 2, ("node.key", "0644", "chmod 600")),
        (_no_key, 2, ("node.key",)),
        (_other_key, 2, ("node.key",)),
        (_newer, 2, ("newer maw", "4711")),
        (_not_toml, 2, ("maw.toml",)),
        (_unknown_word, 2, ("maw.toml", "limitz")),
        (_bad_peers, 2, ("peers.toml", "key")),
        (_no_node, 2, ("maw init",)),
        (_garbage, 2, ("colony.db",)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_says_in_one_sentence_why_it_does_not_start(
    make_home: MakeHome, break_it: Callable[[NodeHome], None], code: int, words: tuple[str, ...]
) -> None:
    home = make_home("mbp")
    break_it(home)
    before = {path.name: path.read_bytes() for path in home.path.iterdir() if path.is_file()}
    got, said = Daemon(home.path).fails()
    assert got == code, said
    assert all(word in said for word in words), said
    assert "Traceback" not in said
    assert "ExceptionGroup" not in said
    for name in ("node.key", "maw.toml", "peers.toml"):
        if name in before:
            assert (home.path / name).read_bytes() == before[name]
    if break_it in (_newer, _garbage):
        assert home.database.read_bytes() == before["colony.db"], "nothing was changed"


def _config_port(home: Path, section: str) -> int:
    import tomllib

    listen = tomllib.loads((home / "maw.toml").read_text())[section]["listen"]
    return int((listen if isinstance(listen, str) else listen[0]).rpartition(":")[2])


def test_a_rest_port_that_is_taken_is_named(make_home: MakeHome) -> None:
    import socket

    home = make_home("mbp")
    with socket.socket() as other:
        port = _config_port(home.path, "rest")
        other.bind(("127.0.0.1", port))
        other.listen()
        code, said = Daemon(home.path).fails()
    assert code == 6, said
    assert str(port) in said
    assert "Traceback" not in said
    assert "ExceptionGroup" not in said


def test_a_mesh_port_that_is_taken_is_waited_for(make_home: MakeHome) -> None:
    """The mesh address may be another program's for now: the node serves its agents all the same."""
    import socket

    home = make_home("mbp")
    port = _config_port(home.path, "mesh")
    with Daemon(home.path) as blocked_first, socket.socket() as other:
        assert blocked_first.stop() == 0
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        blocked_first.start()
        mesh = blocked_first.ask("GET", "/api/status")[1]["mesh"]
        assert [item["listening"] for item in mesh] == [False]
        other.close()
        wait_until(
            lambda: blocked_first.ask("GET", "/api/status")[1]["mesh"][0]["listening"], "it listens by itself"
        )


def test_the_files_it_makes_are_the_owners_only(daemon: MakeDaemon) -> None:
    node = daemon("mbp")
    node.ask("POST", "/api/channels/general/messages", {"text": "x"}, agent="owner")
    modes = {path.name: path.stat().st_mode & 0o777 for path in node.home.iterdir()}
    assert modes.pop("maw.sock") in (0o660, 0o600)
    modes.pop("maw.toml", None)
    modes.pop("peers.toml", None)
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}
    assert os.stat(node.home).st_mode & 0o077 == 0
