"""``maw``: from the words of a command line to an exit code. A command's module is imported when it is used.

Commands are plain functions that return an exit code (None is 0) and raise MawErrors; this is the edge where
those, and everything else that can go wrong, become one line on standard error and the right number.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, cast

import typer
from typer.core import TyperGroup

from maw import __version__
from maw.cli.groups import KnownGroup, command_group
from maw.cli.params import Json
from maw.core.text import shown
from maw.errors import Ambiguous, BadInput, InternalError, MawError

COMMANDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "Talk": {
            "send": "maw.cli.talk:send",
            "post": "maw.cli.talk:post",
            "inbox": "maw.cli.listen:inbox",
            "ack": "maw.cli.listen:ack",
            "wait": "maw.cli.listen:wait",
            "mentions": "maw.cli.listen:mentions",
            "read": "maw.cli.listen:read",
            "files": "maw.cli.files:files",
            "fetch": "maw.cli.files:fetch",
            "sent": "maw.cli.talk:sent",
            "search": "maw.cli.search:search",
            "edit": "maw.cli.conversing:edit",
            "asks": "maw.cli.conversing:asks",
            "trace": "maw.cli.tracing:trace",
            "tail": "maw.cli.tail:tail",
            "redact": "maw.cli.redact:redact",
        },
        "Host": {
            "init": "maw.cli.host:init",
            "up": "maw.cli.host:up",
            "keep": "maw.cli.keep:keep",
            "service": "maw.cli.service:service_group",
            "status": "maw.cli.overview:status",
            "page": "maw.cli.page:page",
            "host": "maw.cli.machine:host_group",
            "alerts": "maw.cli.alerts:alerts",
            "doctor": "maw.cli.doctor:doctor",
            "demo": "maw.cli.demo:demo",
        },
        "Trust": {
            "invite": "maw.cli.invites:invite",
            "join": "maw.cli.trust:join",
            "peers": "maw.cli.peers:peers_group",
            "key": "maw.cli.trust:key_group",
            "revoke": "maw.cli.operator:revoke",
            "operator": "maw.cli.orders:operator_group",
            "freeze": "maw.cli.operator:freeze",
            "thaw": "maw.cli.operator:thaw",
        },
        "Who": {
            "whoami": "maw.cli.who:whoami",
            "agent": "maw.cli.sessions:agent_group",
            "wakes": "maw.cli.wakes:wakes",
            "dnd": "maw.cli.wakes:dnd",
            "cost": "maw.cli.costs:cost",
            "channel": "maw.cli.channels:channel_group",
        },
        "Life": {
            "pulse": "maw.cli.life:pulse",
            "team": "maw.cli.team:team_group",
            "dream": "maw.cli.dream:dream",
            "move": "maw.cli.move:move_group",
            "soul": "maw.cli.souls:soul_group",
            "policy": "maw.cli.policy:policy_group",
            "birth": "maw.cli.births:birth",
            "death": "maw.cli.births:death",
        },
        "Data": {
            "audit": "maw.cli.audit:audit_group",
            "backup": "maw.cli.data:backup",
            "restore": "maw.cli.data:restore",
            "verify": "maw.cli.data:verify",
        },
        "Glue": {
            "hook": "maw.cli.hook:hook_group",
            "mcp": "maw.cli.mcp:mcp",
            "help": "maw.cli.helping:help_",
        },
    }
)
"""Every command that works, by the heading it stands under in --help, and where it is."""

_WHERE: Final = {name: where for group in COMMANDS.values() for name, where in group.items()}

OLD_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {"hey": "send", "ls": "status", "wake": "send", "peek": "tail", "serve": "up", "start": "up", "run": "up"}
)
"""Words of the old JavaScript maw, and of other programs, and what to say now."""

_KEEPER: Final = "systemctl (--user) {0} maw, or pm2 {0} maw"
ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "stop": f"where `maw up` runs, Ctrl-C; a service: {_KEEPER.format('stop')}",
        "down": f"where `maw up` runs, Ctrl-C; a service: {_KEEPER.format('stop')}",
        "restart": f"where `maw up` runs, Ctrl-C and `maw up` again; a service: {_KEEPER.format('restart')}",
        "log": "journalctl -u maw (or --user -u maw), or pm2 logs maw",
        "logs": "journalctl -u maw (or --user -u maw), or pm2 logs maw",
        "config": "the settings are maw.toml in the node's directory, which `maw status` names",
        "upgrade": "install the new version over the old, then restart the service",
        "update": "install the new version over the old, then restart the service",
    }
)
"""What other programs have a command for, and maw does not."""

TO_COME: Final[Mapping[str, str]] = MappingProxyType({})
"""Words that are kept for what comes, with what does it until then."""

_EXTRA: Final = re.compile(r"unexpected extra argument(?:s|\(s\))? \(([\w-]+)")
STDOUT_FD: Final = 1
INTERRUPTED: Final = 128 + signal.SIGINT

# Where these two stand differs between versions of typer; above BadParameter they stand in all of them.
_USAGE_ERROR: Final[type[Exception]] = cast(type[Exception], typer.BadParameter.__mro__[1])


class LazyGroup(KnownGroup):
    """The commands of COMMANDS, each imported when it is asked for."""

    aliases = OLD_WORDS
    to_come = TO_COME
    elsewhere = ELSEWHERE

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_WHERE)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        where = _WHERE.get(cmd_name)
        return None if where is None else _load(cmd_name, where)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for heading, group in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [(name, self.get_command(ctx, name).get_short_help_str(90)) for name in group]
                )
        from maw.cli.helping import TOPICS  # only who asks for help pays for it

        with formatter.section("Topics, for `maw help TOPIC`"):
            formatter.write_dl(list(TOPICS.items()))


def command_line(with_completion: bool = False) -> TyperGroup:
    """The whole command line. ``with_completion`` adds --install-completion and --show-completion."""
    app = typer.Typer(
        cls=LazyGroup,
        add_completion=with_completion,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_root)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Never raises, never shows a traceback unless MAW_DEBUG=1."""
    args = _to_the_command(list(sys.argv[1:] if argv is None else argv))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if "_MAW_COMPLETE" in os.environ:
        command_line(with_completion=True).main(args, prog_name="maw")
        return 0
    try:
        code = _run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our answer has seen enough. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT_FD)
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # the last supervisor: whatever it is, the user gets a sentence and a number
        return told(error, as_json=_wants_json(args))


