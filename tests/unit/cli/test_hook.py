"""hook install, hook remove, hook: what they do to files of others, and what they refuse to."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maw.agents.installing import claude, files, teaching
from maw.agents.installing.settings import handlers
from maw.agents.installing.teaching import BLOCK, SKILL, Block
from maw.cli import hook
from maw.errors import BadInput
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import FakeDaemon

COMMAND = Path("/opt/maw/bin/maw")
THEIRS = (
    '{\n    "model": "opus",\n    "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "beep"}]}]}\n}'
)


@pytest.fixture
def user(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whose $HOME it is. No Claude Code is found on PATH."""
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(hook, "this_command", lambda: COMMAND)
    monkeypatch.setattr(claude, "version_of_claude", lambda: None)
    monkeypatch.setattr(claude, "MANAGED", tmp_path / "none.json")
    (tmp_path / ".claude").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(user: Path) -> Path:
    return user / ".claude" / "settings.json"


def commands(path: Path) -> list[str]:
    told = json.loads(path.read_text())
    return [one["command"] for groups in told["hooks"].values() for group in groups for one in group["hooks"]]


def test_it_goes_in_beside_what_is_there_and_out_again_byte_for_byte(cli: Cli, user: Path) -> None:
    settings(user).write_text(THEIRS)
    settings(user).chmod(0o640)
    done = cli("hook", "install", "claude")
    assert done.code == 0 and f"installed: {settings(user)}" in done.out
    found = json.loads(settings(user).read_text())
    assert list(found) == ["model", "hooks"] and found["model"] == "opus"
    assert found["hooks"]["Stop"][0]["hooks"][0]["command"] == "beep"
    wait = {
        "type": "command",
        "command": "/opt/maw/bin/maw hook run wait; [ $? -eq 75 ] && exit 2; exit 0",
        "asyncRewake": True,
        "timeout": 604800,
    }
    assert found["hooks"]["Stop"][1]["hooks"][1] == wait
    assert stat.S_IMODE(settings(user).stat().st_mode) == 0o640
    again = cli("hook", "install", "claude")
    assert "nothing to do" in again.out
    assert cli("hook", "remove", "claude").code == 0
    assert settings(user).read_text() == THEIRS
    assert stat.S_IMODE(settings(user).stat().st_mode) == 0o640
    assert "nothing to do" in cli("hook", "remove", "claude").out


def test_what_was_not_there_is_gone_again(cli: Cli, user: Path) -> None:
    (user / "project").mkdir()
    cli("hook", "install", "claude", "--project", "project")
    made = user / "project" / ".claude" / "settings.json"
    assert len(commands(made)) == 9
    assert "the file is gone again" in cli("hook", "remove", "claude", "--project", "project").out
    assert list((user / "project").iterdir()) == [], "the folder too, which was made for it"
    assert not settings(user).exists()


def test_nothing_at_all_is_changed_by_a_dry_run(cli: Cli, user: Path) -> None:
    settings(user).write_text('{\n  "model": "opus"\n}\n')
    shown = cli("hook", "install", "claude", "--dry-run").out
    assert shown.startswith(f"--- {settings(user)}\n+++ ")
    assert re.search(r'^\+ +"command": "/opt/maw/bin/maw hook run Stop \|\| true",$', shown, re.MULTILINE)
    told = json.loads(cli("hook", "install", "claude", "--dry-run", "--json").out)
    assert told["changed"] is True and told["dry_run"] is True and told["diff"].startswith("--- ")
    assert settings(user).read_text() == '{\n  "model": "opus"\n}\n'
    assert not (user / ".local").exists()


