"""The edge: exit codes, how errors are told, what is imported, what --help lists."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maw.cli import overview
from maw.cli.main import COMMANDS, TO_COME, main
from maw.errors import (
    Ambiguous,
    BadConfig,
    Conflict,
    InternalError,
    MawError,
    NotFound,
    NotRunning,
    Refused,
    Unavailable,
    Unconfirmed,
)
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import FakeDaemon, a_message, error

EVERY = [(name, where) for group in COMMANDS.values() for name, where in group.items()]


@pytest.mark.parametrize(("name", "where"), EVERY)
def test_every_command_in_the_table_has_help(name: str, where: str, cli: Cli) -> None:
    module, _, attribute = where.partition(":")
    assert hasattr(importlib.import_module(module), attribute)
    shown = cli(name, "--help")
    assert shown.code == 0
    assert f"maw {name}" in shown.out


def test_help_lists_every_command_under_its_heading(cli: Cli) -> None:
    shown = cli("--help").out
    for heading, group in COMMANDS.items():
        assert f"{heading}:" in shown
        assert all(f"\n  {name} " in shown for name in group)


def test_help_names_the_completion_that_works(cli: Cli) -> None:
    assert "--install-completion" in cli("--help").out


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["sned", "@a", "x"], "maw send"),
        (["inbx"], "maw inbox"),
        (["hey", "arthur", "hi"], "maw send"),
        (["ls"], "maw status"),
        (["wake", "arthur"], "maw send"),
        (["peers", "fogret", "x"], "maw peers forget"),
        (["agent", "lst"], "maw agent list"),
        (["agent", "rm", "neo"], "maw agent remove"),
        (["peers", "delete", "mbp"], "maw peers forget"),
        (["peers", "add", "mbp"], "`maw invite` here, then `maw join LINE` on the other host"),
        (["channel", "new", "ops"], "maw channel create"),
        (["start"], "maw up"),
        (["restart"], "systemctl (--user) restart maw"),
        (["logs"], "journalctl -u maw"),
        (["zzzzz"], "maw --help"),
    ],
)
def test_an_unknown_command_names_the_nearest(args: list[str], hint: str, cli: Cli) -> None:
    result = cli(*args)
    assert result.code == 2
    assert result.out == ""
    assert hint in result.err
    assert result.err.startswith("maw: no such command")


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["backup", "list"], "did you mean `maw backup --list`?"),
        (["invite", "list"], "did you mean `maw invite --list`?"),
        (["backup", "tomorrow"], "`maw backup --help` shows how"),
        (["ack", "--note"], "`maw ack --help` shows how"),
        (["peers", "accept", "--introducers"], "`maw peers accept --help` shows how"),
        (["operator", "add", "--for"], "`maw operator add --help` shows how"),
        (["--nonsense"], "`maw --help` shows how"),
    ],
)
def test_a_wrong_option_or_a_word_too_many_that_is_an_options_name(
    args: list[str], hint: str, cli: Cli
) -> None:
    result = cli(*args)
    assert (result.code, hint in result.err) == (2, True), result.err


def test_help_and_version_as_words(cli: Cli) -> None:
    assert cli("help", "send").out == cli("send", "--help").out
    assert cli("help").out == cli("--help").out
    assert cli("version").out == cli("--version").out


FIXED = """send post inbox ack wait mentions read sent trace search tail init up service status doctor page
invite join peers revoke operator key freeze thaw whoami agent channel pulse dream birth death move team
backup restore verify redact hook mcp"""


def test_every_word_of_the_plan_is_a_command_or_said_to_come(cli: Cli) -> None:
    for word in FIXED.split():
        if word not in dict(EVERY):
            result = cli(word)
            assert (result.code, result.out) == (2, "")
            assert result.err.startswith(f"maw: maw {word} is not in this version yet")
    assert TO_COME.keys() <= set(FIXED.split())


@pytest.mark.parametrize(
    "args",
    [["send"], ["send", "@a", "x", "--nope"], ["read"], ["inbox", "--limit", "many"], ["inbox", "extra"]],
)
def test_wrong_usage_is_2_in_one_line_and_a_hint(args: list[str], cli: Cli) -> None:
    result = cli(*args)
    assert result.code == 2
    assert result.err.startswith("maw: ")
    assert "--help" in result.err
    assert "Traceback" not in result.err
    assert len(result.err.splitlines()) == 2


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (BadConfig("x"), 2),
        (NotFound("x"), 3),
        (Ambiguous("x", candidates=["a@b", "a@c"]), 4),
        (NotRunning("x"), 5),
        (Refused("x"), 6),
        (Conflict("x"), 6),
        (Unavailable("x"), 6),
        (Unconfirmed("x"), 7),
        (InternalError("x"), 70),
        (ZeroDivisionError("x"), 70),
        (RecursionError("x"), 70),
        (BrokenPipeError(), 0),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code(
    raised: BaseException, code: int, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(as_json: bool) -> int:
        raise raised

    monkeypatch.setattr(overview, "overview", fail)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    result = cli()
    assert result.code == code
    assert "Traceback" not in result.err
    if isinstance(raised, MawError):
        assert result.err.startswith("maw: x")
    assert ("MAW_DEBUG=1" in result.err) == (code == 70 and not isinstance(raised, MawError))


def test_a_bug_shows_its_traceback_to_who_asks(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "overview", lambda as_json: 1 // 0)
    monkeypatch.setenv("MAW_DEBUG", "1")
    result = cli()
    assert result.code == 70
    assert "Traceback" in result.err


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (400, "bad_body", 2),
        (413, "too_large", 2),
        (422, "strange", 2),
        (401, "not_signed_in", 6),
        (403, "refused", 6),
        (404, "not_found", 3),
        (409, "ambiguous", 4),
        (409, "conflict", 6),
        (429, "too_many", 6),
        (503, "unavailable", 6),
        (504, "unconfirmed", 7),
        (500, "internal", 70),
    ],
)
def test_what_the_daemon_refuses_gets_the_same_codes(
    status: int, code: str, exit_code: int, cli: Cli, daemon: FakeDaemon
) -> None:
    daemon.answers["GET /api/status"] = error(status, code, "because", "do that", candidates=["a@x", "a@y"])
    result = cli("status")
    assert result.code == exit_code
    assert "maw: because" in result.err
    assert "do that" in result.err
    assert "a@x, a@y" in result.err


def test_an_error_is_json_for_who_asked_for_json(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/status"] = error(404, "not_found", "nothing")
    result = cli("status", "--json")
    assert result.code == 3
    assert json.loads(result.out) == {"error": {"code": "not_found", "message": "nothing", "hint": ""}}
    assert result.err == ""


def test_after_two_dashes_json_is_only_a_word(cli: Cli) -> None:
    assert cli("send", "@a", "--", "\0", "--json").out == ""


def test_an_error_told_by_the_daemon_drives_no_terminal(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/status"] = error(
        404, "x", "\x1b[2J\u202e", "\x1b]0;t\a", candidates=["\x1b[31m"]
    )
    result = cli("status")
    assert "\x1b" not in result.err
    assert "\u202e" not in result.err
    assert "⟨U+001B⟩" in result.err


@pytest.mark.parametrize("answer", [(200, b"<html>"), (500, b"\xff\xfe")])
def test_an_answer_that_is_no_json_is_a_clear_error(
    answer: tuple[int, bytes], cli: Cli, daemon: FakeDaemon
) -> None:
    daemon.answers["GET /api/status"] = answer
    result = cli("status")
    assert result.code == 70
    assert "no JSON" in result.err


def _process(home: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "maw.cli.main", *args],
        env={**os.environ, "MAW_HOME": str(home), **env},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_as_a_process_it_exits_with_the_code(home: Path) -> None:
    done = _process(home, "status")
    assert done.returncode == 5
    assert done.stdout == ""
    assert "not running" in done.stderr


def test_a_reader_that_leaves_early_ends_it_quietly(home: Path, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/channels"] = (200, [{"name": f"c{n}"} for n in range(20_000)])
    script = f"{sys.executable} -m maw.cli.main channel list | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}"],
        env={**os.environ, "MAW_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith("#c0")
    assert done.stderr == ""
    assert done.returncode == 0


def test_completion_offers_commands(home: Path) -> None:
    done = _process(
        home, _MAW_COMPLETE="complete_bash", COMP_WORDS="maw inb", COMP_CWORD="1", SHELL="/bin/bash"
    )
    assert done.stdout.split() == ["inbox"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("maw send @ar", ["@arthur"]),
        ("maw send @ ar", ["arthur"]),  # as bash has it, which breaks words at @
        ("maw send gen", ["general"]),
        ("maw send @n", ["@neo@mbp", "@neo@pi"]),  # two bear that name
        ("maw send --as ", ["arthur", "neo"]),
        ("maw read gen", ["general"]),
        ("maw read k7", ["k7q2mx-1n3f9zq-18", "k7q2mx-1n3f9zq-17"]),
        ("maw ack 1", ["18", "17"]),
        ("maw peers forget ", ["mbp", "pi"]),
        ("maw peers accept ", ["pi"]),
        ("maw agent remove a", ["arthur"]),
        ("maw invite --withdraw ", ["0a1b2c3d"]),
        ("maw mentions tri", ["trinity"]),
        ("maw tail zz", []),
    ],
)
def test_completion_asks_the_daemon_for_names(
    words: str, offered: list[str], home: Path, daemon: FakeDaemon
) -> None:
    user = {"local": False, "status": "alive"}
    daemon.answers |= {
        "GET /api/users": (
            200,
            [
                {**user, "username": "arthur", "address": "arthur@mbp", "local": True},
                {**user, "username": "neo", "address": "neo@mbp", "local": True},
                {**user, "username": "neo", "address": "neo@pi"},
                {**user, "username": "trinity", "address": "trinity@pi"},
                {**user, "username": "arnold", "address": "arnold@pi", "status": "dead"},
                {**user, "username": "ar;rm -rf", "address": "x@pi"},
            ],
        ),
        "GET /api/channels": (200, [{"name": "general"}]),
        "GET /api/inbox": (200, [a_message(17), a_message(18)]),
        "GET /api/peers": (200, [{"name": "mbp", "state": "linked"}, {"name": "pi", "state": "pending"}]),
        "GET /api/invites": (200, [{"id": "0a1b2c3d"}]),
    }
    last = len(words.split(" ")) - 1
    done = _process(
        home, _MAW_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(last), SHELL="/bin/bash"
    )
    assert (done.stdout.split(), done.stderr) == (offered, "")


def test_completion_without_a_daemon_offers_nothing_and_is_silent(home: Path) -> None:
    done = _process(
        home, _MAW_COMPLETE="complete_bash", COMP_WORDS="maw send @a", COMP_CWORD="2", SHELL="/bin/bash"
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "forbidden", ["pydantic", "rich", "aiohttp", "asyncio", "nacl", "maw.daemon", "maw.cli.host"]
)
def test_sending_imports_nothing_heavy(forbidden: str, home: Path, daemon: FakeDaemon) -> None:
    # An agent runs `maw send` all day long; each of these costs it 20 ms and more, every time.
    from tests.unit.cli.fake_daemon import a_receipt

    daemon.answers["POST /api/direct"] = (201, a_receipt())
    code = (
        "import sys; from maw.cli.main import main;"
        "code = main(['send', '@arthur', 'hi', '--as', 'neo', '--wait', 'replicated', '--timeout', '3s']);"
        f"print('LOADED' if {forbidden!r} in sys.modules else 'FREE'); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MAW_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "FREE"


def test_main_takes_the_process_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["maw", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("maw ")
