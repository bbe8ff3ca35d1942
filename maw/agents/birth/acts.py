"""The acts of a birth on the host where the agent is to live. Each looks first; ``dry``: it only looks."""

from __future__ import annotations

import grp
import hashlib
import json
import os
import shlex
import time
from pathlib import Path
from typing import Any, Final

from maw.agents.birth.site import Person, Site, need, need_person, refuse_root
from maw.agents.life import durable
from maw.agents.life.home import AGENT_TOML, RUNNER, agents_folder, write_home
from maw.client import calls
from maw.client.daemon import segment
from maw.core.names import check_name
from maw.errors import Conflict, MawError, NotRunning, Refused, Unavailable
from maw.ops.machine import Ran
from maw.ops.systemd import USER as DAEMON_USER

NODE_MADE: Final = ".node-made"
UP_S: Final = 40.0
LINKED_S: Final = 60.0
INSTALL_S: Final = 900.0
PULSE_S: Final = 420.0
COMMENT: Final = "maw agent"
Asked = dict[str, Any]
Told = dict[str, Any]


def done(said: str, **more: Any) -> Told:
    return {"done": True, "said": said, **more}


def to_do(said: str, **more: Any) -> Told:
    """In a dry run: what would be done; else what was."""
    return {"done": False, "said": said, **more}


# -- the node -----------------------------------------------------------------------------------------


def node(site: Site, asked: Asked) -> Told:
    """A node of the whole host. ``name``; ``listen`` or ``interface``, where either is wanted."""
    home, name = site.node_home, check_name(asked["name"], "node")
    if (home / "maw.toml").is_file():
        return done(f"there is one in {home}")
    where = [f"--{key}={asked[key]}" for key in ("listen", "interface") if asked.get(key)]
    said = f"{name} in {site.system}, {' '.join(where) or 'where maw init finds room'}"
    if asked.get("dry"):
        return to_do(said)
    site.marks.mkdir(exist_ok=True)
    durable.write(
        site.marks / NODE_MADE, name.encode()
    )  # before it is: a birth that goes on may join with it
    ran = site.run([site.command, "init", "--name", name, *where], more={"MAW_HOME": str(site.system)})
    need(ran, "maw init", "init_failed")
    return to_do(said)


def service(site: Site, asked: Asked) -> Told:
    home = site.node_home
    if _answers(site):
        return done("its daemon answers")
    if asked.get("dry"):
        return to_do("maw service install")
    ran = site.run([site.command, "service", "install"], more={"MAW_HOME": str(home)})
    need(ran, "maw service install", "service_failed", "journalctl -u maw, on that host")
    deadline = time.monotonic() + UP_S
    while not _answers(site):
        if time.monotonic() > deadline:
            raise Unavailable(
                f"its daemon did not answer within {UP_S:g} s",
                code="service_failed",
                hint="journalctl -u maw, on that host",
            )
        time.sleep(0.2)
    return to_do("it runs, and will at every boot")


def _answers(site: Site) -> bool:
    try:
        return site.daemon().is_open()
    except MawError:
        return False


def status(site: Site, asked: Asked) -> Told:
    """What the node there is: ``colony``, ``key``, ``node``, whether a birth made it (``ours``)."""
    told = site.daemon().get("/api/status").body
    ours = (site.marks / NODE_MADE).is_file()
    return done(
        f"{told['name']}, {told['version']}", colony=told["colony"], key=told["key"], node=told["name"], ours=ours,
        links=told["links_up"],
    )  # fmt: skip


def join(site: Site, asked: Asked) -> Told:
    """``line``: the invite."""
    joined = site.daemon().post("/api/join", {"line": asked["line"]}, patience=120).body
    return to_do(f"{joined['state']} with {joined['peer']['name']}")


def linked(site: Site, asked: Asked) -> Told:
    """Until this node has a link with the one whose key is ``key``."""
    deadline = time.monotonic() + LINKED_S
    while True:
        peers = site.daemon().get("/api/peers").body
        if any(one.get("key") == asked["key"] and one.get("state") == "linked" for one in peers):
            return done("linked")
        if time.monotonic() > deadline or asked.get("dry"):
            states = ", ".join(f"{one.get('name')} {one.get('state')}" for one in peers) or "it knows no peer"
            raise Unavailable(
                f"the two nodes have no link yet: {states}", code="not_linked",
                hint="can either dial the other (WireGuard, firewall, [mesh] advertise)? `maw doctor` on both",
            )  # fmt: skip
        time.sleep(0.25)