def test_an_older_maw_s_hooks_are_brought_up_to_date(
    cli: Cli, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(user).write_text(THEIRS)
    monkeypatch.setattr(hook, "this_command", lambda: Path("/old place/maw"))
    cli("hook", "install", "claude")
    assert "'/old place/maw' hook run Stop || true" in commands(settings(user))
    monkeypatch.setattr(hook, "this_command", lambda: COMMAND)
    assert "of another version of maw" in cli("hook").out
    cli("hook", "install", "claude")
    assert not [one for one in commands(settings(user)) if "old place" in one]
    cli("hook", "remove", "claude")
    assert settings(user).read_text() == THEIRS, "what was there before the older one"


def test_a_waiter_that_woke_by_its_own_exit_code_is_brought_up_to_date(cli: Cli, user: Path) -> None:
    cli("hook", "install", "claude")
    now = settings(user).read_text()
    older = now.replace("; [ $? -eq 75 ] && exit 2; exit 0", "")
    assert older != now
    settings(user).write_text(older)
    assert "of another version of maw" in cli("hook").out
    cli("hook", "install", "claude")
    assert commands(settings(user)) == [
        one["command"]
        for groups in json.loads(now)["hooks"].values()
        for group in groups
        for one in group["hooks"]
    ]


@pytest.mark.parametrize(("code", "wakes"), [(0, 0), (1, 0), (2, 0), (127, 0), (75, 2)])
def test_only_a_waiter_that_says_so_wakes(tmp_path: Path, code: int, wakes: int) -> None:
    """An older maw, or one that is broken, ends with 2: that would wake a session at each of its turns, for ever."""
    program = tmp_path / "maw"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    (wait,) = [one["command"] for one in handlers(str(program))["Stop"] if "asyncRewake" in one]
    assert subprocess.run(["sh", "-c", wait], check=False).returncode == wakes


def test_edited_meanwhile_only_ours_is_taken_out(cli: Cli, user: Path) -> None:
    settings(user).write_text(THEIRS)
    cli("hook", "install", "claude")
    edited = settings(user).read_text().replace('"opus"', '"haiku"')
    settings(user).write_text(edited)
    assert "nothing to do" in cli("hook", "install", "claude").out
    cli("hook", "remove", "claude")
    assert settings(user).read_text() == THEIRS.replace('"opus"', '"haiku"')


def test_without_the_record_ours_is_taken_out_all_the_same(cli: Cli, user: Path) -> None:
    settings(user).write_text(THEIRS)
    cli("hook", "install", "claude")
    (user / ".local" / "state" / "maw" / "hooks" / "installed.json").unlink()
    cli("hook", "remove", "claude")
    assert settings(user).read_text() == THEIRS


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "bad_json"),
        ("// a comment\n{}", "bad_json"),
        ("[]", "bad_settings"),
        ('{"hooks": []}', "bad_settings"),
    ],
)
def test_what_cannot_be_read_is_left_as_it_is(cli: Cli, user: Path, text: str, code: str) -> None:
    settings(user).write_text(text)
    for command in ("install", "remove"):
        done = cli("hook", command, "claude", "--json")
        assert done.code == 2
        error = json.loads(done.out)["error"]
        assert error["code"] == code and str(settings(user)) in error["message"]
        assert "nothing was changed" in error["hint"]
    assert settings(user).read_text() == text
    told = json.loads(cli("hook", "--json").out)["installed"][0]
    assert told["path"] == str(settings(user)) and told["trouble"], "and the state says so too"


def test_bytes_that_are_no_text_are_left_as_they_are(cli: Cli, user: Path) -> None:
    settings(user).write_bytes(b'{"a": "\xff"}')
    assert "line 1: not UTF-8" in cli("hook", "install", "claude").err
    assert settings(user).read_bytes() == b'{"a": "\xff"}'


def test_marks_and_line_ends_are_kept(cli: Cli, user: Path) -> None:
    before = b'\xef\xbb\xbf{\r\n\t"a": 1\r\n}\r\n'
    settings(user).write_bytes(before)
    cli("hook", "install", "claude")
    after = settings(user).read_bytes()
    assert after.startswith(b'\xef\xbb\xbf{\r\n\t"a": 1,\r\n\t"hooks": {')
    assert after.count(b"\n") == after.count(b"\r\n")
    cli("hook", "remove", "claude")
    assert settings(user).read_bytes() == before


def test_a_link_among_one_s_own_files_is_followed(cli: Cli, user: Path) -> None:
    (user / "dotfiles").mkdir()
    real = user / "dotfiles" / "claude.json"
    real.write_text("{}")
    settings(user).symlink_to(real)
    assert f"installed: {real}" in cli("hook", "install", "claude").out
    assert settings(user).is_symlink() and len(commands(real)) == 9
    cli("hook", "remove", "claude")
    assert real.read_text() == "{}"


