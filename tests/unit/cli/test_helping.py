"""`maw help`: each topic is there, fits a screen, and names only commands and options that exist."""

from __future__ import annotations

from importlib.resources import files

import pytest

from maw.cli.helping import TOPICS
from tests.unit.cli.conftest import Cli
from tests.unit.test_docs import COMMAND, parameters


def text(topic: str) -> str:
    return (files("maw.cli") / "topics" / f"{topic}.txt").read_text(encoding="utf-8")


def test_every_text_is_a_topic() -> None:
    found = {path.name.removesuffix(".txt") for path in (files("maw.cli") / "topics").iterdir()}
    assert found == set(TOPICS)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_a_screenful_of_what_exists(topic: str, cli: Cli) -> None:
    shown = cli("help", topic)
    assert (shown.code, shown.out.rstrip(), shown.err) == (0, text(topic).rstrip(), "")
    lines = shown.out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 120
    for line in lines:
        for piece in (
            line.replace(", then maw", "\nmaw")
            .replace(", maw", "\nmaw")
            .replace("; maw", "\nmaw")
            .split("\n")
        ):
            command = piece.strip().split("   ")[0]
            for found in COMMAND.findall(command) + COMMAND.findall(piece.partition(": ")[2].strip()):
                words = found.split() or ["--help"]
                path, known = parameters(words)
                assert path, command
                options = [word for word in words if word.startswith("-") and word != "-"]
                assert set(options) <= known, command


def test_alone_it_lists_them(cli: Cli) -> None:
    out = cli("help").out
    assert all(about in " ".join(out.split()) for about in TOPICS.values())


def test_a_command_is_its_own_help(cli: Cli) -> None:
    assert cli("help", "send").out == cli("send", "--help").out


def test_a_slip_is_told_what_was_meant(cli: Cli) -> None:
    result = cli("help", "stattes")
    assert result.code == 3
    assert "did you mean states?" in result.err