# -- the agent's user and home ------------------------------------------------------------------------


def user(site: Site, asked: Asked) -> Told:
    """The Unix user ``user``; ``given``: it is the owner's wish that an existing one be taken."""
    name = asked["user"]
    found = site.person(name)
    made = f"{COMMENT} {asked['agent']}"
    if found is not None:
        refuse_root(found)
        if found.name == DAEMON_USER:
            raise Refused(
                f"{name} is the daemon's user", code="daemons_user", hint="--user NAME: another one"
            )
        if found.comment != made and not asked.get("given"):
            raise Conflict(
                f"there is a Unix user {name} that no birth of {asked['agent']} made", code="user_exists",
                hint=f"--user {name}, if it is to be that one; else --user with another name",
            )  # fmt: skip
        if site.euid != 0 or _in_group(site, found):
            return done(f"{name}, uid {found.uid}")
    if asked.get("dry"):
        return to_do(f"useradd {name}" if found is None else f"{name} comes into the socket's group")
    if found is None:
        ran = site.run(["useradd", "--create-home", "--shell", "/bin/bash", "--comment", made, "--", name])
        need(ran, f"useradd {name}", "no_user")
        found = need_person(site, name)
    _into_group(site, found)
    return to_do(f"{name}, uid {found.uid}")


def _socket_group(site: Site) -> str | None:
    """The group that opens the node's socket; None where there is none to come into. Refused: it administers."""
    if site.euid != 0:
        return None
    from maw.config import load_config

    home = site.node_home
    config = load_config(home / "maw.toml")
    if config.socket.group is not None and config.socket.users is None:
        raise Refused(
            f"who is in the group {config.socket.group} administers that node, and no other group opens its socket",
            code="no_group",
            hint='in maw.toml there, under [socket]: users = "agents" (and groupadd agents)',
        )
    gid = os.stat(home / "maw.sock").st_gid  # noqa: PTH116
    return None if gid == 0 else grp.getgrgid(gid).gr_name


def _in_group(site: Site, person: Person) -> bool:
    group = _socket_group(site)
    return group is None or grp.getgrnam(group).gr_gid in os.getgrouplist(person.name, person.gid)


def _into_group(site: Site, person: Person) -> None:
    group = _socket_group(site)
    if group is not None and not _in_group(site, person):
        need(
            site.run(["usermod", "-aG", group, person.name]), f"usermod -aG {group} {person.name}", "no_group"
        )


def home_of(person: Person, agent: str) -> Path:
    return agents_folder({"HOME": str(person.home)}) / check_name(agent)


def home(site: Site, asked: Asked) -> Told:
    """The agent's home, written by its own user. ``soul``, ``tasks``, ``runner``."""
    person = need_person(site, asked["user"]) if not asked.get("dry") else site.person(asked["user"])
    if person is None:
        return to_do(f"~{asked['user']}/agents/{asked['agent']}")
    folder = home_of(person, asked["agent"])
    if (folder / AGENT_TOML).is_file() and (folder / "memory" / "log.md").is_file():
        return done(str(folder), home=str(folder))
    if asked.get("dry"):
        return to_do(str(folder), home=str(folder))
    _by(site, person, {**asked, "do": "write-home", "folder": str(folder)})
    return to_do(str(folder), home=str(folder))


def write_own_home(_: Site, asked: Asked) -> Told:
    """As the agent's user."""
    write_home(
        Path(asked["folder"]), asked["agent"], soul=asked.get("soul"), tasks=asked.get("tasks"),
        runner=asked.get("runner") or RUNNER, watch_channels=asked.get("watch") or (),
    )  # fmt: skip
    return to_do(asked["folder"])


def _by(site: Site, person: Person, asked: Asked) -> Told:
    """Another act, as that user. Raises what it raised."""
    command = [site.python, "-I", "-m", "maw.agents.birth.there"]
    ran = site.run(command, as_user=person, data=json.dumps(asked).encode() + b"\n", timeout=60)
    need(
        ran,
        f"as {person.name}",
        "cannot_write",
        "may that user read the maw there? it must not lie in a closed folder",
    )
    told: Told = json.loads(ran.out.splitlines()[-1])
    if "error" in told:
        error = told["error"]
        raise Unavailable(error["message"], code=error["code"], hint=error["hint"])
    return told


