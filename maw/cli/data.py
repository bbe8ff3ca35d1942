"""What is on the disk: backup, restore, verify."""

from __future__ import annotations

import os
import pwd
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from maw.cli.output import Output, note, size, words
from maw.cli.params import Json
from maw.cli.progress import Meter
from maw.client.daemon import Daemon
from maw.config import Config, load_config
from maw.core.entry import Position
from maw.core.identity import key_text
from maw.core.message_ids import message_id
from maw.errors import BadConfig, BadInput, MawError, NotRunning, Refused, Unavailable
from maw.home import find_home
from maw.node import backups, rebuilding, restoring
from maw.node.backups import Backup
from maw.node.home import NodeHome, read_key
from maw.store.copying import open_readonly
from maw.store.verifying import Report, verify_database

MAX_SHOWN: Final = 20
MENDED_AT_ONCE: Final = 250
MEND_PATIENCE_S: Final = 90.0

Folder = Annotated[
    Path | None, typer.Option("--to", metavar="DIR", help="Another directory, best on another disk.")
]


def backup(
    to: Folder = None,
    keep: Annotated[
        int | None, typer.Option("--keep", metavar="N", help="How many to keep, beside one a week.")
    ] = None,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="node.key too: such a backup is a secret.")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="Show those there are, newest first.")] = False,
    as_json: Json = False,
) -> int:
    """Copy all that this node needs to come back, while it runs; checked, and old ones let go."""
    out = Output.to_stdout(as_json)
    if keep is not None and keep < 1:
        raise BadInput("--keep: the backup that is made is kept", hint="--keep 1, or more")
    home = own_home()
    config = load_config(home.config)
    folder = to.absolute() if to else config.backup.directory
    if listing:
        return _list(out, folder or home.backups)
    made = _make(home, config, folder, keep, with_key)
    fine = made.report.sound
    if out.as_json:
        out.json({**_plain(made.backup), "removed": list(made.removed), "problems": _problems(made.report)})
    else:
        one = made.backup
        state = out.style("checked", "green") if fine else out.style("DAMAGED", "red")
        out.line(f"{one.path.name}: {one.messages:,} messages, {size(one.bytes)}, {state}")
        out.line(f"  in {one.path.parent}")
        if made.removed:
            out.line(f"  let go: {', '.join(made.removed)}")
        if one.with_key:
            note("it holds node.key: whoever reads it can speak as this node")
        if not fine:
            tell(out, made.report)
            note("the database itself has this damage: `maw verify --repair`. Sound backups are all kept")
    return 0 if fine else Unavailable.exit_code


def _make(
    home: NodeHome, config: Config, folder: Path | None, keep: int | None, with_key: bool
) -> backups.Made:
    meter = Meter()
    try:
        return backups.make_backup(
            home,
            folder,
            name=config.name,
            keep=config.backup.keep if keep is None else keep,
            weeks=config.backup.keep_weeks,
            with_key=with_key,
            reserve=config.limits.min_free_disk_mib << 20,
            progress=meter,
        )
    finally:
        meter.clear()


def _list(out: Output, folder: Path) -> int:
    found, broken = backups.list_backups(folder)
    if out.as_json:
        out.json([_plain(one) for one in found])
    else:
        head = ("made", "messages", "size", "key", "state", "name")
        rows = [
            (
                out.when(one.made_at.isoformat()), f"{one.messages:,}", size(one.bytes),
                "with key" if one.with_key else "no key", "checked" if one.sound else "damaged",
                one.path.name if out.width else str(one.path),
            )
            for one in found
        ]  # fmt: skip
        if rows:
            out.table(head, rows)
            if out.width:
                note(f"in {folder}")
        else:
            note(f"no backups in {folder}: `maw backup` makes one")
    for text in broken:
        note(f"not counted: {words(text)}")
    return 0 if found else 1


