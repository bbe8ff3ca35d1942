"""Writes docs/commands.md from the commands: ``python -m maw.cli.reference > docs/commands.md``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from maw.cli.main import COMMANDS, command_line

_INTRO: Final = """\
# Commands

<!-- Written by `python -m maw.cli.reference > docs/commands.md`; a test fails when it is out of date. -->

Every command that answers takes `--json` (answers, and errors as `{"error": {"code", "message", "hint"}}`, on standard
output) and `--help`. A plain answer goes to standard output, remarks and errors to standard error. In a pipe
there is no colour and nothing is cut; `NO_COLOR` turns colour off in a terminal too. Whatever others wrote is
shown with everything invisible or dangerous marked, as ⟨U+202E⟩.

**Who speaks**: `--as NAME`, else `$MAW_AGENT`, else, in a terminal, the owner of the node. A program that
does not say who it is gets exit code 2.

**Which node**: `$MAW_SOCKET`, else `$MAW_HOME/maw.sock`, else your own node in `~/.local/share/maw`, else the
system's in `/var/lib/maw`. A node of yours that is not running is not passed over for the system's.

**Text** that begins with `-` goes after `--`; `-` alone reads standard input. Durations are written `30s`,
`10m`, `2h`, `1d`; a bare number is seconds.

| exit code | means |
|---|---|
| 0 | done |
| 1 | nothing there (and nothing else) |
| 2 | wrong usage, text or configuration |
| 3 | no such agent, channel, message or peer |
| 4 | ambiguous: the candidates are listed |
| 5 | the daemon is not running |
| 6 | refused: why, and what to do |
| 7 | accepted, but not confirmed in time (the id is printed) |
| 70 | an error inside maw: `MAW_DEBUG=1` shows where |
"""


def reference() -> str:
    """The whole page."""
    root = command_line()
    with root.make_context("maw", [], resilient_parsing=True) as context:
        parts = [_INTRO]
        for heading, names in COMMANDS.items():
            parts.append(f"## {heading}\n")
            for name in names:
                parts += _described(f"maw {name}", root.get_command(context, name))
    return "\n".join(parts)


def _described(path: str, command: Any) -> Iterator[str]:
    """A command, and after it those of its group."""
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    yield f"### {path}\n"
    yield f"`{' '.join([path, *map(_usage, arguments)])}`\n"
    yield f"{' '.join((command.help or '').split())}\n"
    rows = [
        *((f"`{_label(param)}`", param.help or "") for param in arguments if param.help),
        *((_option(param), param.help or "") for param in options if param.name != "as_json"),
    ]
    if rows:
        yield "| | |\n|---|---|\n" + "\n".join(f"| {_cell(one)} | {_cell(two)} |" for one, two in rows) + "\n"
    for name, nested in getattr(command, "commands", {}).items():
        if not nested.hidden:
            yield from _described(f"{path} {name}", nested)


def _usage(param: Any) -> str:
    return _label(param) if param.required else f"[{_label(param)}]"


def _label(param: Any) -> str:
    name = str(param.metavar or param.name).strip("[]").rstrip("…")
    return f"{name}…" if param.nargs == -1 else name


def _option(param: Any) -> str:
    names = ", ".join(f"`{one}`" for one in param.opts)
    metavar = "" if param.is_flag else f" {param.metavar or param.name.upper()}"
    default = "" if param.default in (None, False) else f" (else {param.default})"
    return f"{names}{metavar}{default}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
