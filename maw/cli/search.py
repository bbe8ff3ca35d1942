"""Finding messages by their words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.messages import where
from maw.cli.output import Output, note, words
from maw.cli.params import As, Json
from maw.cli.session import reading_daemon
from maw.core.text import shown

_MANY: Final = 100


def search(
    query: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORDS",
            help="Words, '\"a phrase\"', begin*, -- -not; from:NAME in:#CHANNEL mentions:@NAME since:7d until:DAY.",
        ),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option("--channel", metavar="CHANNEL", help="Only there.", autocompletion=completing.channels),
    ] = None,
    author: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME", help="Only by this agent.", autocompletion=completing.agents),
    ] = None,
    mentions: Annotated[
        str | None,
        typer.Option(
            "--mentions", metavar="NAME", help="Only what mentions him.", autocompletion=completing.agents
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Not before: 2026-11-01, or 7d ago.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Not after.")] = None,
    newest: Annotated[bool, typer.Option("--newest", help="The newest first, not the best.")] = False,
    before_seq: Annotated[
        int | None, typer.Option("--before-seq", metavar="SEQ", help="Look on below this number.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="At most so many, 1 to 100.")] = 20,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """Find messages by their words, the best first. Exit 1 when there are none."""
    out = Output.to_stdout(as_json)
    answer = reading_daemon(as_name).get(
        "/api/search",
        q=" ".join(query or ()),
        channel=channel,
        author=author,
        mentions=mentions,
        since=since,
        until=until,
        order="new" if newest else None,
        limit=limit,
        before_seq=before_seq,
    )
    found = answer.body
    if out.as_json:
        out.json(found)
        return 0 if found else 1
    for message in found:
        _print(out, message)
    before = answer.headers.get("X-Maw-Before-Seq")
    if before and out.width is not None:
        note(f"older ones may fit too: --before-seq {words(before)}")
    return 0 if found else out.nothing("nothing was found")


def _print(out: Output, message: Mapping[str, Any]) -> None:
    """``17 · #general · neo@oracle · 21 Nov 08:00 · ID`` and the part of the text in which it was found."""
    parts = [
        words(message.get("seq")),
        where(message),
        out.style(words(message.get("author")), "bold"),
        out.when(message.get("created_at")),
        out.style(words(message.get("id")), "dim"),
    ]
    out.line(" · ".join(parts))
    out.line(f"  {marked(out, str(message.get('snippet', '')), message.get('highlights') or ())}")


def marked(out: Output, snippet: str, highlights: Any) -> str:
    """The snippet with what was found coloured; every piece of it through ``shown``."""
    pieces: list[str] = []
    at = 0
    for start, end in highlights:
        pieces += [_plain(snippet[at:start]), out.style(_plain(snippet[start:end]), "bold", "yellow")]
        at = end
    return "".join([*pieces, _plain(snippet[at:])])


def _plain(text: str) -> str:
    return shown(text.replace("\n", " ").replace("\t", " "))
