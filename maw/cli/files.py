"""Files that go with messages: sent along, listed, and written out."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer

from maw.cli import completing
from maw.cli.output import Output, note, words
from maw.cli.params import As, Json
from maw.cli.session import reading_daemon
from maw.client import files as transfer
from maw.client.daemon import Daemon, segment
from maw.core.filenames import safe_name, size_words
from maw.core.text import shown
from maw.errors import BadInput, NotFound, Unavailable

Id = Annotated[
    str,
    typer.Argument(metavar="ID", help="A message: its id, or number.", autocompletion=completing.messages),
]
TOLD_AFTER_S: Final = 1.0
MOST: Final = 8


def uploaded(daemon: Daemon, paths: Sequence[str], name: str | None) -> list[dict[str, str]]:
    """What a request says of these files, once each is on the daemon's disk. ``-``: standard input, called ``name``."""
    if len(paths) > MOST:
        raise BadInput(
            f"a message takes at most {MOST} files", hint="pack them (tar czf), or send two messages"
        )
    if name is not None and len(paths) != 1:
        raise BadInput("--name is for one file", hint="one --attach, or none of --name")
    done = []
    for path in paths:
        if path == "-":
            if name is None:
                raise BadInput("standard input has no name", hint="--attach - --name log.txt")
            told = _from_stdin(daemon, name)
        else:
            told = transfer.attach_path(daemon, Path(path), name)
        done.append({"hash": told["hash"], "name": told["name"]})
    return done


def _from_stdin(daemon: Daemon, name: str) -> dict[str, Any]:
    """By way of a file without a name: how long it is must be known before it is sent."""
    with tempfile.TemporaryFile() as spool:
        while data := sys.stdin.buffer.read(transfer.PIECE):
            spool.write(data)
        size = spool.tell()
        spool.seek(0)
        return transfer.attach(daemon, spool, size, name)


def default_text(paths: Sequence[str], name: str | None) -> list[str]:
    """What is said of files by who says nothing."""
    return [", ".join(safe_name(name or Path(path).name) for path in paths)]


def files(ref: Id, as_name: As = None, as_json: Json = False) -> int:
    """The files of a message, and where each is. Exit 1 when it has none."""
    out = Output.to_stdout(as_json)
    found = reading_daemon(as_name).get(f"/api/messages/{segment(ref)}/files").body
    if out.as_json:
        out.json(found)
    else:
        rows = [[str(one["n"]), words(one["name"]), size_words(one["size"]), _where(one)] for one in found]
        out.table(["n", "name", "size", "where"], rows)
    return 0 if found else out.nothing("no files go with that message")


def _where(one: Mapping[str, Any]) -> str:
    if one["state"] == "here":
        return "here"
    return f"on {words(one['holder'])}" + ("" if one["linked"] else ", which is not linked")


def fetch(
    ref: Id,
    number: Annotated[int | None, typer.Argument(metavar="N", help="Only this one of its files.")] = None,
    to: Annotated[
        str, typer.Option("--to", metavar="DIR|FILE", help="Where to; of one file - is standard output.")
    ] = ".",
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until a host that has it is linked.")] = False,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """Write the files of a message here, fetched from the host that has them. Exit 1 when it has none."""
    out = Output.to_stdout(as_json)
    daemon = reading_daemon(as_name)
    found = daemon.get(f"/api/messages/{segment(ref)}/files").body
    wanted = [one for one in found if number in (None, one["n"])]
    if number is not None and not wanted:
        raise NotFound(f"that message has no file {number}", hint=f"maw files {shown(ref)}", code="no_file")
    if not wanted:
        return out.nothing("no files go with that message")
    if to == "-":
        return _to_stdout(daemon, ref, wanted, wait)
    places = _places(Path(to), wanted)
    written = []
    for one, place in zip(wanted, places, strict=True):
        size = _fetched(daemon, ref, one["n"], place, wait, force)
        written.append({"n": one["n"], "path": str(place), "size": size})
        if not out.as_json:
            out.line(f"{shown(str(place))} · {size_words(size)}")
    if out.as_json:
        out.json(written)
    return 0


def _places(to: Path, wanted: Sequence[Mapping[str, Any]]) -> list[Path]:
    """One for each; those of one name with their numbers before it."""
    if len(wanted) == 1 and not to.is_dir():
        return [to]
    if not to.is_dir():
        raise BadInput(f"{to} is no directory", hint="several files need one: mkdir it first")
    names = [safe_name(one["name"]) for one in wanted]
    return [
        to / (name if names.count(name) == 1 else f"{one['n']}-{name}")
        for one, name in zip(wanted, names, strict=True)
    ]


def _fetched(daemon: Daemon, ref: str, n: int, place: Path, wait: bool, force: bool) -> int:
    """A copy that turns out damaged between the two is fetched once more."""
    for last in (False, True):
        transfer.fetch(daemon, ref, n, wait=wait, told=_Teller())
        try:
            return transfer.save(daemon, ref, n, place, force=force)
        except Unavailable as error:
            if last or error.code not in ("file_damaged", "file_not_here"):
                raise
    raise AssertionError("the second is the last")


def _to_stdout(daemon: Daemon, ref: str, wanted: Sequence[Mapping[str, Any]], wait: bool) -> int:
    if len(wanted) != 1:
        raise BadInput("standard output takes one file", hint="say which: maw fetch ID N --to -")
    transfer.fetch(daemon, ref, wanted[0]["n"], wait=wait, told=_Teller())
    stream: BinaryIO = sys.stdout.buffer
    for data in transfer.content(daemon, ref, wanted[0]["n"]):
        stream.write(data)
    stream.flush()
    return 0


class _Teller:
    """Tells a person how far it is, once it takes longer than a moment."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._last = ""

    def __call__(self, one: dict[str, Any]) -> None:
        if one["state"] == "here" or time.monotonic() - self._begun < TOLD_AFTER_S / 2:
            return
        name, whole = words(one["name"]), size_words(one["size"])
        if one["state"] == "coming":
            text = f"{name}: {size_words(one['fetched'])} of {whole} from {words(one['through'])}"
        elif one["state"] == "looking":
            text = f"{name}: waits for its turn"
        else:
            text = f"{name}: waiting for {words(one['holder'])}, which has it"
        if text != self._last:
            self._last = text
            note(text)
