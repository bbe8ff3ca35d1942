"""Signed history as a file that anybody can check, and who was refused what: audit export, check, refusals."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from maw.cli import completing
from maw.cli.groups import command_group
from maw.cli.output import Output, block, note, words
from maw.cli.params import As, Json
from maw.cli.progress import Meter
from maw.cli.session import plain_daemon, reading_daemon
from maw.client.daemon import Daemon
from maw.core.clock import wall_ms
from maw.core.identity import key_text
from maw.core.names import check_channel
from maw.core.text import one_line
from maw.errors import BadInput, Conflict, Refused

if TYPE_CHECKING:
    from maw.core.audit import Word

audit_group = command_group(
    "Signed history, exported so that anybody can check it; and who was refused what here."
)

PAGE: Final = 500
PROBLEMS: Final = 20


@audit_group.command("export")
def export(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="CHANNEL|@AGENT",
            help="general, or @neo: whose messages are asked for. All that you may read if left out.",
            autocompletion=completing.recipients,
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Not before: 2026-11-01, or 7d.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Not after.")] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", "-o", metavar="FILE", help="Where to; - or nothing is standard output."),
    ] = None,
    sparse: Annotated[
        bool, typer.Option("--sparse", help="Only what is asked for: smaller, and gaps prove nothing.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Write the signed history as a bundle: your messages as you may read them, and of the rest that they are there."""
    out = Output.to_stdout(as_json)
    daemon = reading_daemon(as_name)
    asked = _asked(what, since, until)
    if to in (None, "-"):
        if as_json:
            raise BadInput("--json tells of a file: say --to FILE", code="usage")
        _write(daemon, asked, sparse, sys.stdout.buffer)
        return
    path = Path(str(to))
    if os.path.lexists(path) and not force:
        raise Conflict(f"{path} is there already", code="file_exists", hint="another name, or --force")
    with _instead_of(path) as file:
        told = _write(daemon, asked, sparse, file)
    if out.as_json:
        out.json({"file": str(path), **told})
    else:
        out.line(
            f"{words(told['entries'])} entries, {words(told['payloads'])} of them with what they say: {path}"
        )
        note(f"anybody checks it with `maw audit check {path}`; docs/protocol.md says how to without maw")


def _asked(what: str | None, since: str | None, until: str | None) -> dict[str, Any]:
    asked: dict[str, Any] = {"since": since, "until": until}
    if what is not None and what.startswith("@"):
        asked["author"] = what.removeprefix("@")
    elif what is not None:
        asked["channel"] = check_channel(what.removeprefix("#"))
    return {name: value for name, value in asked.items() if value is not None}


def _write(daemon: Daemon, asked: dict[str, Any], sparse: bool, file: BinaryIO) -> dict[str, int]:
    from maw.core.audit import FORMAT, Writer

    head = daemon.get("/api/audit").body
    writer, told = Writer(), Counter[str]()
    first = {
        "maw-audit": FORMAT, "colony": head["colony"], "found": head["found"], "node": head["node"],
        "at": time.time_ns() // 1_000_000, "asked": asked, "sparse": sparse,
    }  # fmt: skip
    file.write(writer.line(first))
    for wire in head["statements"]:
        file.write(writer.line({"statement": wire}))
    whole = sum(log["last"] for log in head["logs"])
    done, meter = 0, Meter()
    for log in head["logs"]:
        begun = False
        for lines, looked in _pages(daemon, log, asked, sparse):
            if lines and not begun:
                begun = True
                file.write(writer.line({"log": [log["author"], log["epoch"]]}))
            for line in lines:
                file.write(writer.line(line))
                told["entries"] += 1
                told["payloads"] += len(line["entry"]) > 2
            done += looked
            meter("entries", done, whole)
    meter.clear()
    file.write(writer.end())
    return {"entries": told["entries"], "payloads": told["payloads"]}


