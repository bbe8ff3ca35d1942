"""The programs that agents are: how each is known, and how it goes on with a conversation.

What is said here of a program is what its documentation says; `maw agent set NAME resume …` replaces it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

PLACEHOLDER: Final = "{conversation}"
INTERPRETERS: Final = ("python", "node", "nodejs", "bun", "deno", "bash", "sh", "dash", "zsh", "ruby", "perl")


@dataclass(frozen=True, slots=True)
class Kind:
    """``resume``, ``begin``: what is put behind the program's name to go on with a conversation, or to begin one under
    a name of ours; ``valued`` and ``flags``: options that choose a conversation, and are no part of the command."""

    name: str
    programs: tuple[str, ...]
    resume: tuple[str, ...]
    begin: tuple[str, ...] = ()
    valued: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    verb: str = ""
    """A word behind the program that does so, with the conversation behind it."""


KINDS: Final = {
    one.name: one
    for one in (
        Kind(
            "claude", ("claude",), ("--resume", PLACEHOLDER), ("--session-id", PLACEHOLDER),
            valued=("--resume", "-r", "--session-id"), flags=("--continue", "-c", "--fork-session"),
        ),
        Kind("codex", ("codex",), ("resume", PLACEHOLDER), flags=("--last",), verb="resume"),
        Kind("gemini", ("gemini",), ("--resume", PLACEHOLDER), valued=("--resume", "-r")),
        Kind(
            "opencode", ("opencode",), ("--session", PLACEHOLDER), valued=("--session", "-s"),
            flags=("--continue", "-c"),
        ),
        Kind("command", (), ()),
    )
}  # fmt: skip


def kind_of(command: Sequence[str], more: Collection[str] = ()) -> str | None:
    """The kind of program that a process with this command line is; ``more``: programs that count as ``command``."""
    programs = _programs(command)
    for kind in KINDS.values():
        if any(program in kind.programs for program in programs):
            return kind.name
    return "command" if any(program in more for program in programs) else None


def _programs(command: Sequence[str]) -> list[str]:
    """What it may be called: its own name, and where that is an interpreter's, its script's."""
    if not command:
        return []
    found = [_plain(command[0])]
    if "/claude/versions/" in command[0]:
        found.append("claude")
    if is_interpreter(command[0]):
        found.append(_plain(_script(command)))
    return found


def _script(command: Sequence[str]) -> str:
    """The file that an interpreter runs; "" where it is given its program in words: `sh -c claude` is a shell, and
    what it begins is another process."""
    for word in command[1:]:
        if not word.startswith("-"):
            return word
        if not word.startswith("--") and any(letter in word for letter in "cem"):
            return ""
    return ""


def _plain(word: str) -> str:
    name = PurePath(word.split(" ", 1)[0]).name
    for ending in (".js", ".mjs", ".cjs", ".py"):
        name = name.removesuffix(ending)
    return name


def _head(command: Sequence[str]) -> int:
    """How many words name the program: one, or an interpreter's up to its script."""
    script = _script(command) if command and is_interpreter(command[0]) else ""
    return command.index(script) + 1 if script else 1


def is_interpreter(word: str) -> bool:
    return _plain(word).rstrip("0123456789.") in INTERPRETERS


def plain_command(kind: str, command: Sequence[str], exe: str = "") -> list[str]:
    """The command without what chose its conversation. ``exe``: the file that runs: where that is an interpreter under
    another name (``exec -a``), the word behind the name is its script, and was not typed."""
    words = list(command)
    if exe and len(words) > 1 and is_interpreter(exe) and not is_interpreter(words[0]) and "/" in words[1]:
        del words[1]
    known = KINDS.get(kind, KINDS["command"])
    head = _head(words)
    kept, rest = words[:head], words[head:]
    while rest:
        word = rest.pop(0)
        if (known.verb and word == known.verb) or word in known.valued:
            if rest and not rest[0].startswith("-"):
                rest.pop(0)
        elif word not in known.flags and not any(word.startswith(f"{one}=") for one in known.valued):
            kept.append(word)
    return kept


def conversation_in(kind: str, command: Sequence[str]) -> str | None:
    """The conversation that this command line names."""
    known = KINDS.get(kind)
    if known is None:
        return None
    for at, word in enumerate(command):
        name, given, value = word.partition("=")
        if name in known.valued and given:
            return value
        if (word in known.valued or (known.verb and word == known.verb and at)) and at + 1 < len(command):
            following = command[at + 1]
            if not following.startswith("-"):
                return following
    return None


def command_line(
    kind: str, command: Sequence[str], resume: Sequence[str], conversation: str | None, *, begun: bool
) -> list[str]:
    """What is to be run. ``resume``: the owner's own template, else the kind's; ``begun``: whether the conversation has
    anything in it yet: some programs refuse to resume one that has not."""
    if not conversation:
        return list(command)
    if resume:
        return [word.replace(PLACEHOLDER, conversation) for word in resume]
    known = KINDS.get(kind, KINDS["command"])
    chosen = known.resume if begun or not known.begin else known.begin
    at = _head(command)
    words = [word.replace(PLACEHOLDER, conversation) for word in chosen]
    return [*command[:at], *words, *command[at:]]