def told(error: Exception, *, as_json: bool) -> int:
    """Tell what ended a command; the exit code. To be called where ``error`` is being handled."""
    _debug()
    return _report(error if isinstance(error, MawError) else _bug(error), as_json)


def _run(args: list[str]) -> int:
    wants_completion = any(arg in ("-h", "--help") or arg.endswith("-completion") for arg in args[:1])
    group = command_line(with_completion=wants_completion)
    context: Any = None
    try:
        with group.make_context("maw", args) as context:
            result = group.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except typer.Abort:
        return INTERRUPTED
    except _USAGE_ERROR as error:
        raise _usage(error, group, args) from None
    return result if isinstance(result, int) else 0


def _root(
    ctx: typer.Context,
    as_json: Json = False,
    version: Annotated[bool, typer.Option("--version", help="Say which maw this is.")] = False,
) -> int | None:
    """Messages between agents on many machines. Alone, `maw` shows how things are and what to do next."""
    if version:
        print(f"maw {__version__}")
        raise typer.Exit(0)
    if ctx.invoked_subcommand is not None:
        return None
    from maw.cli.overview import overview  # only when nothing else is asked for

    return overview(as_json)


def _load(name: str, where: str) -> Any:
    """The command or group at ``module:attribute``."""
    module, _, attribute = where.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    app = found if isinstance(found, typer.Typer) else command_group()
    if app is not found:
        app.command(name)(found)
    command: Any = typer.main.get_command(app)
    command.name = name
    return command


def _usage(error: Any, group: Any, args: Sequence[str]) -> BadInput:
    """typer's complaint about the command line, in maw's words."""
    message = str(error.format_message()).strip().rstrip(".")
    path = error.ctx.command_path if getattr(error, "ctx", None) else _named(group, args)
    hint = f"`{path} --help` shows how"
    if (option := _meant(error)) is not None:
        hint = f"did you mean `{path} {option}`?"
    if getattr(error, "option_name", None):
        hint += "; words that begin with - go after --"
    if "CHANNEL" in message and message.startswith("Missing"):
        hint += "; to a shell # begins a comment: write general, or '#general' in quotes"
    return BadInput(shown(message[:1].lower() + message[1:]), code="usage", hint=hint)


def _named(group: Any, args: Sequence[str]) -> str:
    """The command that these words begin with, where typer does not say which one it complains of."""
    path, command = ["maw"], group
    for word in args:
        command = command.get_command(None, word) if hasattr(command, "get_command") else None
        if command is None:
            break
        path.append(word)
    return " ".join(path)


def _meant(error: Any) -> str | None:
    """The option that an argument too many is the name of: ``maw backup list``."""
    found = _EXTRA.search(str(error.format_message()))
    context = getattr(error, "ctx", None)
    if found is None or context is None:
        return None
    wanted = f"--{found[1]}"
    return wanted if any(wanted in param.opts for param in context.command.params) else None


def _to_the_command(args: list[str]) -> list[str]:
    """``maw --json peers`` means ``maw peers --json``, and so with ``--as NAME``: people write both. ``maw help
    send`` is ``maw send --help``."""
    moved: list[str] = []
    if args == ["version"]:
        return ["--version"]
    if args[:1] == ["help"] and (not args[1:] or args[1] in _WHERE):
        return [*args[1:], "--help"]
    while args[:1] == ["--json"] or args[:1] == ["--as"]:
        width = 1 if args[0] == "--json" else 2
        moved, args = [*moved, *args[:width]], args[width:]
    if not args:
        return moved
    end = args.index("--") if "--" in args else len(args)
    return [*args[:end], *moved, *args[end:]]


def _wants_json(args: list[str]) -> bool:
    return "--json" in (args[: args.index("--")] if "--" in args else args)


def _report(error: MawError, as_json: bool) -> int:
    """Tell the error: JSON on standard output for who asked for it, else for people on standard error."""
    if as_json:
        print(json.dumps(error.as_json(), separators=(",", ":")))
        return error.exit_code
    lines = [f"maw: {shown(error.message)}"]
    others = ", ".join(map(shown, error.candidates))
    if others and not any(one in error.hint for one in error.candidates):
        lines.append(
            f"  which one? {others}" if isinstance(error, Ambiguous) else f"  did you mean {others}?"
        )
    lines += [f"  {line}" for line in shown(error.hint).splitlines()]
    print("\n".join(lines), file=sys.stderr)
    return error.exit_code


def _bug(error: Exception) -> InternalError:
    return InternalError(
        f"a fault inside maw: {type(error).__name__}: {error}",
        code="internal",
        hint="please report it, with what MAW_DEBUG=1 shows when you run the same again",
    )


def _debug() -> None:
    if os.environ.get("MAW_DEBUG") == "1":
        import traceback  # a few milliseconds that only a fault costs

        traceback.print_exc()


if __name__ == "__main__":
    sys.exit(main())
