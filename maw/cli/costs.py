"""What agents cost: by day, with the caps; what may be spent, and a halt that a human ends."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.output import Output, note, size, words
from maw.cli.params import As, Json
from maw.cli.session import owning_daemon, reading_daemon
from maw.core.spending import MICRO, RUNNER_S, TOKENS, UNITS, USD, amount_text, counted, dollars, parse_amount
from maw.errors import BadInput

Record = Mapping[str, Any]
CAP: Final = "cap"
RESUME: Final = "resume"
MAX_DAYS: Final = 400
_HOW: Final = "maw cost cap [AGENT] usd=2.50 tokens=off, maw cost cap --host runner_s=36000"
_COUNTS: Final = (
    "wakes", "pulses", "messages", "bytes", "runs", "unpriced_runs", "untold_runs", "runner_s", "input_tokens",
    "output_tokens", "cache_tokens", "usd",
)  # fmt: skip
COLUMNS: Final = ("day", "agent", "model", *_COUNTS)
_BAR: Final = 20


def cost(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[AGENT|cap|resume]",
            help="One agent, by model; or: cap [AGENT] usd=2.50, resume AGENT.",
            autocompletion=completing.own_agents,
        ),
    ] = None,
    days: Annotated[int, typer.Option("--days", "-d", metavar="N", help="The last N days, of UTC.")] = 7,
    everywhere: Annotated[bool, typer.Option("--all", help="Of all hosts of the Colony.")] = False,
    host: Annotated[bool, typer.Option("--host", help="With cap, resume: this host, not one agent.")] = False,
    colony: Annotated[
        bool, typer.Option("--colony", help="With cap: all agents of the Colony, by an operator's word.")
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="FILE", help="With --colony: the operator key, as `maw freeze` takes it."
        ),
    ] = None,
    clock: Annotated[
        bool,
        typer.Option("--clock", help="With resume: the clock was ahead; count on in the day it says now."),
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="As a table for other programs.")] = False,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """What agents cost, by day, and how their caps stand. `maw cost cap AGENT usd=2.50` sets one, a day; `maw cost
    resume AGENT` lets one go on that has spent it."""
    out = Output.to_stdout(as_json)
    given = list(what or ())
    if colony:
        return _cap_colony(out, given, key, as_name)
    if given[:1] in ([CAP], [RESUME]):
        answer = _change(given[0], given[1:], host, clock, as_name)
        if out.as_json:
            out.json(answer)
        else:
            _caps(out, answer)
        return 0
    if len(given) > 1 or host or clock:
        raise BadInput(
            "what is to be shown?", code="usage", hint=f"maw cost [AGENT], maw cost resume AGENT, {_HOW}"
        )
    if not 1 <= days <= MAX_DAYS:
        raise BadInput(f"--days must be from 1 to {MAX_DAYS}", code="usage")
    name = given[0].removeprefix("@") if given else None
    found = _ask(name, days, everywhere, as_name)
    if csv:
        out.stream.write(as_csv(found["items"]))
        out.stream.flush()
    elif out.as_json:
        out.json(found)
    else:
        return _show(out, found, by_model=name is not None)
    return 0 if found["items"] else 1


def _ask(name: str | None, days: int, everywhere: bool, as_name: str | None) -> Any:
    daemon = reading_daemon(as_name)
    scope = "colony" if everywhere else "host"
    found = daemon.get("/api/costs", agent=name, scope=scope).body
    if days != 7:  # the last day is the daemon's to say: it is not always the one of this clock
        last = date.fromisoformat(found["today"])
        first = (last - timedelta(days=days - 1)).isoformat()
        found = daemon.get("/api/costs", agent=name, scope=scope, since=first, until=last.isoformat()).body
    return found


def _cap_colony(out: Output, given: Sequence[str], key: str | None, as_name: str | None) -> int:
    """A statement for each unit, signed here."""
    asked = [word.partition("=") for word in given[1:]]
    if given[:1] != [CAP] or not asked or not all(mark for _, mark, _ in asked):
        raise BadInput("how much?", code="usage", hint="maw cost cap --colony usd=50/day")
    for unit, _, amount in asked:
        _amount(unit, amount)
    from maw.cli.operator import read_signer, stated  # keys are needed by few commands

    signer = read_signer(key, "operator")
    taken = [stated(CAP, {"unit": unit, "amount": amount}, signer) for unit, _, amount in asked]
    if out.as_json:
        out.json(taken)
        return 0
    for one in taken:
        out.line(f"{words(one.get('about'))} · {words(one.get('id'))}")
    answer = reading_daemon(as_name).get("/api/costs", scope="colony").body
    _warn({**answer, "caps": [cap for cap in answer["caps"] if cap["scope"] == "colony"]})
    note("every host halts its agents by it from when it hears of it; maw cost --all shows how it stands")
    return 0


def _change(verb: str, given: Sequence[str], host: bool, clock: bool, as_name: str | None) -> Any:
    amounts = {}
    who = None
    for word in given:
        unit, mark, amount = word.partition("=")
        if mark:
            amounts[unit] = _amount(unit, amount)
        elif who is not None:
            raise BadInput(f"whom? {who} and {word}", code="usage", hint=_HOW)
        else:
            who = word.removeprefix("@")
    if clock and verb == RESUME and not (given or host):
        return owning_daemon(as_name).post("/api/costs/resume", {"clock": True}).body
    if (who is None) != host or clock:
        raise BadInput(
            "whom? an agent, or --host", code="usage", hint=_HOW if verb == CAP else "maw cost resume AGENT"
        )
    whom = {} if who is None else {"agent": who}
    if verb == RESUME:
        if amounts:
            raise BadInput("resume takes no amount", code="usage", hint=_HOW)
        return owning_daemon(as_name).post("/api/costs/resume", whom).body
    if not amounts:
        raise BadInput("how much?", code="usage", hint=_HOW)
    answer = owning_daemon(as_name).post("/api/costs/cap", {**whom, **amounts}).body
    _warn(answer)
    return answer


def _amount(unit: str, text: str) -> str | int:
    """As the API takes it. Raises BadInput."""
    if unit not in UNITS:
        raise BadInput(
            f"{unit!r} is nothing that is capped", code="usage", hint=f"{', '.join(UNITS)}: {_HOW}"
        )
    try:
        amount = parse_amount(unit, text)
    except ValueError as error:
        raise BadInput(f"{unit}: {text!r} {error}", code="usage", hint=_HOW) from None
    if amount is None:
        return "off"
    return amount if unit == TOKENS else exact(amount, MICRO if unit == USD else 1000)


def exact(amount: int, scale: int) -> str:
    """In units of ``scale``, with all its digits."""
    return f"{amount // scale}.{amount % scale:0{len(str(scale)) - 1}d}"


def _note_unseen(names: Sequence[str]) -> None:
    note(
        f"note: {', '.join(map(words, names))} work in a session of their own, which tells nobody what it spends:"
        " no cap sees that"
    )


def _warn(answer: Record) -> None:
    if answer["unseen"]:
        _note_unseen(answer["unseen"])
    for cap in answer["caps"]:
        if cap["unknown_runs"] and (who := _halted_by(cap, answer)):
            told = "money" if cap["unit"] == USD else "tokens"
            are = "is" if len(who) == 1 else "are"
            note(
                f"note: {', '.join(map(words, who))} {are} halted now, however much is left of the cap:"
                f" {counted(cap['unknown_runs'], 'run')} of today told no {told}, so nobody can say what was"
                f" spent. To go on: maw cost resume {words(who[0]) if len(who) == 1 else 'AGENT'}; [cost]"
                f" unknown_{cap['unit']} in maw.toml says what such a run counts as"
            )


def _halted_by(cap: Record, answer: Record) -> list[str]:
    """Agents of this host that are halted for what a run did not tell, and may be so by this cap."""
    names = [str(one["agent"]) for one in answer["halted"] if "told no" in one["why"]]
    return [name for name in names if cap["scope"] != "agent" or str(cap["of"]).partition("@")[0] == name]


# -- shown ----------------------------------------------------------------------------------------------


def _show(out: Output, found: Record, *, by_model: bool) -> int:
    rows = [_row(line) for line in _gathered(found["items"], by_model=by_model)]
    if rows:
        head = ["day", "agent", "model" if by_model else "", *_HEAD]
        table = [*rows, ["total", "", "", *_cells(found["total"])]]
        if not by_model:
            head, table = [head[0], head[1], *head[3:]], [[row[0], row[1], *row[3:]] for row in table]
        out.table(head, table)
    if found["more"]:
        note("note: there is more than is shown: ask for fewer days")
    if found["caps"] or found["halted"]:
        if rows and out.width is not None:
            out.line()
        _caps(out, found)
    if rows and out.width is not None and not found["caps"] and found["total"]["runs"]:
        note("note: nothing is capped: maw cost cap --host usd=20, maw cost cap AGENT runner_s=3600")
    if not rows:
        return out.nothing("nothing was counted in these days")
    if out.width is not None and (unpriced := found["total"]["unpriced_runs"]):
        note(f"note: {counted(unpriced, 'run')} told no money: what they cost is not in these sums")
    return 0


_HEAD: Final = ("usd", "runs", "runner", "tokens in", "out", "cached", "wakes", "pulses", "messages", "bytes")


def _row(line: Record) -> list[str]:
    return [line["day"], words(line["agent"]), words(line["model"]), *_cells(line)]


def _cells(counts: Record) -> list[str]:
    usd = dollars(round(counts["usd"] * MICRO)) + ("+?" if counts["unpriced_runs"] else "")
    return [
        usd,
        f"{counts['runs']}",
        f"{counts['runner_s']:,.0f} s",
        *(f"{counts[f'{name}_tokens']:,}" for name in ("input", "output", "cache")),
        *(f"{counts[name]:,}" for name in ("wakes", "pulses", "messages")),
        size(counts["bytes"]),
    ]


def _gathered(items: Iterable[Record], *, by_model: bool) -> list[Record]:
    """One line a day and agent, whatever the models."""
    if by_model:
        return list(items)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for line in items:
        key = (line["day"], line["agent"])
        if (sums := found.get(key)) is None:
            found[key] = {**line, "model": None}
        else:
            for name in _COUNTS:
                sums[name] += line[name]
    return list(found.values())


def _caps(out: Output, answer: Record) -> None:
    """On a terminal with a bar for each."""
    rows = []
    for cap in answer["caps"]:
        unit, scale = cap["unit"], {USD: MICRO, TOKENS: 1, RUNNER_S: 1000}[cap["unit"]]
        spent, limit = (amount_text(unit, round(cap[name] * scale)) for name in ("spent", "limit"))
        assumed = f"assumed {amount_text(unit, round(cap['assumed'] * scale))}" if cap["assumed"] else ""
        unknown = f"{counted(cap['unknown_runs'], 'run')} of unknown cost" if cap["unknown_runs"] else ""
        percent = f"{'at least ' if unknown else ''}{cap['percent']} %"
        rows.append(
            [
                f"{words(cap['of'])}",
                f"{spent} of {limit} a day",
                f"{_bar(cap['percent'])} {percent}" if out.width is not None else percent,
                ", ".join(filter(None, (assumed, unknown, f"by {words(cap['source'])}"))),
            ]
        )
    if rows:
        out.table(["cap of", "today", "", ""], rows)
    for one in answer["halted"]:
        out.line(out.style(f"{words(one['agent'])} is {words(one['why'])}", "red"))
    if answer["unseen"] and out.width is not None:
        _note_unseen(answer["unseen"])
    if answer["halted"] and out.width is not None:
        note("to let one go on: maw cost resume AGENT, maw cost resume --host, or a higher cap")


def _bar(percent: int) -> str:
    """In ASCII where the terminal may not have blocks."""
    full = min(_BAR, percent * _BAR // 100)
    encoding = (
        os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or ""
    ).lower()
    on, off = ("█", "░") if "utf" in encoding else ("#", "-")
    return on * full + off * (_BAR - full)


# -- CSV ------------------------------------------------------------------------------------------------


def as_csv(items: Iterable[Record]) -> str:
    """RFC 4180, with a header. A cell that a spreadsheet would take for a formula begins with ' in it."""
    lines = [",".join(_cell(name, line[name]) for name in COLUMNS) for line in items]
    return "".join(f"{line}\r\n" for line in (",".join(COLUMNS), *lines))


def _cell(name: str, value: object) -> str:
    if name == "usd":
        return f"{value:.6f}"
    if name == "runner_s":
        return f"{value:.3f}"
    text = "" if value is None else str(value)
    if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%"):
        text = f"'{text}"
    if any(char in text for char in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text