def repo(site: Site, asked: Asked) -> Told:
    """``url`` cloned into ``repo/`` of the home, by its user; whole or not at all."""
    person = site.person(asked["user"]) if asked.get("dry") else need_person(site, asked["user"])
    if person is None:
        return to_do(asked["url"])
    target = home_of(person, asked["agent"]) / "repo"
    git = ["git", "-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null"]
    more = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new",
    }
    found = site.run([*git, "-C", str(target), "remote", "get-url", "origin"], as_user=person, cwd=Path("/"))
    if found.ok:
        if found.out.strip() != asked["url"]:
            raise Conflict(
                f"{target} is a clone of {found.out.strip()}",
                code="other_repo",
                hint="move it aside, or leave --repo out",
            )
        return done(str(target))
    if asked.get("dry"):
        return to_do(f"{asked['url']} in {target}")
    part = target.with_name("repo.part")
    site.run(["rm", "-rf", "--", str(part)], as_user=person, cwd=Path("/"))
    ran = site.run(
        [*git, "clone", "--", asked["url"], str(part)], as_user=person, more=more, timeout=INSTALL_S
    )
    need(
        ran, f"git clone {asked['url']}", "clone_failed",
        f"may {person.name} there read it? A deploy key in ~{person.name}/.ssh, then give birth again",
    )  # fmt: skip
    need(site.run(["mv", "-T", "--", str(part), str(target)], as_user=person), f"mv {part}", "clone_failed")
    return to_do(str(target))


# -- its runner ---------------------------------------------------------------------------------------


def install(site: Site, asked: Asked) -> Told:
    """Each line of ``lines`` once, by a shell of the agent's user, in its home. What is done is noted there."""
    person = site.person(asked["user"]) if asked.get("dry") else need_person(site, asked["user"])
    lines: list[str] = asked["lines"]
    if person is None:
        return to_do(f"{len(lines)} steps")
    folder = home_of(person, asked["agent"])
    noted = folder / ".maw" / "installed"
    has = set(noted.read_text(encoding="utf-8").split()) if noted.is_file() else set()
    marks = [hashlib.sha256(line.encode()).hexdigest() for line in lines]
    left = [(line, mark) for line, mark in zip(lines, marks, strict=True) if mark not in has]
    if not left:
        return done(f"{len(lines)} steps")
    if asked.get("dry"):
        return to_do("; ".join(line for line, _ in left))
    began = time.monotonic()
    for line, mark in left:
        ran = site.run(["/bin/sh", "-lc", line], as_user=person, cwd=folder, timeout=INSTALL_S)
        need(
            ran,
            f"`{line}`, as {person.name}",
            "install_failed",
            "mend it there, or in [birth] install, and give birth again",
        )
        command = ["/bin/sh", "-c", 'printf "%s\\n" "$2" >>"$1" && sync "$1"', "sh", str(noted), mark]
        need(site.run(command, as_user=person), str(noted), "cannot_write")
    return to_do(f"{len(left)} of {len(lines)} steps, {time.monotonic() - began:.1f} s")


def login(site: Site, asked: Asked) -> Told:
    """Whether ``check`` ends well for the agent's user. What is to be done if not is a human's."""
    person = site.person(asked["user"])
    if person is None:
        return to_do(f"`{asked['check']}`")
    folder = home_of(person, asked["agent"])
    ran = site.run(
        ["/bin/sh", "-lc", asked["check"]],
        as_user=person,
        cwd=folder if folder.is_dir() else None,
        timeout=60,
    )
    said = " ".join((ran.err.strip() or ran.out.strip()).split())[-200:]
    if ran.ok:
        return done("the runner is logged in")
    return to_do(f"`{asked['check']}` says {said or ran.code}", needs=f"sudo -iu {shlex.quote(person.name)}")


# -- the agent ----------------------------------------------------------------------------------------


