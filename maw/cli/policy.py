"""The Colony's policy: shown, published with an operator's key, and which agent runs with which version."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from maw.cli.groups import command_group
from maw.cli.operator import Key, read_signer, stated
from maw.cli.output import Output, note, words
from maw.cli.params import Json, duration
from maw.cli.session import plain_daemon
from maw.core.policy import check_policy, check_policy_size
from maw.core.text import shown
from maw.errors import BadInput

policy_group = command_group("One text for all agents of the Colony, signed by an operator.")
LATE: Final = "2h"
MOST_READ: Final = 1 << 20
"""Of what is no policy's size, so much is looked at to say how large it is."""


@policy_group.callback(invoke_without_command=True)
def policy(ctx: typer.Context, as_json: Json = False) -> None:
    """One text for all agents of the Colony, signed by an operator."""
    if ctx.invoked_subcommand is None:
        show(None, as_json)


@policy_group.command("show")
def show(
    version: Annotated[int | None, typer.Option("--version", metavar="N", help="An earlier one.")] = None,
    as_json: Json = False,
) -> None:
    """The policy in force: its version, by whom it is, and its words."""
    out = Output.to_stdout(as_json)
    found = plain_daemon().get("/api/policy", version=version).body
    if out.as_json:
        out.json(found)
        return
    note(
        f"version {found['version']}, by {words(found.get('by'))}, {out.when(found.get('at'))}"
        + ("" if found.get("in_force") else ": not in force any more")
    )
    out.line(shown(str(found["text"])).rstrip("\n"))


@policy_group.command("publish")
def publish(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The text, at most 12 KiB; - reads standard input.")
    ],
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Sign the next version of the policy. Each agent takes it along from its next pulse on."""
    out = Output.to_stdout(as_json)
    text = _read(file)
    check_policy(text)
    taken = stated("policy", {"text": text}, read_signer(key))
    if out.as_json:
        out.json(taken)
        return
    out.line(f"{words(taken.get('about'))} · {words(taken.get('id'))}")
    note("each agent takes it along from its next pulse on: `maw policy status` shows who does")


@policy_group.command("status")
def status(
    late: Annotated[
        str,
        typer.Option("--late", metavar="TIME", help="Who runs another so long after it was heard is late."),
    ] = LATE,
    as_json: Json = False,
) -> int:
    """Which agent runs with which version: current, old, none, unknown, never pulsed. Of other hosts, as they said it
    last. Exit 1: there is no policy."""
    out = Output.to_stdout(as_json)
    found = plain_daemon().get("/api/policy/status", grace_s=int(duration(late, "--late"))).body
    told = found.get("policy")
    if out.as_json:
        out.json(found)
        return 0 if told else 1
    if not told:
        return out.nothing("there is no policy: `maw policy publish FILE`, by an operator")
    note(f"version {told['version']} is in force here since {out.when(told.get('heard_at'))}")
    out.table(
        ["agent", "state", "version", "last pulse", ""],
        [_row(out, one) for one in found.get("agents") or ()],
    )
    return 0


def _row(out: Output, one: dict[str, Any]) -> list[str]:
    return [
        words(one.get("agent")),
        words(one.get("state")),
        "–" if one.get("version") is None else str(one["version"]),
        out.when(one["last_pulse_at"]) if one.get("last_pulse_at") else "–",
        "late" if one.get("late") else "",
    ]


def _read(file: str) -> str:
    try:
        if file == "-":
            data = sys.stdin.buffer.read(MOST_READ)
        else:
            with Path(file).expanduser().open("rb") as handle:
                data = handle.read(MOST_READ)
        check_policy_size(len(data))
        return data.decode()
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}", code="no_file") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file}: it is not UTF-8", code="bad_policy") from None
