"""Agents that begin and end: birth, death. One command each; the same again goes on where it was broken off."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maw.cli.output import Output, note, words
from maw.cli.params import As, Json, Yes
from maw.cli.session import confirm, owning_daemon, plain_daemon, reading_daemon
from maw.core.names import check_name
from maw.errors import BadInput
from maw.home import find_home

if TYPE_CHECKING:
    from maw.agents.birth.engine import Step, Told
    from maw.agents.birth.gcloud import Cloud
    from maw.agents.birth.plan import Machine, Wanted
    from maw.config import Config

Name = Annotated[str, typer.Argument(metavar="NAME", help="The agent.")]
Host = Annotated[
    str | None,
    typer.Option(
        "--host", metavar="HOST", help="Where, as ssh takes it: user@host, or a name of ~/.ssh/config."
    ),
]
Local = Annotated[bool, typer.Option("--local", help="On this host.")]
Provider = Annotated[
    str | None,
    typer.Option("--provider", metavar="gcloud", help="On a virtual machine that this makes first."),
]
Project = Annotated[str | None, typer.Option("--project", metavar="ID", help="Of the provider's.")]
Zone = Annotated[str | None, typer.Option("--zone", metavar="ZONE", help="Of the provider's.")]
Vm = Annotated[str | None, typer.Option("--vm", metavar="NAME", help="The machine; maw-NAME if left out.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show each step, done already or to be done; change nothing.")
]
User = Annotated[str | None, typer.Option("--user", metavar="USER", help="The Unix user it runs as.")]
AsName = Annotated[str | None, typer.Option("--as", metavar="NAME", help="The agent that gives birth.")]


def birth(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The agent.")] = None,
    host: Host = None,
    local: Local = False,
    soul: Annotated[str | None, typer.Option("--soul", metavar="FILE", help="Who it is.")] = None,
    repo: Annotated[
        str | None, typer.Option("--repo", metavar="URL", help="Cloned into repo/ of its home.")
    ] = None,
    about: Annotated[str, typer.Option("--about", metavar="TEXT", help="What it is for, on one line.")] = "",
    user: User = None,
    file: Annotated[
        str | None,
        typer.Option("--with", metavar="FILE", help="A birth file: [birth], else that of maw.toml."),
    ] = None,
    runner: Annotated[str | None, typer.Option("--runner", metavar="COMMAND", help="What thinks.")] = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="N", help="What a new node there is called.")
    ] = None,
    listen: Annotated[str | None, typer.Option("--listen", metavar="A:P", help="Where it listens.")] = None,
    interface: Annotated[
        str | None, typer.Option("--interface", metavar="wg0", help="Or on this one.")
    ] = None,
    every: Annotated[str | None, typer.Option("--every", metavar="TIME", help="How often it pulses.")] = None,
    no_timers: Annotated[bool, typer.Option("--no-timers", help="Nothing wakes it by itself.")] = False,
    provider: Provider = None,
    project: Project = None,
    zone: Zone = None,
    vm: Vm = None,
    machine_type: Annotated[
        str, typer.Option("--machine-type", metavar="TYPE", help="Of the machine.")
    ] = "e2-small",
    dry_run: DryRun = False,
    as_name: AsName = None,
    show: Annotated[bool, typer.Option("--list", help="Births on record here, and how far each is.")] = False,
    as_json: Json = False,
) -> int | None:
    """Bring an agent to life on a host, by one command: what is missing there is put there, what is there stays.

    Broken off anywhere, `maw birth NAME` goes on. A host that runs a node of this Colony gets only the agent.
    """
    from dataclasses import replace  # only who gives birth pays for these

    from maw.agents.birth import plan
    from maw.agents.birth.bearing import Birth
    from maw.agents.birth.engine import Engine
    from maw.agents.birth.journal import births_folder, opened

    out = Output.to_stdout(as_json)
    folder = births_folder(find_home(os.environ, os.geteuid()).path, os.environ)
    if show:
        return _list(out, folder)
    if name is None:
        raise BadInput("who is to be born?", code="usage", hint="maw birth NAME --host HOST, or --local")
    clean = check_name(name)
    with opened(folder, clean, "birth") as journal:
        kept = journal.data.get("wanted")
        machine = _machine(clean, provider, project, zone, vm, machine_type)
        if not (host or local or machine) and kept is None:
            raise BadInput(
                "where? --host HOST, --local, or --provider gcloud",
                code="usage",
                hint="maw birth NAME --local",
            )
        if sum(map(bool, (host, local, machine))) > 1:
            raise BadInput(
                "--host, --local and --provider exclude each other", code="usage", hint="say one of them"
            )
        if host or local or machine:
            wanted = plan.with_config(plan.Wanted(clean, about=about), _birth_config(file))
            wanted = replace(
                wanted, host=host, soul=_soul(soul), repo=repo, user=_user(user, local),
                given=bool(user) or _own(local),
                node=node, listen=listen, interface=interface, every=every, timers=not no_timers, machine=machine,
            )  # fmt: skip
            if runner is not None:
                wanted = replace(wanted, runner=_words(runner))
            wanted = plan.checked(wanted)
        else:
            wanted = plan.read_wanted(kept or {})
            out.line(f"{clean} goes on, {_where(wanted)}") if not as_json else None
        mother = reading_daemon(as_name) if dry_run else owning_daemon(as_name)
        cloud = _cloud(wanted.machine, clean)
        if cloud is not None:
            wanted = replace(wanted, host=cloud.host)
        if not dry_run:
            journal.note(wanted=wanted.as_json(), began=journal.data.get("began") or _now())
        engine = Engine(journal, dry_run, *_progress(out))
        birth = Birth(
            wanted, engine, mother, plain_daemon(), folder / "wheels", _connect, cloud
        )  # fmt: skip
        told = birth.run()
        report = birth.report(told)
        if not dry_run:
            journal.note(state="born", address=report["address"], ended=_now())
    _tell(out, report, f"{words(report['address'] or clean)} is born", f"maw birth {clean}")
    return None


def _list(out: Output, folder: Path) -> int:
    """Each birth that this host has on record, the newest first; exit 1: none."""
    from maw.agents.birth.journal import births

    found = [_listed(one) for one in births(folder)]
    if out.as_json:
        out.json(found)
    elif found:
        rows = [[one["name"], words(one["address"] or one["host"] or "this host"), words(one["by"] or "by hand"),
                 one["state"], words(one["said"])] for one in found]  # fmt: skip
        out.table(["name", "where", "by", "state", "last"], rows)
    return 0 if found else out.nothing("no births on record here")


def _listed(one: dict[str, Any]) -> dict[str, Any]:
    steps = one.get("steps") or {}
    last = max(steps, key=lambda step: float(steps[step]["at"]), default="")
    state = "born" if one.get("state") == "born" else f"at {last}" if last else "begun"
    return {
        "name": one["name"], "host": (one.get("wanted") or {}).get("host"), "address": one.get("address"),
        "by": one.get("by"), "state": state, "said": str(steps[last]["said"]) if last else "",
    }  # fmt: skip


def death(
    name: Name,
    host: Host = None,
    archive: Annotated[
        str | None, typer.Option("--archive", metavar="FILE", help="Where its home is kept, on this host.")
    ] = None,
    user: User = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Said in its goodbye.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also with unread mail, or work that is nowhere else.")
    ] = False,
    delete_user: Annotated[
        bool,
        typer.Option(
            "--delete-user", help="The Unix user that its birth made ends too, and all that is his."
        ),
    ] = False,
    node: Annotated[
        bool, typer.Option("--node", help="The node there ends too: nobody else lives on it.")
    ] = False,
    delete_vm: Annotated[
        bool, typer.Option("--delete-vm", help="And the virtual machine its birth made.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """End an agent: goodbye, its home kept in an archive here, timers, token and membership ended. A terminal is asked
    first. What it said stays."""
    from maw.agents.birth.dying import Death, Ending
    from maw.agents.birth.engine import Engine
    from maw.agents.birth.journal import births_folder, opened
    from maw.agents.birth.plan import read_wanted

    out = Output.to_stdout(as_json)
    clean = check_name(name)
    if not dry_run:
        owning_daemon(as_name)  # somebody says who ends it
    folder = births_folder(find_home(os.environ, os.geteuid()).path, os.environ)
    with opened(folder, clean, "birth") as born:
        wanted = read_wanted(born.data["wanted"]) if born.data.get("wanted") else None
    with opened(folder, clean, "death") as journal:
        kept = journal.data.get("asked") or {}
        host = host or kept.get("host") or (wanted.host if wanted else None)
        cloud = _cloud(wanted.machine if wanted else None, clean) or _kept_cloud(kept.get("machine"), clean)
        if delete_vm and cloud is None:
            raise BadInput(
                f"no birth on record here made a machine for {clean}",
                code="no_machine",
                hint="leave --delete-vm out",
            )
        ending = Ending(
            clean, host, user or kept.get("user"), force, Path(archive).absolute() if archive else None,
            delete_user, node, delete_vm, why=why,
        )  # fmt: skip
        if not dry_run:
            confirm(f"end {clean} on {host or 'this host'}? Its home is kept in an archive.", yes or force)
            machine = None if cloud is None else _plain(cloud.machine)
            journal.note(asked={"host": host, "user": ending.user, "machine": machine})
        engine = Engine(journal, dry_run, *_progress(out))
        ends = Death(ending, engine, plain_daemon(), folder, sys.executable, _connect, cloud)
        report = ends.report(ends.run())
        if not dry_run:
            journal.note(state="ended", ended=_now())
    _tell(out, report, f"{words(report['address'] or clean)} has ended", f"maw death {clean}")
    if report["archive"] and not as_json and not dry_run:
        note(f"its home: {report['archive']}")


def _tell(out: Output, report: dict[str, Any], done: str, again: str) -> None:
    if out.as_json:
        out.json(report)
        return
    for one in report["notes"]:
        note(f"note: {words(one)}")
    if report["state"] == "planned":
        left = sum(one["state"] == "to do" for one in report["steps"])
        out.line(
            f"{left} steps to do; nothing was changed. Without --dry-run: {again}"
            if left
            else "nothing is to be done"
        )
        return
    out.line(f"{done} · {report['seconds']:.1f} s")


def _progress(out: Output) -> tuple[Any, Any]:
    """Called before and after each step; what is under way stands on a terminal until it is done."""
    live = out.width is not None and not out.as_json

    def begins(step: Step) -> None:
        if live:
            out.stream.write(f"{out.style('…', 'dim')}  {step.name.ljust(9)} {step.what}")
            out.stream.flush()

    def told(one: Told) -> None:
        if out.as_json:
            return
        if live:
            out.stream.write("\r\x1b[K")
        colour = {"failed": "red", "to do": "yellow", "already": "dim"}.get(one.state, "green")
        seconds = f"{one.seconds:6.1f} s"
        out.line(f"{out.style(one.state.ljust(7), colour)} {seconds}  {one.name.ljust(9)} {words(one.said)}")

    return begins, told


def _connect(host: str) -> Any:
    from maw.agents.birth.far import Ssh

    return Ssh(host)


def _cloud(machine: Machine | None, agent: str) -> Cloud | None:
    if machine is None:
        return None
    from maw.agents.birth.gcloud import Cloud

    return Cloud(machine, agent)


def _kept_cloud(kept: dict[str, Any] | None, agent: str) -> Cloud | None:
    if kept is None:
        return None
    from maw.agents.birth.plan import Machine

    return _cloud(Machine(**kept), agent)


def _plain(machine: Machine) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(machine)


def _machine(
    agent: str, provider: str | None, project: str | None, zone: str | None, vm: str | None, kind: str
) -> Machine | None:
    if provider is None:
        if project or zone or vm:
            raise BadInput(
                "--project, --zone and --vm are a provider's", code="usage", hint="--provider gcloud"
            )
        return None
    if provider != "gcloud":
        raise BadInput(f"--provider: {provider[:20]!r} is unknown", hint="gcloud; any other machine: --host")
    if not project or not zone:
        raise BadInput(
            "--provider gcloud: in which --project, and which --zone?",
            code="usage",
            hint="gcloud config list",
        )
    from maw.agents.birth.plan import Machine

    return Machine(project, zone, vm or f"maw-{agent}".replace("_", "-"), kind)


def _birth_config(file: str | None) -> Any:
    from maw.agents.birth.plan import read_birth_file

    if file is not None:
        return read_birth_file(Path(file))
    return _config().birth


def _config() -> Config:
    from maw.config import load_config
    from maw.config.settings import Config

    path = find_home(os.environ, os.geteuid()).path / "maw.toml"
    return load_config(path) if os.access(path, os.R_OK) else Config(path, "")


def _soul(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise BadInput(f"--soul: {file}: {why}", code="no_file") from None


def _own(local: bool) -> bool:
    """Whether it is to run as whoever runs this: on this host, who is not root has no other user to give it."""
    return local and os.geteuid() != 0


def _user(user: str | None, local: bool) -> str:
    if user is None and _own(local):
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    return user or ""


def _words(command: str) -> tuple[str, ...]:
    import shlex

    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise BadInput(f"--runner: {error}", hint='quoted as for a shell: --runner "claude -p"') from None


def _where(wanted: Wanted) -> str:
    return "on this host" if wanted.host is None else f"on {wanted.host}"


def _now() -> float:
    import time

    return time.time()
