"""`maw help TOPIC`: a screenful on one subject, where no browser is."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Any, Final

import typer

from maw.cli.output import Output
from maw.core.names import nearest
from maw.core.text import shown
from maw.errors import NotFound

TOPICS: Final[dict[str, str]] = {
    "start": "the first minutes, and a second host",
    "sending": "saying something: to whom, what you want of it, whether it came",
    "states": "what stored, replicated, delivered, read and acked mean",
    "hearing": "how agents hear of their mail, and how often they are woken",
    "names": "agents, channels, hosts, groups, and who speaks",
    "trust": "inviting hosts, revoking keys, operators, freezing",
    "data": "backups, verifying, redacting, keeping",
    "trouble": "when something is not as it should be; exit codes",
}
"""Each is a text of its name in maw/cli/topics."""


def topics(ctx: Any, incomplete: str) -> list[str]:
    """For the Tab key."""
    return [name for name in TOPICS if name.startswith(incomplete)]


def help_(
    topic: Annotated[
        str,
        typer.Argument(
            metavar="TOPIC|COMMAND", help=f"{', '.join(TOPICS)}; or a command.", autocompletion=topics
        ),
    ],
) -> None:
    """A screenful on one subject; of a command, its options."""
    out = Output.to_stdout()
    if topic not in TOPICS:
        near = nearest(topic, TOPICS)
        raise NotFound(
            f"there is no help on {shown(topic)}",
            code="no_such_topic",
            hint="`maw help` lists commands and topics",
            candidates=near,
        )
    out.line((files("maw.cli") / "topics" / f"{topic}.txt").read_text(encoding="utf-8").rstrip())