def restore(
    path: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `maw backup` made.")],
    force: Annotated[
        bool, typer.Option("--force", help="Move aside what is here, though it can be used.")
    ] = False,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="node.key, where the backup has none.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Put a backup in place: of a broken database, or on a new host. Deletes nothing; the daemon must not run."""
    out = Output.to_stdout(as_json)
    home = own_home()
    meter = Meter()
    try:
        done = restoring.restore(home, path.absolute(), force=force, key=key, progress=meter)
    finally:
        meter.clear()
    if out.as_json:
        out.json(
            {
                "home": str(done.home), "key": key_text(done.key), "messages": done.report.messages,
                "aside": str(done.aside) if done.aside else None, "taken": list(done.taken),
                "kept": list(done.kept), "notes": list(done.notes), "problems": _problems(done.report),
            }
        )  # fmt: skip
        return 0
    out.line(f"{done.report.messages:,} messages are back in {done.home}: {', '.join(done.taken)}")
    if done.kept:
        out.line(f"  as they were: {', '.join(done.kept)}")
    if done.aside:
        out.line(f"  what was here is in {done.aside}")
    for text in done.notes:
        out.line(f"  note: {words(text)}")
    if not done.report.sound:
        tell(out, done.report)
    for text in _next(done):
        out.line(f"next: {text}")
    return 0


def _next(done: restoring.Restored) -> list[str]:
    steps = [
        "start it (`maw up`, or the service): it goes on in a new epoch of its log, and asks its peers for what was"
        " said after the backup, its own words too. Readers' cursors may repeat messages; they skip none"
    ]
    if "node.key" in done.taken:
        steps.append(
            "if the old host still has this key, never start it again: two of one node refuse each other"
        )
    if "maw.toml" in done.taken:
        steps.append("look at [mesh] in maw.toml: are interface and addresses those of this host?")
    return steps


def verify(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[BACKUP]", help="A backup instead of this node's own database."),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Fetch what is damaged from peers; daemon stopped: write it anew."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Compute every hash, chain, signature and count anew, while the daemon runs or not. 6 if any is wrong."""
    out = Output.to_stdout(as_json)
    if repair and path is not None:
        raise BadInput("a backup is not repaired", code="usage", hint="`maw backup` makes another")
    home = own_home()
    if repair and rebuilding.was_cut_short(home):
        return told(out, _rebuilt(home))
    try:
        report = verified(home, path)
    except BadConfig:
        if not repair:
            raise
        report = None  # it cannot even be opened
    if repair and (report is None or not report.sound):
        report = _repaired(home, report)
    assert report is not None
    return told(out, report)


def _repaired(home: NodeHome, report: Report | None) -> Report:
    """Repairs what can be, and checks again. The daemon has entries fetched; without it the file is written anew."""
    daemon = Daemon(home.socket)
    try:
        daemon.get("/healthz", patience=5.0)
        running = True
    except NotRunning:
        running = False
    except MawError:
        running = True  # it answers, if only that it takes nothing
    if not running:
        return _rebuilt(home)
    if report is not None and report.damages:
        _mended(daemon, report)
        report = verified(home, None)
    if report is None or report.structural:
        note("stop the daemon, then `maw verify --repair` again: it writes the file anew")
    return report or Report(wrong=1)


def _mended(daemon: Daemon, report: Report) -> None:
    """Has the daemon mend single entries, from the peers or from what is here."""
    ids = [message_id(Position(one.author, one.epoch, one.seq)) for one in report.damages]
    mended, left = 0, []
    for at in range(0, len(ids), MENDED_AT_ONCE):
        asked = {"ids": ids[at : at + MENDED_AT_ONCE]}
        answer = daemon.post("/api/mend", asked, patience=MEND_PATIENCE_S).body
        mended += answer["mended"]
        left += answer["left"]
    note(f"{mended} entries were mended" + (f", {len(left)} not: {left[0]['why']}" if left else ""))


def _rebuilt(home: NodeHome) -> Report:
    meter = Meter()
    try:
        done = rebuilding.rebuild(home, lambda *far: meter("saving", *far))
    finally:
        meter.clear()
    saved = done.salvaged
    note(
        f"written anew with {saved.entries:,} entries and {saved.messages:,} messages; the old file is in {done.aside}"
    )
    if not saved.entries:
        note(
            "  a backup may have what peers have not: `maw backup --list`, then `maw restore BACKUP --force`"
        )
    for table, rows in saved.torn.items():
        note(f"  of {table} a part could not be read; {rows:,} rows were saved")
    if saved.lost:
        note(
            f"  {len(saved.lost):,} entries are fetched from the peers once the daemon runs (`maw up`, or the service)"
        )
    return done.report


def verified(home: NodeHome, path: Path | None) -> Report:
    """Checks this node's database, or a backup. Raises what stands in the way."""
    meter = Meter()

    def progress(done: int, total: int) -> None:
        meter("checking entries", done, total)

    try:
        if path is None:
            me = read_key(home.key).node
            with closing(open_readonly(home.database)) as conn:
                return verify_database(conn, me=me, progress=progress)
        source = restoring.find_source(path.absolute())
        if source.backup is not None:
            backups.check_files(source.backup, meter)
        with closing(open_readonly(source.database, still=True)) as conn:
            return verify_database(conn, me=source.backup.key if source.backup else None, progress=progress)
    finally:
        meter.clear()


def told(out: Output, report: Report) -> int:
    """The report as the answer; its exit code."""
    if out.as_json:
        out.json(
            {
                "sound": report.sound, "entries": report.entries, "logs": report.logs,
                "messages": report.messages, "statements": report.statements, "unsigned": report.unsigned,
                "wrong": report.wrong, "problems": _problems(report),
            }
        )  # fmt: skip
    else:
        looked = (
            f"{report.entries:,} entries in {report.logs:,} logs, {report.messages:,} messages,"
            f" {report.statements:,} statements"
        )
        state = (
            out.style("all sound", "green") if report.sound else out.style(f"{report.wrong:,} WRONG", "red")
        )
        out.line(f"{looked}: {state}")
        if report.unsigned:
            out.line(f"  {report.unsigned:,} signatures never held; their chains vouch for these entries")
        tell(out, report)
    return 0 if report.sound else Unavailable.exit_code


def tell(out: Output, report: Report) -> None:
    """What is wrong, as a table."""
    if not report.findings:
        return
    rows = [
        (one.what, one.where, "from peers" if one.peers else "anew", one.text)
        for one in report.findings[:MAX_SHOWN]
    ]
    out.table(("what", "where", "mended", "found"), rows)
    if report.wrong > MAX_SHOWN:
        out.line(f"… and {report.wrong - MAX_SHOWN:,} more")


def own_home() -> NodeHome:
    """This host's node, as the Unix user it belongs to: root becomes that user, so that what is made here is the
    service's to read, and nothing the service could plant makes root write elsewhere. Raises Refused for others."""
    found = find_home(os.environ, os.geteuid())
    if not found.path.exists():
        return NodeHome(found.path)
    owner = found.path.stat()
    if owner.st_uid == os.geteuid():
        return NodeHome(found.path)
    if os.geteuid() != 0:
        raise Refused(
            f"{found.path} belongs to another Unix user", code="not_owner", hint="the same with sudo in front"
        )
    _become(owner.st_uid, owner.st_gid)
    return NodeHome(found.path)


def _become(uid: int, gid: int) -> None:
    try:
        os.initgroups(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        os.setgroups([gid])
    os.setgid(gid)
    os.setuid(uid)


def _problems(report: Report) -> list[dict[str, Any]]:
    return [
        {"what": one.what, "where": one.where, "text": one.text, "from_peers": one.peers}
        for one in report.findings
    ]


def _plain(one: Backup) -> dict[str, Any]:
    return {
        "path": str(one.path), "node": one.node, "key": key_text(one.key), "colony": one.colony,
        "made_at": one.made_at.isoformat(), "bytes": one.bytes, "entries": one.entries,
        "messages": one.messages, "with_key": one.with_key, "sound": one.sound,
    }  # fmt: skip
