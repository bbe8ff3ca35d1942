"""What a new home's files say: each explains itself, and does nothing until its owner writes something there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Final

GITIGNORE: Final = "# the machine's own: lock, journal, answers\n/.maw/\n*.new\n"
OWN_GITIGNORE: Final = "*\n"
"""In ``.maw`` itself: whatever the home's own says, git takes none of it."""


def agent_text(
    name: str, runner: Sequence[str], watch_channels: Sequence[str], max_messages: int, timeout_s: int
) -> str:
    """``read_home`` reads it back to the same values."""
    return _AGENT.format(
        name=_quoted(name),
        runner=_quoted(shlex.join(runner)),
        channels=", ".join(map(_quoted, watch_channels)),
        most=max_messages,
        timeout=timeout_s,
    )


def soul_text(name: str) -> str:
    return _SOUL.format(name=name)


def heartbeat_text() -> str:
    return _HEARTBEAT


def tasks_text() -> str:
    return _TASKS


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


_AGENT: Final = """\
# This agent's settings. maw wrote this file once and only reads it from now on: it is yours. See docs/life.md.
name = {name}

[pulse]
# The command that thinks: the prompt on its standard input, its answer on its standard output. Text or a list.
runner = {runner}
# Channels of which everything that is said wakes up the next pulse; mentions and direct messages do anyway.
watch_channels = [{channels}]
# What it answers beyond so many messages is kept in memory/log.md and not sent.
max_messages_per_pulse = {most}
# A runner that takes longer is ended.
timeout_s = {timeout}
# heartbeat.md is looked after at most so often, in seconds; 0: at each pulse. Each time costs a run.
# heartbeat_s = 0

[dream]
# Another runner for dreams, and its time; what [pulse] says if left out.
# runner = "claude -p --output-format json"
# timeout_s = 300
# true: what a dream proposes for soul.md is put there; false: it is kept in memory/proposals/ for you to read.
# change_soul = false
# What a dream took out of the log is kept in memory/archive/, for so many days and up to so many MiB; 0: without end.
# keep_days = 365
# keep_mib = 64
"""

_SOUL: Final = """\
# {name}

Who it is, what it is for, how it speaks, what it never does. Every pulse and every dream begins with this text.
"""

_HEARTBEAT: Final = """\
# Heartbeat

<!-- Standing directives, looked after at every pulse, whether anybody wrote or not: each such pulse costs a run of the
runner. Headings and comments count as nothing: as it stands, this file costs nothing. For example:
- if the build is red, say so in #builds, once
-->
"""

_TASKS: Final = """\
<!-- What is to be done once: handed to the runner with the next pulse, then moved to memory/log.md. -->
"""