def test_a_link_that_leads_out_is_refused(
    cli: Cli, user: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "target.json"
    elsewhere.write_text("{}")
    (user / "project" / ".claude").mkdir(parents=True)
    (user / "project" / ".claude" / "settings.json").symlink_to(elsewhere)
    done = cli("hook", "install", "claude", "--project", "project")
    assert done.code == 6 and "leads out of" in done.err and str(elsewhere) in done.err
    assert elsewhere.read_text() == "{}"
    settings(user).symlink_to(user / "nowhere.json")
    assert "which is not there" in cli("hook", "install", "claude").err
    settings(user).unlink()
    settings(user).symlink_to(settings(user))
    assert cli("hook", "install", "claude").code == 6
    settings(user).unlink()
    settings(user).mkdir()
    assert "is a folder" in cli("hook", "install", "claude").err


def test_a_change_by_another_at_that_moment_is_not_lost(
    cli: Cli, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(user).write_text("{}")
    dress = files._dress

    def another(*args: Any) -> None:
        dress(*args)
        settings(user).write_text('{"mine": 1}')

    monkeypatch.setattr(files, "_dress", another)
    monkeypatch.setattr("maw.agents.installing.record.Record.write", lambda _: None)
    done = cli("hook", "install", "claude")
    assert done.code == 6 and "changed by another program" in done.err
    assert settings(user).read_text() == '{"mine": 1}'
    assert sorted(path.name for path in settings(user).parent.iterdir()) == ["settings.json"]


def test_where_nothing_may_be_written_nothing_is_changed(
    cli: Cli, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(user).write_text("{}")

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("maw.agents.installing.files.tempfile.mkstemp", refuse)
    done = cli("hook", "install", "claude")
    assert done.code == 6 and "may not write" in done.err and "Permission denied" in done.err
    assert settings(user).read_text() == "{}"


def test_an_old_claude_gets_no_hook_that_it_would_wait_for(
    cli: Cli, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claude, "version_of_claude", lambda: (2, 1, 88))
    done = cli("hook", "install", "claude")
    assert "older than 2.1.120" in done.err
    assert len(commands(settings(user))) == 4
    monkeypatch.setattr(claude, "version_of_claude", lambda: (2, 1, 328))
    cli("hook", "install", "claude")
    assert len(commands(settings(user))) == 9


def test_the_version_is_asked_of_the_program(tmp_path: Path) -> None:
    program = tmp_path / "claude"
    program.write_text("#!/bin/sh\necho '2.1.328 (Claude Code)'\n")
    program.chmod(0o755)
    assert claude.version_of_claude(str(program)) == (2, 1, 328)
    program.write_text("#!/bin/sh\necho what\n")
    assert claude.version_of_claude(str(program)) is None
    assert claude.version_of_claude(str(tmp_path / "none")) is None


def test_the_state_says_what_is_where_and_whether_it_works(
    cli: Cli, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("hook").code == 1
    good = user / "bin" / "maw"
    good.parent.mkdir()
    good.write_text(f'#!/bin/sh\nexec {sys.executable} -m maw.cli.entry "$@"\n')
    good.chmod(0o755)
    monkeypatch.setattr(hook, "this_command", lambda: good)
    cli("hook", "install", "claude")
    done = cli("hook", width=200)
    assert done.code == 0 and re.search(r"it runs, in \d+ ms: .*maw hook run SessionStart", done.out)
    good.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    told = json.loads(cli("hook", "--json").out)
    assert told["runs"][0]["trouble"] == "exit code 3: broken"
    assert [one["state"] for one in told["installed"] if one["kind"] == "claude"] == ["installed"]
    text = settings(user).read_text().replace("{", '{"disableAllHooks": true,', 1)
    settings(user).write_text(text)
    assert "runs no hooks" in json.loads(cli("hook", "--json").out)["obstacles"][0]


def test_the_state_says_as_whom_a_session_here_would_hear(
    cli: Cli, user: Path, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here() -> dict[str, str]:
        return dict(json.loads(cli("hook", "--json").out)["here"])

    assert "no MAW_AGENT" in here()["trouble"] and daemon.asked == []
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,4321,0")
    monkeypatch.setenv("TMUX_PANE", "%3")
    daemon.answers["GET /api/whoami"] = [(200, {"agent": None}), (200, {"agent": "neo@mbp"})]
    assert "no agent's" in here()["trouble"]
    assert "a session that is started here hears as neo@mbp" in cli("hook").out
    assert daemon.last.headers["x-maw-pane"] == "/tmp/tmux-0/default,4321,%3"
    monkeypatch.setenv("MAW_AGENT", "arthur")
    assert here() == {"agent": "neo@mbp"}
    assert daemon.last.headers["x-maw-agent"] == "arthur" and "x-maw-pane" not in daemon.last.headers


def test_what_is_installed_can_be_called_by_either_way_in(cli: Cli, user: Path) -> None:
    """`maw` goes the short way; this one is for who starts the module."""
    told = json.dumps({"hook_event_name": "Stop", "session_id": "s"}).encode()
    done = cli("hook", "run", "Stop", stdin=told)
    assert (done.code, done.out, done.err) == (0, "", "")


def test_another_folder_than_meant_and_another_thing_are_said_to_be_wrong(cli: Cli, user: Path) -> None:
    assert "no such thing to install: vim" in cli("hook", "install", "vim").err
    assert "there is no folder" in cli("hook", "install", "claude", "--project", "nowhere").err
    assert cli("hook", "install", "claude", "--user", "--project", ".").code == 2


def test_claude_s_own_folder_may_be_elsewhere(cli: Cli, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(user / "config"))
    cli("hook", "install", "claude")
    assert len(commands(user / "config" / "settings.json")) == 9


def test_it_is_found_again_where_it_was_installed(
    cli: Cli, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user / "project").mkdir()
    cli("hook", "install", "agents-md", "--project", "project")
    (user / "other").mkdir()
    monkeypatch.chdir(user / "other")
    found = {one["path"]: one["state"] for one in json.loads(cli("hook", "--json").out)["installed"]}
    assert found[str(user / "project" / "AGENTS.md")] == "installed"


# -- what is taught ----------------------------------------------------------------------------------


def tokens(text: str) -> int:
    """More than any tokenizer counts for English: one for every four letters begun of a word, one for each sign."""
    return len(re.findall(r"\w{1,4}|[^\w\s]", text))


@pytest.mark.parametrize("text", [SKILL, BLOCK])
def test_it_costs_little_and_says_what_it_must(text: str) -> None:
    assert tokens(text) < 600
    for said in (
        "maw send @",
        "maw post",
        "maw ack N",
        "maw inbox",
        "--intent inform",
        "--obeyed",
        "passwords",
    ):
        assert said in text


def test_the_skill_is_one_that_claude_code_can_read() -> None:
    head = SKILL.split("---\n")[1]
    assert SKILL.startswith("---\n") and head.startswith("name: maw\ndescription: ")
    assert len(head) < 1024


@pytest.mark.parametrize(
    "before",
    ["# Mine\n\ntext\n", "no end of line", "", "two\n\n", "\r\nodd\r\n", "x\n<!-- BEGIN other -->\n"],
)
def test_the_block_goes_in_and_out(cli: Cli, user: Path, before: str) -> None:
    path = user / "AGENTS.md"
    path.write_bytes(before.encode())
    cli("hook", "install", "agents-md", "--project", ".")
    text = path.read_bytes().decode()
    assert text.startswith(before) and text.endswith(BLOCK)
    assert "nothing to do" in cli("hook", "install", "agents-md", "--project", ".").out
    path.write_bytes((text + "more\n").encode())
    cli("hook", "remove", "agents-md", "--project", ".")
    left = path.read_bytes().decode()
    assert left.startswith(before) and left.endswith("more\n") and "maw" not in left
    path.write_bytes(before.encode())
    cli("hook", "install", "agents-md", "--project", ".")
    cli("hook", "remove", "agents-md", "--project", ".")
    assert path.read_bytes() == before.encode()


def test_an_older_block_is_replaced_where_it_stands() -> None:
    old = f"head\n\n{teaching.BEGIN}\nold words\n{teaching.END}\n"
    assert Block().take(old, None) == "head\n"
    assert not Block().is_current(old) and Block().is_there(old)


@pytest.mark.parametrize(
    "text",
    [
        f"{teaching.BEGIN}\nmine\n",
        f"{teaching.END}\n{teaching.BEGIN}\n",
        f"{teaching.BEGIN}\n{teaching.BEGIN}\n{teaching.END}\n",
    ],
)
def test_half_a_pair_of_markers_is_touched_by_nobody(cli: Cli, user: Path, text: str) -> None:
    (user / "AGENTS.md").write_text(text)
    for command in ("install", "remove"):
        assert cli("hook", command, "agents-md", "--project", ".").code == 2
    assert (user / "AGENTS.md").read_text() == text
    with pytest.raises(BadInput, match="no pair"):
        Block().is_there(text)


def test_another_s_skill_of_that_name_is_left_alone(cli: Cli, user: Path) -> None:
    path = user / ".claude" / "skills" / "maw" / "SKILL.md"
    path.parent.mkdir(parents=True)
    path.write_text("---\nname: maw\n---\nmine\n")
    assert "another skill called maw" in cli("hook", "install", "skill").err
    assert cli("hook", "remove", "skill").code == 0
    assert path.read_text() == "---\nname: maw\n---\nmine\n"


def test_it_belongs_to_whom_it_belonged(cli: Cli, user: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make a file somebody else's")
    settings(user).write_text("{}")
    os.chown(settings(user), 12345, 23456)
    cli("hook", "install", "claude")
    assert (settings(user).stat().st_uid, settings(user).stat().st_gid) == (12345, 23456)
