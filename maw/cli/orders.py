"""Speaking as an operator: `maw operator order` and `say`, and what became of the orders."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.messages import Record, print_receipt, where
from maw.cli.operator import Key, operator_group, read_signer
from maw.cli.output import Output, note, words
from maw.cli.params import As, Json, Limit
from maw.cli.saying import meaning
from maw.cli.session import speaking_daemon
from maw.cli.talk import Intent, message_text
from maw.client.daemon import UnconfirmedReceipt, segment
from maw.core.intents import CHAT
from maw.core.names import check_name, parse_address
from maw.errors import BadInput

_GROUPS: Final = ("@agents", "@apes", "@all")

Whom = Annotated[
    str,
    typer.Argument(
        metavar="@WHO|'#CHANNEL'",
        help="@arthur, @arthur@mbp,@neo, '#general'; @agents, @apes, @all: in #general.",
        autocompletion=completing.recipients,
    ),
]
Text = Annotated[
    list[str] | None, typer.Argument(metavar="TEXT", help="What to say. - reads standard input.")
]


@operator_group.command("order")
def order(
    whom: Annotated[
        str | None,
        typer.Argument(
            metavar="@WHO|'#CHANNEL'|ID",
            help="Whom; or the id of an order: who has seen it, who has obeyed. None: list the orders.",
            autocompletion=completing.recipients,
        ),
    ] = None,
    text: Text = None,
    key: Key = None,
    limit: Limit = 20,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """Give an order, signed with your operator key; or see which hosts have one, who has seen it and who has obeyed."""
    if whom is None:
        return _list(limit, as_name, as_json)
    if text or whom.startswith(("@", "#")):
        _speak(whom, text, key, True, as_name, as_json)
    else:
        _show(whom, as_name, as_json)
    return 0


@operator_group.command("say")
def say(
    whom: Whom,
    text: Text = None,
    intent: Intent = CHAT,
    key: Key = None,
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Say something as an operator: every reader shows that it was you. Nobody is asked whether he obeyed."""
    _speak(whom, text, key, False, as_name, as_json, intent)


def _speak(
    whom: str,
    text: list[str] | None,
    key: str | None,
    is_order: bool,
    as_name: str | None,
    as_json: bool,
    intent: str = CHAT,
) -> None:
    out = Output.to_stdout(as_json)
    meant, message = meaning(intent), message_text(text)
    if whom in _GROUPS:
        whom, message = "#general", f"{whom} {message}"
    where_to = _where(whom)
    signer = read_signer(key)
    daemon = speaking_daemon(as_name)
    draft = daemon.post("/api/orders/draft", where_to).body
    signed, targets = _signed(signer, where_to, draft, message, is_order, intent)
    body: dict[str, Any] = {"text": message, "word": signed, **meant}
    if "to" in where_to:
        path, body = "/api/direct", {**body, "to": targets}
    else:
        path = f"/api/channels/{segment(where_to['channel'])}/messages"
    try:
        receipt = daemon.post_once(path, body).body
    except UnconfirmedReceipt as error:
        if not out.as_json:
            print_receipt(out, error.receipt)
        raise
    for warning in receipt.get("warnings") or ():
        note(f"note: {words(warning)}")
    print_receipt(out, receipt)
    if not is_order or out.as_json:
        return
    if "channel" in where_to and not (receipt.get("message") or {}).get("mentions"):
        note(
            "nobody is mentioned: who reads the channel sees it. @all in the text brings it into every inbox"
        )
    note(f"who has seen it, who has obeyed: maw operator order {words(receipt.get('id'))}")


def _where(whom: str) -> dict[str, Any]:
    if whom.startswith("#"):
        return {"channel": check_name(whom[1:], "channel")}
    if "@" not in whom:
        raise BadInput(
            f"an order goes to an agent or a channel, and {words(whom)} is written as neither",
            code="usage",
            hint=f"@{words(whom)} is an agent, '#{words(whom)}' (in quotes) a channel",
        )
    return {"to": [str(parse_address(one)) for one in whom.split(",")]}


def _signed(
    signer: Any, asked: Mapping[str, Any], draft: Mapping[str, Any], text: str, is_order: bool, intent: str
) -> tuple[str, list[str]]:
    """The word, and where it may stand. Refused when that is not where it was asked to."""
    import msgpack  # signing is rare

    from maw.core.drafted import compare_word, malformed
    from maw.core.heeding import NONCE_BYTES
    from maw.core.identity import NodeId
    from maw.core.word import sign_word

    try:
        colony, author = (base64.b64decode(draft[name]) for name in ("colony", "author"))
        at_ms, drafted = draft["at_ms"], draft["targets"]
    except (KeyError, TypeError, ValueError) as error:
        raise malformed(error) from None
    targets = compare_word(
        asked, colony=colony, author=author, at_ms=at_ms, targets=drafted, now_ms=int(time.time() * 1000)
    )
    nonce = os.urandom(NONCE_BYTES)
    word = sign_word(signer, colony, NodeId(author), at_ms, nonce, is_order, targets, text, intent)
    return base64.b64encode(msgpack.packb(word.content())).decode("ascii"), list(targets)


def _list(limit: int, as_name: str | None, as_json: bool) -> int:
    out = Output.to_stdout(as_json)
    found = speaking_daemon(as_name).get("/api/orders", limit=limit).body
    if out.as_json:
        out.json(found)
    else:
        head = ["seq", "when", "by", "to", "hosts", "waiting", "seen", "obeyed", "declined", "text"]
        out.table(head, [_row(out, one) for one in found])
    return 0 if found else out.nothing("no orders yet: maw operator order @WHO TEXT")


def _row(out: Output, one: Record) -> list[str]:
    message, hosts = one["message"], one["hosts"]
    states = [agent.get("state") for agent in one["agents"]]
    held = sum(host.get("state") == "replicated" for host in hosts)
    counts = [str(states.count(state)) for state in ("waiting", "seen", "obeyed", "declined")]
    return [
        words(message.get("seq")), out.when(message.get("created_at")), words(message.get("operator")),
        where(message), f"{held} of {len(hosts)}", *counts, words(message.get("text")),
    ]  # fmt: skip


def _show(ref: str, as_name: str | None, as_json: bool) -> None:
    out = Output.to_stdout(as_json)
    one = speaking_daemon(as_name).get(f"/api/orders/{segment(ref)}").body
    if out.as_json:
        out.json(one)
        return
    message = one["message"]
    whom = where(message).removeprefix("to ")
    out.line(f"{words(message.get('operator'))} to {whom}, {out.when(message.get('created_at'))}:")
    out.line(f"  {words(message.get('text'))}")
    missing = [words(host.get("host")) for host in one["hosts"] if host.get("state") != "replicated"]
    hosts: Sequence[Record] = one["hosts"]
    out.line(
        f"on {len(hosts) - len(missing)} of {len(hosts)} hosts"
        + (f", not on {', '.join(missing)}" if missing else "")
    )
    rows = [
        [words(agent.get("agent")), words(agent.get("state")), _when(out, agent), words(agent.get("note"))]
        for agent in one["agents"]
    ]
    out.table(["agent", "state", "since", "note"], rows)


def _when(out: Output, agent: Record) -> str:
    return out.when(agent.get("at")) if agent.get("at") else "–"
