"""The operators' word: who holds a key, freezes and thaws, revocations. Keys are read here, never by the daemon."""

from __future__ import annotations

import base64
import getpass
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from maw.cli.groups import command_group
from maw.cli.output import Output, note, words
from maw.cli.params import Json, duration
from maw.cli.session import confirm, plain_daemon, refuse_hidden_agent
from maw.client import calls
from maw.errors import BadInput, Conflict
from maw.home import find_home

if TYPE_CHECKING:
    from maw.core.identity import Signer

_WHO_DOES: Final[Mapping[str, str]] = {"freeze": "`maw freeze`", "revoke": "`maw revoke`"}
"""Which command lists the hosts that keep to a statement."""

operator_group = command_group("Who may give orders in this Colony: operator keys.")

Key = Annotated[
    str | None,
    typer.Option("--key", metavar="FILE", help="The operator key. Else $MAW_OPERATOR_KEY, else in the home."),
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for everybody to read.")]
Void = Annotated[
    str | None,
    typer.Option(
        "--stolen",
        metavar="TIME",
        help="For how long it was in wrong hands: 2h. What it ruled since does not stand.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@operator_group.callback(invoke_without_command=True)
def operator(ctx: typer.Context, as_json: Json = False) -> None:
    """Who may give orders in this Colony: operator keys."""
    if ctx.invoked_subcommand is None:
        list_operators(as_json)


@operator_group.command("list")
def list_operators(as_json: Json = False) -> None:
    """Everybody who holds an operator key: what he may do, where, until when, by whose word."""
    out = Output.to_stdout(as_json)
    found = plain_daemon().get("/api/operators").body
    if out.as_json:
        out.json(found)
        return
    head = ["name", "rights", "hosts", "until", "by", "", "key"]
    out.table(head, [_operator_row(out, one) for one in found])


@operator_group.command("new")
def new(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where the new key is to be kept.")],
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for one that protects it.")] = False,
    as_json: Json = False,
) -> None:
    """Make a key for a new operator. It may do nothing until somebody gives it rights: `maw operator add`."""
    out = Output.to_stdout(as_json)
    from maw.core.identity import Signer, key_text  # keys are needed by few commands
    from maw.node.home import write_new
    from maw.node.keptkey import OPERATOR_KEY, kept_key_bytes

    made = Signer(os.urandom(32))
    path = Path(file).expanduser().absolute()
    if path.exists():
        raise Conflict(f"{path} is there already; maw does not overwrite it")
    write_new(path, kept_key_bytes(OPERATOR_KEY, made.seed, _new_passphrase() if passphrase else None))
    if out.as_json:
        out.json({"key": key_text(made.node), "file": str(path)})
        return
    out.line(key_text(made.node))
    note(
        f"kept in {path}; an operator gives it rights: maw operator add NAME {key_text(made.node)} --rights order"
    )


@operator_group.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the new operator is called.")],
    public: Annotated[
        str, typer.Argument(metavar="KEY", help="His public key: `maw operator new` prints it.")
    ],
    rights: Annotated[
        str,
        typer.Option("--rights", metavar="LIST", help="order, freeze, revoke, redact, admit, delegate."),
    ] = "order,freeze",
    until: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="For how long: 30d. Else until dismissed.")
    ] = None,
    hosts: Annotated[
        str | None, typer.Option("--hosts", metavar="LIST", help="Over these hosts alone.")
    ] = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Give somebody the operator's rights, or some of them; never more than you have."""
    asked: dict[str, Any] = {"name": name, "key": public, "rights": rights}
    if until is not None:
        asked["until_ms"] = int((time.time() + duration(until, "--for")) * 1000)
    if hosts is not None:
        asked["hosts"] = hosts
    _say("operator", asked, key, as_json)


@operator_group.command("remove")
def remove(
    who: Annotated[str, typer.Argument(metavar="WHO", help="The operator's name or key.")],
    key: Key = None,
    stolen: Void = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Dismiss an operator: what he ruled so far stands, whatever he says from now on counts for nothing.

    Freezes, revocations and appointments that he signed stay in force. His orders and messages stay where they are
    and are no longer shown as an operator's.
    """
    confirm(f"dismiss the operator {words(who)}?", yes)
    _say("dismiss", {"who": who, **_void(stolen)}, key, as_json)


def _void(stolen: str | None) -> dict[str, int]:
    """The moment since which nothing stands."""
    return (
        {} if stolen is None else {"void_since_ms": int((time.time() - duration(stolen, "--stolen")) * 1000)}
    )


def freeze(
    who: Annotated[
        str | None, typer.Argument(metavar="WHO", help="@agent, a host, #channel, or all. None: list.")
    ] = None,
    why: Why = "",
    listing: Annotated[bool, typer.Option("--list", help="What is frozen, and who keeps to it.")] = False,
    key: Key = None,
    as_json: Json = False,
) -> int | None:
    """Stop an agent, a host, a channel or everybody, on every host, until it is thawed."""
    if who is None or listing:
        return list_statements(("freeze",), "nothing is frozen", as_json)
    asked = {"who": who}
    if why:
        asked["why"] = why
    _say("freeze", asked, key, as_json)
    if who.startswith("#") and not _is_channel(who.lstrip("#")):
        note(
            f"no channel is called {words(who)} here: it is frozen before it is made. Mistyped? maw thaw '{words(who)}'"
        )
    return None


def _is_channel(name: str) -> bool:
    return any(one.get("name") == name.lower() for one in plain_daemon().do(calls.channels()))


def thaw(
    who: Annotated[str, typer.Argument(metavar="WHO", help="What was frozen, as `maw freeze` lists it.")],
    key: Key = None,
    as_json: Json = False,
) -> None:
    """End a freeze. What was held back meanwhile is delivered then."""
    _say("thaw", {"who": who}, key, as_json)


def revoke(
    who: Annotated[
        str | None, typer.Argument(metavar="WHO", help="The node: its name or key. None: list.")
    ] = None,
    why: Why = "",
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="FILE", help="An operator's key. Without it: as the host that invited."
        ),
    ] = None,
    recovery: Annotated[
        str | None, typer.Option("--recovery", metavar="FILE", help="The node's own recovery key instead.")
    ] = None,
    stolen: Void = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int | None:
    """Shut a node's key out for ever, on every host. What it said until now stays; it can never return."""
    if who is None:
        return list_statements(("revoke", "rotate"), "nobody is revoked", as_json)
    asked: dict[str, Any] = {"who": who, **_void(stolen)}
    if why:
        asked["why"] = why
    confirm(f"revoke {words(who)} for everybody? its key can never return", yes)
    file = key or os.environ.get("MAW_OPERATOR_KEY")
    if recovery is not None:
        _say("revoke", asked, recovery, as_json, kind="recovery")
    elif not file:
        out = Output.to_stdout(as_json)
        _told(out, plain_daemon().post("/api/peers/revoke", asked).body)
    else:
        _say("revoke", asked, file, as_json)
    return None


def _say(
    statement: str, asked: Mapping[str, Any], file: str | None, as_json: bool, kind: str = "operator"
) -> None:
    """Draft, sign here, hand in."""
    _told(Output.to_stdout(as_json), stated(statement, asked, read_signer(file, kind)))


def stated(statement: str, asked: Mapping[str, Any], signer: Signer) -> Mapping[str, Any]:
    """Draft, sign here, hand in; the statement as it was taken. Refused when another was drafted than was asked for."""
    import msgpack

    from maw.core.drafted import compare, malformed
    from maw.core.identity import key_text
    from maw.core.statement import sign_statement

    daemon = plain_daemon()
    issuer = key_text(signer.node)
    draft = daemon.post("/api/statements/draft", {"type": statement, "issuer": issuer, **asked}).body
    try:
        fields = msgpack.unpackb(base64.b64decode(draft["fields"]))
        colony, at_ms, drafted = base64.b64decode(draft["colony"]), draft["at_ms"], draft["type"]
    except (KeyError, TypeError, ValueError, msgpack.UnpackException) as error:
        raise malformed(error) from None
    resolved = compare(
        statement, asked, drafted=drafted, colony=colony, at_ms=at_ms, fields=fields,
        now_ms=int(time.time() * 1000),
    )  # fmt: skip
    for line in resolved:
        note(f"signed for {words(line)}")
    signed = sign_statement(signer, statement, colony, at_ms, fields)
    wire = base64.b64encode(signed.wire).decode("ascii")
    taken: Mapping[str, Any] = daemon.post("/api/statements", {"wire": wire}).body
    return taken


def _told(out: Output, statement: Mapping[str, Any]) -> None:
    if out.as_json:
        out.json(statement)
        return
    out.line(f"{words(statement.get('about'))} · {words(statement.get('id'))}")
    shown = _WHO_DOES.get(words(statement.get("type")))
    note("every host keeps to it from when it hears of it" + (f": {shown} shows who does" if shown else ""))


def list_statements(types: tuple[str, ...], none: str, as_json: bool) -> int:
    """Those in force, and who keeps to them; ``none`` says that there are none."""
    out = Output.to_stdout(as_json)
    everything = plain_daemon().get("/api/statements").body
    found = [one for one in everything if one.get("type") in types and one.get("in_force")]
    if out.as_json:
        out.json(found)
        return 0 if found else 1
    if not found:
        note(none)
        return 1
    rows = [
        [
            words(one.get("about")), words(one.get("by")), out.when(one.get("at")),
            ", ".join(map(words, one.get("kept_by") or ())) or "–",
            ", ".join(map(words, one.get("not_yet") or ())) or "–",
            words(one.get("id")),
        ]
        for one in found
    ]  # fmt: skip
    out.table(["what", "by", "at", "kept by", "not yet", "id"], rows)
    return 0


def read_signer(file: str | None, kind: str = "operator") -> Signer:
    """The key in ``file``, else (an operator's) where $MAW_OPERATOR_KEY says, else in the node's home: that one signs
    for its owner, and for no program of an agent that can read it."""
    from maw.node.keptkey import open_kept_key

    if not file and kind == "operator":
        file = os.environ.get("MAW_OPERATOR_KEY")
    if not file:  # an empty variable says as little as none
        home = find_home(os.environ, os.geteuid())
        path = home.path / f"{kind}.key"
        refuse_hidden_agent()
        if not path.is_file():
            raise BadInput(
                f"which {kind} key? there is none in {home.path}",
                code="no_operator_key",
                hint="--key FILE, or MAW_OPERATOR_KEY=FILE in the environment",
            )
    else:
        path = Path(file).expanduser()
    return open_kept_key(path, kind, lambda: _ask(f"passphrase for {path}: "))


def _ask(question: str) -> str:
    if sys.stdin is None or not sys.stdin.isatty():
        raise BadInput(
            "this key is protected by a passphrase, and nobody is here to be asked for it",
            code="no_passphrase",
            hint="run it in a terminal",
        )
    return getpass.getpass(question)


def _new_passphrase() -> str:
    phrase = _ask("passphrase for the new key: ")
    if not phrase:
        raise BadInput("an empty passphrase protects nothing", hint="leave --passphrase out for none")
    if phrase != _ask("once more: "):
        raise BadInput("the two passphrases differ")
    return phrase


def _operator_row(out: Output, one: Mapping[str, Any]) -> list[str]:
    return [
        words(one.get("name")),
        ", ".join(map(words, one.get("rights") or ())),
        ", ".join(map(words, one.get("hosts") or ())) or "all",
        out.when(one.get("until")) if one.get("until") else "–",
        words(one.get("by")),
        "" if one.get("active") else "dismissed or over",
        words(one.get("key")),
    ]
