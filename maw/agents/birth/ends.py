"""The acts of a death on the host where the agent lived. Each looks first; ``dry``: it only looks."""

from __future__ import annotations

import hashlib
import os
import pwd
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from maw.agents.birth.acts import COMMENT, Asked, Told, bus, done, home_of, to_do
from maw.agents.birth.site import Person, Site, need, need_person
from maw.client import calls
from maw.client.daemon import segment
from maw.core.names import check_name
from maw.errors import MawError, NotFound, Refused

SHOWN: Final = 5
MAX_FILES: Final = 200_000


def look(site: Site, asked: Asked) -> Told:
    """What there is to end, and what would be lost: ``agent`` (address, unread), ``home``, ``work`` that is nowhere
    else, ``user`` that a birth made."""
    name = check_name(asked["agent"])
    users = site.daemon().do(calls.users())
    there = next((one for one in users if one.get("local") and one.get("username") == name), None)
    person = _person(site, asked, there)
    folder = home_of(person, name) if person is not None else None
    has_home = folder is not None and site.run(["test", "-e", str(folder)], as_user=person).ok
    work = _unsaved(site, person, folder) if person and folder and has_home else []
    return done(
        "looked", address=there["address"] if there else None, unread=int(there.get("unread") or 0) if there else 0,
        user=person.name if person else None, made_user=bool(person and person.comment == f"{COMMENT} {name}"),
        home=str(folder) if has_home else None, work=work,
        timers=[unit for unit in _units(name) if _is_there(site, unit)],
    )  # fmt: skip


def _person(site: Site, asked: Asked, agent: dict[str, Any] | None) -> Person | None:
    """Whose it is: the user that is said, else the agent's by its uid, else the one that a birth made for it."""
    if asked.get("user"):
        return site.person(asked["user"])
    if agent is not None and agent.get("uid") is not None:
        try:
            return site.person(pwd.getpwuid(agent["uid"]).pw_name)
        except KeyError:
            return None
    found = site.person(asked.get("likely") or asked["agent"])
    return found if found is not None and found.comment == f"{COMMENT} {asked['agent']}" else None


def _unsaved(site: Site, person: Person, folder: Path) -> list[str]:
    """Work in the clones of its home that is in no other place, in words."""
    found: list[str] = []
    for clone in (folder / "repo", folder):
        git = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", str(clone)]
        if not site.run(["test", "-e", str(clone / ".git")], as_user=person).ok:
            continue
        for words, what in (
            (("status", "--porcelain"), "not committed"),
            (("stash", "list"), "in the stash"),
            (("log", "--branches", "--not", "--remotes", "--format=%h %s"), "not pushed anywhere"),
        ):
            if clone == folder and what == "not pushed anywhere" and not _has_remote(site, person, git):
                continue  # a home that is kept in git alone: all of it is in the archive
            ran = site.run([*git, *words], as_user=person, cwd=Path("/"))
            lines = ran.out.splitlines() if ran.ok else [f"git says: {ran.words[:200]}"]
            if lines:
                shown = "; ".join(line.strip() for line in lines[:SHOWN])
                found.append(f"{clone}: {len(lines)} {what}: {shown}{' …' if len(lines) > SHOWN else ''}")
    return found


def _has_remote(site: Site, person: Person, git: list[str]) -> bool:
    return bool(site.run([*git, "remote"], as_user=person, cwd=Path("/")).out.strip())


def _units(name: str) -> list[str]:
    return [f"maw-pulse@{name}.timer", f"maw-dream@{name}.timer"]


def _is_there(site: Site, unit: str) -> bool:
    words = ["--user"] if site.euid != 0 else []
    return site.run(["systemctl", *words, "is-enabled", "--quiet", unit], more=bus(site)).ok


def quiet(site: Site, asked: Asked) -> Told:
    """No pulse and no dream any more; one that is under way is ended."""
    name = check_name(asked["agent"])
    there = [unit.partition("@")[0].removeprefix("maw-") for unit in _units(name) if _is_there(site, unit)]
    if not there:
        return done("no timers")
    if asked.get("dry"):
        return to_do(f"end its {' and '.join(there)}")
    words = [word for kind in there for word in (f"--{kind}", name)]
    need(
        site.run([site.command, "service", "remove", *words], more=bus(site)), "the timers", "service_failed"
    )
    return to_do(f"its {' and '.join(there)} ended")


def goodbye(site: Site, asked: Asked) -> Told:
    """``text`` in ``channel``, once."""
    name, channel = check_name(asked["agent"]), asked["channel"]
    try:
        speaker = site.daemon(name)
        sent = speaker.get("/api/sent", limit=50).body
    except (NotFound, Refused) as error:
        if isinstance(error, Refused):
            return done(f"it may not speak: {error.message}")
        return done("there is no such agent any more")
    if any(one.get("text") == asked["text"] for one in sent):
        return done(f"said in #{channel}")
    if asked.get("dry"):
        return to_do(f"it says goodbye in #{channel}")
    try:
        speaker.post_once(f"/api/channels/{segment(channel)}/messages", {"text": asked["text"]})
    except MawError as error:  # frozen, halted: it ends all the same
        return done(f"it could not say goodbye: {error.message}")
    return to_do(f"said in #{channel}")


