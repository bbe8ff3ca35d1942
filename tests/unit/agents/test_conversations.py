"""Which conversation a program is in: said by itself, or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from maw.agents import conversations
from maw.agents.conversations import Found
from maw.agents.scene import starts_at

ID = "1f2e3d4c-0000-4000-8000-000000000001"
OTHER = "1f2e3d4c-0000-4000-8000-000000000002"


def says(home: Path, session: str, began: str | None = None) -> None:
    """What Claude Code keeps about this process."""
    folder = home / ".claude/sessions"
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "pid": os.getpid(),
        "sessionId": session,
        "procStart": began or starts_at(os.getpid()),
        "status": "idle",
    }
    (folder / f"{os.getpid()}.json").write_text(json.dumps(told))


def find(kind: str, home: Path, *command: str, **env: str) -> Found | None:
    return conversations.of_process(kind, os.getpid(), (kind, *command), env, home)


def test_what_claude_says_of_its_process_comes_before_its_command_line(tmp_path: Path) -> None:
    says(tmp_path, ID)
    project = tmp_path / ".claude/projects/-home-n-work"
    project.mkdir(parents=True)
    (project / f"{ID}.jsonl").write_text("{}\n")
    assert find("claude", tmp_path, "--resume", OTHER) == Found(ID, str(project / f"{ID}.jsonl"))


def test_a_file_about_an_earlier_process_of_that_number_is_not_believed(tmp_path: Path) -> None:
    says(tmp_path, ID, began="12345")
    assert find("claude", tmp_path) is None
    assert find("claude", tmp_path, "--resume", OTHER) == Found(OTHER)


@pytest.mark.parametrize("told", ["", "[]", '"x"', '{"sessionId": 7}', '{"sessionId": "../../etc/passwd"}'])
def test_a_broken_file_says_nothing(told: str, tmp_path: Path) -> None:
    says(tmp_path, ID)
    (tmp_path / f".claude/sessions/{os.getpid()}.json").write_text(told)
    assert find("claude", tmp_path) is None


def test_another_place_for_claudes_files(tmp_path: Path) -> None:
    says(tmp_path / "elsewhere", ID)
    assert find("claude", tmp_path) is None
    assert find("claude", tmp_path, CLAUDE_CONFIG_DIR=str(tmp_path / "elsewhere/.claude")) == Found(ID)


def test_the_rollout_that_codex_holds_open(tmp_path: Path) -> None:
    rollout = tmp_path / f"rollout-2026-11-21T22-00-00-{ID}.jsonl"
    with rollout.open("w"):
        assert find("codex", tmp_path, "resume", OTHER) == Found(ID, str(rollout))
    assert find("codex", tmp_path) is None, "not the newest file that lies about"


def test_a_conversation_is_never_guessed_from_the_folder(tmp_path: Path) -> None:
    project = tmp_path / ".claude/projects/-home-n-work"
    project.mkdir(parents=True)
    (project / f"{ID}.jsonl").write_text("{}\n")
    assert find("claude", tmp_path) is None
    assert find("gemini", tmp_path) is None


def test_a_name_that_is_no_conversations_is_no_path(tmp_path: Path) -> None:
    assert conversations.transcript("claude", "../../../etc/passwd", {}, tmp_path) == ""
    assert conversations.transcript("claude", "*", {}, tmp_path) == ""
    assert conversations.size_of("") is None
    assert conversations.size_of(str(tmp_path / "gone")) is None
