"""Checks of the daemon that runs, or does not."""

from __future__ import annotations

from typing import Final

from maw.ops.checks.context import Context, Finding, Verdict

_SOON_DAYS: Final = 3


def answering(context: Context) -> Finding:
    """A daemon answers on the socket, and takes messages."""
    name = "daemon"
    if context.status is None:
        if not context.home.exists():
            return Finding(name, Verdict.SKIP, "there is no node here yet")
        text = context.socket_problem or f"no daemon answers on {context.socket}"
        if "ermission" in context.socket_problem:
            return Finding(name, Verdict.FAIL, text, "join the socket's group: sudo usermod -aG maw $USER")
        return Finding(name, Verdict.FAIL, text, "maw up runs it here; maw service install keeps it running")
    state = str(context.status.get("state", "running"))
    if state != "running":
        return Finding(name, Verdict.WARN, f"it answers, and is {state}", "maw status says why")
    return Finding(name, Verdict.OK, f"it answers, process {context.status.get('pid')}")


def same_version(context: Context) -> Finding:
    """The daemon is the version that is installed."""
    name = "version"
    if context.status is None:
        return Finding(name, Verdict.SKIP, f"maw {context.version}; no daemon answers")
    running = context.status.get("version")
    if running != context.version:
        text = f"the daemon is maw {running}, the command maw {context.version}"
        return Finding(
            name, Verdict.WARN, text, "restart the daemon: systemctl restart maw, or as it was started"
        )
    return Finding(name, Verdict.OK, f"maw {context.version}")


def alerts(context: Context) -> Finding:
    """What the daemon itself has to say."""
    name = "alerts"
    if context.status is None:
        return Finding(name, Verdict.SKIP, "no daemon answers")
    raised = list(context.status.get("alerts") or ())
    if not raised:
        return Finding(name, Verdict.OK, "none")
    more = f" (and {len(raised) - 1} more)" if len(raised) > 1 else ""
    return Finding(name, Verdict.WARN, f"{raised[0].get('text')}{more}", "maw status shows them")


def kept(context: Context) -> Finding:
    """Whether somebody brings the agents of the roster back."""
    name = "keeper"
    if context.status is None:
        return Finding(name, Verdict.SKIP, "no daemon answers")
    left = list(context.status.get("without_keeper") or ())
    if not left:
        return Finding(name, Verdict.OK, "nobody is in the roster whom no keeper keeps")
    text = "; ".join(f"uid {one['uid']}: {', '.join(one['agents'][:5])}" for one in left)
    return Finding(
        name,
        Verdict.WARN,
        f"no keeper runs, nobody would bring these agents back: {text}",
        "maw service install (sudo maw service install --keep USER for the whole host), or `maw keep` by hand",
    )


def room_for_agents(context: Context) -> Finding:
    """Memory for the agents that run here, and what the giver of this host allows."""
    name = "room for agents"
    host = (context.status or {}).get("host")
    if not host:
        return Finding(name, Verdict.SKIP, "no daemon answers")
    if host.get("paused"):
        text = f"this host is paused: {host['paused']}; no agent runs"
        return Finding(name, Verdict.WARN, text, "maw host resume")
    refused = host.get("refused") or {}
    if refused:
        text = "; ".join(f"{agent} does not run: {why}" for agent, why in sorted(refused.items()))
        return Finding(
            name, Verdict.WARN, text, "[host] in maw.toml says what is allowed; `maw host` shows it"
        )
    available, more = host.get("memory_available_bytes"), host.get("more_fit")
    if available is None:
        return Finding(name, Verdict.SKIP, "this system does not say how much memory is left")
    text = f"{available >> 20} MiB of memory are left, {more} more agents fit"
    if not more:
        return Finding(name, Verdict.WARN, text, "`maw host` shows who takes how much")
    if host.get("days_left") is not None and host["days_left"] < _SOON_DAYS:
        text = f"{text}; they grow, and it lasts for {host['days_left']:g} days"
        return Finding(
            name, Verdict.WARN, text, "`maw host` shows who grows; `maw agent respawn` begins it anew"
        )
    return Finding(name, Verdict.OK, text)