def archive(site: Site, asked: Asked) -> Told:
    """The home as a tar on standard output, read with no more rights than its user has; ``files``: each with its hash.
    Refused: something in it cannot be read, and would be lost."""
    person = need_person(site, asked["user"])
    root = person.home if asked.get("whole") else home_of(person, asked["agent"])
    if site.euid == 0:
        os.setgroups(os.getgrouplist(person.name, person.gid))
        os.setgid(person.gid)
        os.setuid(person.uid)
    if not root.is_dir() or root.is_symlink():
        raise NotFound(f"there is no home in {root}", code="no_agent_home")
    files: dict[str, str] = {}
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|gz", format=tarfile.PAX_FORMAT) as packed:
        try:
            for path in _walk(root):
                entry: tarfile.TarInfo | None = packed.gettarinfo(
                    str(path), str(path.relative_to(root.parent))
                )
                if entry is None:
                    continue  # a socket
                if entry.isreg():
                    with path.open("rb") as data:
                        counted = _Counted(data)
                        packed.addfile(entry, counted)
                    files[entry.name] = counted.hash.hexdigest()
                else:
                    packed.addfile(entry)
                    files[entry.name] = ""
        except OSError as error:
            raise Refused(
                f"{error.filename}: {error.strerror}: it would be lost",
                code="cannot_read",
                hint="mend or remove it there",
            ) from None
    sys.stdout.buffer.flush()
    return to_do(f"{len(files)} files", files=files)


class _Counted:
    def __init__(self, data: IO[bytes]) -> None:
        self._data = data
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._data.read(size)
        self.hash.update(piece)
        return piece


def _walk(root: Path) -> Iterator[Path]:
    """All below, the folder itself first; links are not followed. Raises OSError; Refused: too much."""
    yield root
    count = 0

    def failed(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(root, onerror=failed):
        folders.sort()
        for name in sorted([*names, *folders]):
            count += 1
            if count > MAX_FILES:
                raise Refused(
                    f"{root} holds more than {MAX_FILES} files",
                    code="too_many_files",
                    hint="clean it up there",
                )
            yield Path(folder) / name


def gone(site: Site, asked: Asked) -> Told:
    """Its token, mailbox and membership end."""
    name = check_name(asked["agent"])
    users = site.daemon().do(calls.users())
    if not any(one.get("local") and one.get("username") == name for one in users):
        return done("there is no such agent any more")
    if asked.get("dry"):
        return to_do(f"end {name}, its token and its mailbox")
    site.daemon().delete(f"/api/users/{segment(name)}")
    return to_do("ended, with its token and mailbox")


def erase(site: Site, asked: Asked) -> Told:
    """The home; with ``whole``, the Unix user that a birth made, and all that is his."""
    person = site.person(asked["user"])
    if person is None:
        return done("there is no such Unix user any more")
    folder = home_of(person, asked["agent"])
    if asked.get("whole"):
        if person.comment != f"{COMMENT} {asked['agent']}" or person.uid == 0:
            raise Refused(
                f"no birth has made {person.name}", code="user_exists", hint="leave --delete-user out"
            )
        if asked.get("dry"):
            return to_do(f"remove the Unix user {person.name}, and {person.home}")
        site.run(["loginctl", "terminate-user", person.name])
        site.run(["pkill", "-KILL", "-u", str(person.uid)])  # 1: there was none
        need(site.run(["userdel", "--remove", "--", person.name]), f"userdel {person.name}", "no_user")
        return to_do(f"the Unix user {person.name} is gone, with {person.home}")
    # aside at once and whole: half a home that is left by a kill must not pass for one
    aside = folder.with_name(f".{folder.name}.ended")
    there = [one for one in (folder, aside) if site.run(["test", "-e", str(one)], as_user=person).ok]
    if not there:
        return done("there is no home any more")
    if asked.get("dry"):
        return to_do(f"remove {folder}; the Unix user {person.name} stays")
    away = ["rm", "-rf", "--", str(aside)]
    for command in (away, ["mv", "-T", "--", str(folder), str(aside)], away) if folder in there else (away,):
        need(
            site.run(command, as_user=person, cwd=Path("/")),
            f"{command[0]} {folder}",
            "cannot_write",
        )
    return to_do(f"removed {folder}; the Unix user {person.name} stays")


def node_off(site: Site, asked: Asked) -> Told:
    """The node's service; its directory stays. Refused while other agents live there."""
    others = [one["username"] for one in site.daemon().do(calls.users())
              if one.get("local") and one.get("role") == "agent"] if _runs(site) else []  # fmt: skip
    if others:
        raise Refused(
            f"{', '.join(others[:SHOWN])} live on that node too",
            code="not_alone",
            hint="leave --node out, or end them first",
        )
    if not (site.node_home / "maw.toml").is_file() or not _runs(site):
        return done("the node does not run")
    if asked.get("dry"):
        return to_do("maw service remove")
    ran = site.run([site.command, "service", "remove"], more={"MAW_HOME": str(site.node_home)})
    need(ran, "maw service remove", "service_failed")
    return to_do(f"stopped; what it held is still in {site.node_home}")


def _runs(site: Site) -> bool:
    try:
        return site.daemon().is_open()
    except MawError:
        return False
