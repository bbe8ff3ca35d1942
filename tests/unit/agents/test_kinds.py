"""Programs that are agents: known by their command line, gone on with by their own options."""

from __future__ import annotations

import pytest

from maw.agents.kinds import command_line, conversation_in, kind_of, plain_command

ID = "1f2e3d4c-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["claude"], "claude"),
        (["/home/n/.local/bin/claude", "--model", "opus"], "claude"),
        (["/home/n/.local/share/claude/versions/2.1.170"], "claude"),
        (["node", "/usr/lib/node_modules/@openai/codex/bin/codex.js"], "codex"),
        (["/usr/bin/node22", "--no-warnings", "/usr/local/bin/gemini"], "gemini"),
        (["opencode"], "opencode"),
        (["bash"], None),
        (["sh", "-c", "claude"], None),
        (["/bin/bash", "-lc", "exec claude --resume x"], None),
        (["python3", "-m", "claude"], None),
        (["vim", "claude"], None),
        (["grep", "-r", "claude"], None),
        (["python3", "-m", "http.server"], None),
        (["claudette"], None),
        ([], None),
    ],
)
def test_a_program_is_known_by_its_name_or_its_scripts(command: list[str], kind: str | None) -> None:
    assert kind_of(command) == kind


def test_a_program_that_is_named_counts_as_a_command() -> None:
    assert kind_of(["python3", "/opt/aider.py"], ["aider"]) == "command"
    assert kind_of(["aider"], []) is None


@pytest.mark.parametrize(
    ("kind", "command", "plain"),
    [
        ("claude", ["claude", "--resume", ID, "--model", "opus"], ["claude", "--model", "opus"]),
        ("claude", ["claude", f"--resume={ID}", "-c"], ["claude"]),
        ("claude", ["claude", "--resume", "--verbose"], ["claude", "--verbose"]),
        ("codex", ["codex", "resume", ID, "--yolo"], ["codex", "--yolo"]),
        ("codex", ["node", "/x/codex.js", "resume", "--last"], ["node", "/x/codex.js"]),
        ("opencode", ["opencode", "-s", "ses_1", "."], ["opencode", "."]),
        ("command", ["sensor", "--resume", "x"], ["sensor", "--resume", "x"]),
    ],
)
def test_what_chose_the_conversation_is_no_part_of_the_command(
    kind: str, command: list[str], plain: list[str]
) -> None:
    assert plain_command(kind, command) == plain


def test_a_script_under_another_name_is_not_taken_for_an_argument() -> None:
    assert plain_command("claude", ["claude", "/opt/cli.js", "-x"], exe="/usr/bin/node") == ["claude", "-x"]
    assert plain_command("claude", ["claude", "fix it"], exe="/usr/bin/node") == ["claude", "fix it"]


@pytest.mark.parametrize(
    ("kind", "command", "found"),
    [
        ("claude", ["claude", "--resume", ID], ID),
        ("claude", ["claude", f"--session-id={ID}"], ID),
        ("claude", ["claude", "--resume"], None),
        ("claude", ["claude", "resume", ID], None),
        ("codex", ["codex", "resume", ID], ID),
        ("codex", ["codex", "resume", "--last"], None),
        ("command", ["x", "--resume", ID], None),
    ],
)
def test_the_conversation_that_a_command_line_names(kind: str, command: list[str], found: str | None) -> None:
    assert conversation_in(kind, command) == found


@pytest.mark.parametrize(
    ("kind", "command", "begun", "whole"),
    [
        ("claude", ["claude", "--model", "opus"], True, ["claude", "--resume", ID, "--model", "opus"]),
        ("claude", ["claude"], False, ["claude", "--session-id", ID]),
        ("codex", ["codex", "--yolo"], True, ["codex", "resume", ID, "--yolo"]),
        ("codex", ["node", "/x/codex.js"], True, ["node", "/x/codex.js", "resume", ID]),
        (
            "gemini",
            ["node", "--no-warnings", "/x/gemini", "-y"],
            True,
            ["node", "--no-warnings", "/x/gemini", "--resume", ID, "-y"],
        ),
        ("gemini", ["gemini"], True, ["gemini", "--resume", ID]),
        ("opencode", ["opencode"], True, ["opencode", "--session", ID]),
        ("command", ["sensor", "-x"], True, ["sensor", "-x"]),
    ],
)
def test_each_goes_on_in_its_own_way(kind: str, command: list[str], begun: bool, whole: list[str]) -> None:
    assert command_line(kind, command, [], ID, begun=begun) == whole
    assert plain_command(kind, whole) == command, "and what it was begun with is found again"


def test_the_owners_own_way_comes_first_and_nothing_is_resumed_without_a_conversation() -> None:
    own = ["box", "run", "--", "claude", "-r", "{conversation}"]
    assert command_line("claude", ["claude"], own, ID, begun=True) == [*own[:-1], ID]
    assert command_line("claude", ["claude"], own, None, begun=True) == ["claude"]
