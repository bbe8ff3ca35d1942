"""Taking words back."""

from __future__ import annotations

from typing import Annotated

import typer

from maw.cli.output import Output, words
from maw.cli.params import As, Json, Yes
from maw.cli.session import confirm, reading_daemon


def redact(
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Ids, or the numbers shown.")],
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; everybody can read it, for ever.")
    ] = None,
    yes: Yes = False,
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Drop the text of messages on every host that holds them. That it was said, and who redacted it, stays."""
    out = Output.to_stdout(as_json)
    which = words(ids[0]) if len(ids) == 1 else f"{len(ids)} messages"
    confirm(f"redact {which}? The text is dropped on every host, for good.", yes)
    done = reading_daemon(as_name).post_once("/api/redact", {"ids": ids, "reason": reason}).body
    if out.as_json:
        out.json(done)
        return
    already = done.get("already") or []
    line = f"{len(done.get('redacted') or [])} redacted"
    out.line(
        line
        + (f", {len(already)} already were" if already else "")
        + "; other hosts follow as they hear of it"
    )