def _pages(
    daemon: Daemon, log: dict[str, Any], asked: dict[str, Any], sparse: bool
) -> Iterator[tuple[list[Any], int]]:
    """Lines of one log, up to what was its last entry at the beginning; and how many entries were looked at."""
    at = 0
    while at < log["last"]:
        answer = daemon.get(
            "/api/audit/entries",
            log=log["author"],
            epoch=log["epoch"],
            after_seq=at,
            limit=min(PAGE, log["last"] - at),
            sparse="true" if sparse else None,
            **asked,
        )
        before, at = at, int(answer.headers["X-Maw-Next-Seq"])
        yield answer.body, at - before
        if at == before:  # put anew meanwhile, and shorter
            return


@contextlib.contextmanager
def _instead_of(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` when all of it is on the disk."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@audit_group.command("check")
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A bundle; - reads standard input.")],
    show: Annotated[bool, typer.Option("--show", help="Also what the messages say.")] = False,
    as_json: Json = False,
) -> None:
    """Check a bundle, without a node: each signature, and that nothing was changed or taken away; else exit 6."""
    from maw.core.audit import MAX_LINE, Checker

    out = Output.to_stdout(as_json)
    checker = Checker()
    with _reading(file) as lines:
        while raw := lines.readline(MAX_LINE + 2):
            word = checker.feed(raw)
            if word is not None and show and not out.as_json:
                _show(out, word)
    report = checker.finish()
    told = {
        "sound": not report.problems, "colony": report.colony, "node": report.node, "asked": report.asked,
        "sparse": report.sparse, "logs": report.logs, "entries": report.entries, "messages": report.messages,
        "left_out": dict(report.left_out), "beyond_revocation": report.beyond, "problems": report.problems,
    }  # fmt: skip
    if out.as_json:
        out.json(told)
    else:
        _tell(out, told)
    if report.problems:
        raise Refused(
            f"{one_line(file, 80)} is not as it was signed: {len(report.problems)} problems",
            code="not_sound",
            hint="lines were changed or taken away: ask for it again where it came from",
        )


@audit_group.command("refusals")
def refusals(
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Not before: 2026-11-01, or 7d.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=PAGE, metavar="N", help="How many at most.")
    ] = 50,
    as_json: Json = False,
) -> int:
    """Who asked at this node's doors for what he may not have, the last first. Kept for 90 days."""
    out = Output.to_stdout(as_json)
    found = plain_daemon().get("/api/audit/refusals", since=since, limit=limit).body
    if out.as_json:
        out.json(found)
        return 0 if found else 1
    if not found:
        return out.nothing("nobody was refused anything")
    rows = [
        (out.when(one["last"]), str(one["times"]), words(one["who"]), words(one["door"]), words(one["code"]),
         words(one["what"]))
        for one in found
    ]  # fmt: skip
    out.table(("last", "times", "who", "door", "why", "asked for"), rows)
    return 0


def _show(out: Output, word: Word) -> None:
    """Who is known by the key of his host: names in a bundle are what that host says."""
    who = f"{words(word.said.name)} of {key_text(word.author)[:12]}…"
    where = ", ".join(words(one) for one in word.said.targets())
    at = datetime.fromtimestamp(wall_ms(word.hlc) / 1000, UTC)
    out.line(f"{word.seq} · {where} · {who} · {out.when(at.isoformat())}")
    out.line(block(word.said.text))


def _tell(out: Output, told: dict[str, Any]) -> None:
    out.line(f"Colony {words(told['colony'])}, as {words(told['node'])} holds it")
    asked = ", ".join(f"{words(name)} {words(value)}" for name, value in told["asked"].items())
    out.line(f"asked for: {asked or 'everything'}{' (sparse)' if told['sparse'] else ''}")
    out.line(
        f"{told['entries']} entries of {told['logs']} logs; what {told['messages']} messages say is proved"
    )
    for why, count in told["left_out"].items():
        out.line(f"  {count} without what they say: {words(why)}")
    if told["beyond_revocation"]:
        out.line(
            f"  {told['beyond_revocation']} above a revocation: who had the stolen key may have said them"
        )
    for problem in told["problems"][:PROBLEMS]:
        out.line(out.style(f"  {words(problem)}", "red"))


@contextlib.contextmanager
def _reading(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    if not Path(file).is_file():
        raise BadInput(f"{file} is no file", code="no_file", hint="`maw audit export --to FILE` writes one")
    with Path(file).open("rb") as opened:
        yield opened
