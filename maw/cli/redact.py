"""Taking words back: by who said them, or by an operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from maw.cli.output import Output, note, words
from maw.cli.params import As, Json, Yes
from maw.cli.session import confirm, plain_daemon, reading_daemon
from maw.client.daemon import segment
from maw.errors import NotFound


def redact(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID…", help="Ids, or the numbers shown. None: list operators'."),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; everybody can read it, for ever.")
    ] = None,
    operator: Annotated[
        bool,
        typer.Option("--operator", help="As an operator: anybody's words, signed with the operator key."),
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="FILE", help="The operator key. Else $MAW_OPERATOR_KEY, else in the home."
        ),
    ] = None,
    yes: Yes = False,
    as_name: As = None,
    as_json: Json = False,
) -> int | None:
    """Drop the text of messages on every host that holds them. That it was said, and who redacted it, stays."""
    if not ids:
        from maw.cli.operator import list_statements  # keys are needed by few commands

        return list_statements(("redact",), "no operator has redacted anything", as_json)
    which = words(ids[0]) if len(ids) == 1 else f"{len(ids)} messages"
    confirm(f"redact {which}? The text is dropped on every host, for good.", yes)
    if operator or key is not None:
        done = _as_operator(ids, reason, key)
    else:
        done = reading_daemon(as_name).post_once("/api/redact", {"ids": ids, "reason": reason}).body
    out = Output.to_stdout(as_json)
    if out.as_json:
        out.json(done)
        return None
    already = done.get("already") or []
    line = f"{len(done.get('redacted') or [])} redacted"
    out.line(
        line
        + (f", {len(already)} already were" if already else "")
        + "; other hosts follow as they hear of it"
    )
    return None


def _as_operator(ids: Sequence[str], reason: str | None, key: str | None) -> dict[str, Any]:
    """A statement for each log that the messages, and edits of them, stand in."""
    from maw.cli.operator import read_signer, stated

    signer = read_signer(key)
    of_log: dict[str, list[str]] = {}
    for one in ids:
        whole = one
        if one.isdecimal():
            whole = str(plain_daemon().get(f"/api/messages/{segment(one)}").body["id"])
            note(f"{one} is {words(whole)}")
        for place in (whole, *_edits(whole)):
            of_log.setdefault(place.rpartition("-")[0], []).append(place)
    for some in of_log.values():
        asked: dict[str, Any] = {"ids": some}
        if reason:
            asked["why"] = reason
        stated("redact", asked, signer)
    return {"redacted": [one for some in of_log.values() for one in some], "already": []}


def _edits(ref: str) -> list[str]:
    """The ids of a message's edits, whose words are to go too. Of one that is not to be read here none is known."""
    try:
        found = plain_daemon().get(f"/api/messages/{segment(ref)}/history").body
    except NotFound:
        return []
    edits = [str(one["id"]) for one in found[1:]]
    if edits:
        note(f"{words(ref)} was edited: its edits go with it ({', '.join(map(words, edits))})")
    return edits