def agent(site: Site, asked: Asked) -> Told:
    """The agent of that name, of that user, with a token that lies in its home alone. ``born``, ``about``."""
    name = check_name(asked["agent"])
    person = site.person(asked["user"])
    try:
        there = _known(site, name)
    except NotRunning:
        if asked.get("dry"):
            return to_do(name)
        raise
    if there is not None and (person is None or there.get("uid") not in (None, person.uid)):
        raise Conflict(
            f"there is an agent {name} on that host already, of uid {there.get('uid')}", code="agent_exists",
            hint="another name; or --user with the user whose agent it is",
        )  # fmt: skip
    if asked.get("dry") or person is None:
        return done(there["address"]) if there else to_do(name)
    token = home_of(person, name) / ".maw" / "token"
    kept = site.run(["test", "-s", str(token)], as_user=person).ok
    if there is not None and kept:
        return done(there["address"], address=there["address"])
    if there is None:
        body = {
            "username": name,
            "uid": person.uid,
            "born": asked.get("born"),
            "about": asked.get("about") or "",
        }
        made = site.daemon(asked.get("speaker")).post("/api/users", body).body
        secret, address = made["token"], made["address"]
    else:
        secret = site.daemon().post(f"/api/users/{segment(name)}/token", {}).body["token"]
        address = there["address"]
    _by(site, person, {"do": "keep-token", "path": str(token), "token": secret})
    return to_do(address, address=address)


def _known(site: Site, name: str) -> dict[str, Any] | None:
    """The agent of that host that is called so."""
    users = site.daemon().do(calls.users())
    return next((one for one in users if one.get("local") and one.get("username") == name), None)


def keep_token(_: Site, asked: Asked) -> Told:
    """As the agent's user."""
    durable.write(Path(asked["path"]), asked["token"].encode() + b"\n", 0o600)
    return to_do(asked["path"])


def timers(site: Site, asked: Asked) -> Told:
    """Its pulse and its dream."""
    name = check_name(asked["agent"])
    units = [f"maw-pulse@{name}.timer", f"maw-dream@{name}.timer"]
    words = ["--user"] if site.euid != 0 else []
    if all(
        site.run(["systemctl", *words, "is-enabled", "--quiet", unit], more=bus(site)).ok for unit in units
    ):
        return done("a pulse and a dream")
    if asked.get("dry"):
        return to_do(" and ".join(units))
    command = [site.command, "service", "install", "--pulse", name, "--dream", name]
    if site.euid == 0:
        command += ["--user", asked["user"]]
    if asked.get("every"):
        command += ["--every", asked["every"]]
    need(site.run(command, more=bus(site)), "the timers", "service_failed")
    return to_do("a pulse and a dream")


def bus(site: Site) -> dict[str, str]:
    """What a user's own systemd is found by."""
    return {name: site.environment[name] for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
            if name in site.environment}  # fmt: skip


def hello(site: Site, asked: Asked) -> Told:
    """The first pulse, which introduces it in ``channel``; done when a post of its stands there."""
    name, channel = check_name(asked["agent"]), asked["channel"]
    if asked.get("dry") and not _is_there(site, name):
        return to_do(f"it introduces itself in #{channel}")
    if (said := _introduced(site, name, channel)) is not None:
        return done(f"#{channel}: {said}", text=said)
    if asked.get("dry"):
        return to_do(f"it introduces itself in #{channel}")
    ran = _pulse(site, need_person(site, asked["user"]), name)
    if (said := _introduced(site, name, channel)) is not None:
        return to_do(f"#{channel}: {said}", text=said)
    need(ran, "the first pulse", "pulse_failed", "mend the runner and give birth again: it goes on there")
    told = " ".join(ran.out.split())[-300:]
    raise Unavailable(
        f"the first pulse said nothing in #{channel}: {told}", code="no_introduction",
        hint=f"memory/log.md in its home has what the runner answered; by hand: maw send --as {name} '#{channel}' …",
    )  # fmt: skip


def _is_there(site: Site, name: str) -> bool:
    """False also while there is no node: a dry run has made neither."""
    try:
        return _known(site, name) is not None
    except NotRunning:
        return False


def _pulse(site: Site, person: Person, name: str) -> Ran:
    """One pulse, once the one that its timer may have begun is over. It tries the runner also right after a failure."""
    folder = home_of(person, name)
    command = [site.command, "pulse", name, "--dir", str(folder), "--now", "--json"]
    deadline = time.monotonic() + PULSE_S
    while True:
        ran = site.run(command, as_user=person, cwd=folder, timeout=PULSE_S)
        if '"outcome":"running"' not in ran.out or time.monotonic() > deadline:
            return ran
        time.sleep(0.5)


def _introduced(site: Site, name: str, channel: str) -> str | None:
    """What it said there last."""
    found = site.daemon(name).get("/api/sent", limit=200).body
    return next((str(one["text"])[:200] for one in found if one.get("channel") == channel), None)
