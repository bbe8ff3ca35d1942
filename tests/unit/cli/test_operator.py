"""The operator's key signs what was asked for, also where the daemon drafts something else."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import pytest

from maw.cli import session
from maw.core.authority import grant_fields
from maw.core.freezing import ALL, CHANNEL, Target, freeze_fields
from maw.core.identity import Signer, key_text
from maw.core.revocation import revocation_fields
from maw.core.statement import read_statement
from maw.node.keptkey import kept_key_bytes
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import Asked, FakeDaemon

KEY, ANN, HOST = (Signer(bytes([n]) * 32) for n in (1, 2, 3))


@pytest.fixture(autouse=True)
def key(home: Path) -> None:
    (home / "operator.key").write_bytes(kept_key_bytes("operator", KEY.seed, None))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def drafts(daemon: FakeDaemon, make: Callable[[dict[str, Any]], dict[str, Any]], **lie: Any) -> None:
    """``make`` is what the daemon makes of what it is asked."""

    def draft(asked: Asked) -> tuple[int, Any]:
        said = {
            "type": asked.body["type"], "colony": b64(bytes(32)), "at_ms": int(time.time() * 1000),
            "fields": b64(msgpack.packb(make(asked.body))), "about": "as you wish",
        }  # fmt: skip
        return 201, {**said, **lie}

    daemon.answers["POST /api/statements/draft"] = draft
    daemon.answers["POST /api/statements"] = (201, {"id": "0" * 12, "about": "as you wish"})


def signed(daemon: FakeDaemon) -> list[Any]:
    return [
        one
        for one in daemon.asked
        if one.path in ("/api/statements", "/api/direct") or "messages" in one.path
    ]


def test_what_was_asked_for_is_signed(cli: Cli, daemon: FakeDaemon) -> None:
    drafts(daemon, lambda asked: grant_fields(ANN.node, "ann", ["order"], asked["until_ms"], [HOST.node]))
    done = cli(
        "operator", "add", "ann", key_text(ANN.node), "--rights", "order", "--for", "2d", "--hosts", "mbp"
    )
    assert done.code == 0, done.err
    assert f"signed for mbp: {key_text(HOST.node)}" in done.err
    statement = read_statement(base64.b64decode(signed(daemon)[0].body["wire"]))
    assert (statement.issuer, statement.fields["rights"]) == (KEY.node, ["order"])


@pytest.mark.parametrize(
    "command, make, field",
    [
        (("operator", "add", "ann", key_text(ANN.node), "--rights", "order"),
         lambda _: grant_fields(HOST.node, "ann", ["order"], None, []), "key"),
        (("operator", "add", "ann", key_text(ANN.node), "--rights", "order"),
         lambda _: grant_fields(ANN.node, "ann", ["delegate", "order"], None, []), "rights"),
        (("operator", "add", "ann", key_text(ANN.node), "--for", "2d"),
         lambda _: grant_fields(ANN.node, "ann", ["order", "freeze"], None, []), "until"),
        (("operator", "add", "ann", key_text(ANN.node), "--hosts", "mbp"),
         lambda _: grant_fields(ANN.node, "ann", ["order", "freeze"], None, []), "hosts"),
        (("freeze", "#noise"), lambda _: freeze_fields(Target(ALL, name="all"), ""), "what"),
        (("freeze", "#noise", "--why", "loud"),
         lambda _: freeze_fields(Target(CHANNEL, channel="noise", name="#noise"), "fun"), "why"),
        (("revoke", key_text(HOST.node), "--key", "operator.key", "--yes"),
         lambda _: revocation_fields(ANN.node, {}, [], ""), "key"),
    ],
)  # fmt: skip
def test_what_was_not_asked_for_is_not(
    cli: Cli, daemon: FakeDaemon, home: Path, command: tuple[str, ...], make: Any, field: str
) -> None:
    drafts(daemon, make)
    done = cli(*(str(home / word) if word == "operator.key" else word for word in command))
    assert done.code == 6, done.err
    assert f"{field} is " in done.err and "nothing was signed" in done.err
    assert not signed(daemon)


@pytest.mark.parametrize(
    "lie",
    [
        {"type": "revoke"},
        {"at_ms": 1},
        {"colony": "AAAA"},
        {"fields": "!"},
        {"fields": None},
        {"at_ms": None},
    ],
)
def test_nor_a_draft_that_is_none(cli: Cli, daemon: FakeDaemon, lie: dict[str, Any]) -> None:
    drafts(daemon, lambda _: freeze_fields(Target(ALL, name="all"), ""), **lie)
    done = cli("freeze", "all")
    assert done.code == 6 and "nothing was signed" in done.err, done.err
    assert not signed(daemon)


@pytest.mark.parametrize(
    "whom, lie", [("@neo", {"targets": ["#general"]}), ("@neo", {"targets": ["smith@mbp"]}), ("#plans", {"at_ms": 1}),
                  ("#plans", {"targets": ["#general"]}), ("#plans", {"author": ""}), ("#plans", {"targets": None})]
)  # fmt: skip
def test_an_order_goes_nowhere_else(cli: Cli, daemon: FakeDaemon, whom: str, lie: dict[str, Any]) -> None:
    draft = {
        "colony": b64(bytes(32)), "author": b64(HOST.node), "at_ms": int(time.time() * 1000),
        "targets": ["neo@mbp" if whom == "@neo" else whom],
    }  # fmt: skip
    daemon.answers["POST /api/orders/draft"] = (201, {**draft, **lie})
    done = cli("operator", "order", whom, "stop", "--as", "arthur")
    assert done.code == 6 and "nothing was signed" in done.err, done.err
    assert not signed(daemon)


def test_a_frozen_channel_that_is_not_there_is_told_of(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/channels"] = (200, [{"name": "noise"}])
    for name, told in (("noise", False), ("nosie", True)):
        drafts(daemon, partial(_channel, name))
        done = cli("freeze", f"#{name}")
        assert (done.code, "no channel is called" in done.err) == (0, told), done.err


def _channel(name: str, _: dict[str, Any]) -> dict[str, Any]:
    return freeze_fields(Target(CHANNEL, channel=name, name=f"#{name}"), "")


def test_an_empty_variable_names_no_key(
    cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAW_OPERATOR_KEY", "")
    drafts(daemon, lambda _: freeze_fields(Target(ALL, name="all"), ""))
    assert cli("freeze", "all").code == 0, "the one in the home"
    daemon.answers["POST /api/peers/revoke"] = (
        201,
        {"id": "0" * 12, "about": "pi is revoked", "type": "revoke"},
    )
    assert "maw revoke" in cli("revoke", "pi", "--yes").err, "by the host's own word"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"x" * 13_000, "has 13,000 bytes"), ("ö".encode() * 6_200, "has 12,400 bytes"),
        (b"\xff", "not UTF-8"), (b" \n", "is empty"),
    ],
)  # fmt: skip
def test_what_is_no_policy_is_told_before_anything_is_signed(
    data: bytes, says: str, cli: Cli, daemon: FakeDaemon, tmp_path: Path
) -> None:
    (tmp_path / "policy.md").write_bytes(data)
    done = cli("policy", "publish", str(tmp_path / "policy.md"))
    assert done.code == 2 and says in done.err and not daemon.asked


@pytest.mark.parametrize(
    "words", [("freeze", "all"), ("thaw", "all"), ("policy", "publish", "policy.md"), ("operator", "remove", "ann"),
              ("cost", "cap", "--colony", "usd=5"), ("operator", "order", "@neo", "stop", "--as", "scout")],
)  # fmt: skip
def test_the_key_in_the_home_signs_for_no_agents_program(
    words: tuple[str, ...], cli: Cli, daemon: FakeDaemon, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`env -u MAW_AGENT maw freeze all` in a runner."""
    monkeypatch.chdir(home)
    (home / "policy.md").write_text("Be kind.\n")
    monkeypatch.setattr(session, "agent_above", lambda: "scout")
    daemon.answers["GET /api/whoami"] = (200, {"name": "scout", "role": "agent"})
    done = cli(*words)
    assert done.code == 6 and "scout runs this command" in done.err
    assert {one.path for one in daemon.asked} == {"/api/whoami"}
    daemon.asked.clear()
    drafts(daemon, lambda asked: {})
    cli(*words, "--key", str(home / "operator.key"))
    assert [one.path for one in daemon.asked], "a key that is named is meant"
    daemon.asked.clear()
    cli(*words, tty=True, stdin=b"y\n")
    assert daemon.asked, "and so is the one in the home, in a terminal"
