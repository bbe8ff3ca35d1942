"""Routes for what agents cost: runs are told, and what days came to is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from maw.api.backend import Json
from maw.api.fields import Field
from maw.api.kinds import Choice, Flag, Line, Whole
from maw.api.replies import reply
from maw.api.routes import Access, Call, Route, body, query
from maw.core.spending import (
    KINDS,
    MAX_CAP_S,
    MAX_CAP_USD,
    MAX_COUNT,
    MAX_MODEL,
    MAX_RUN_S,
    MAX_RUN_TOKENS,
    MAX_RUN_USD,
    RUNNER_S,
    TOKENS,
    USD,
    Run,
    micros,
    millis,
    parse_day,
)

MAX_RUN_ID: Final = 128


@dataclass(frozen=True, slots=True)
class Amount:
    """Dollars or seconds, exact to the millionth or thousandth, and rounded up to it: a number or its text."""

    unit: str
    high: int

    def from_text(self, text: str) -> int:
        return self.from_json(text)

    def from_json(self, value: object) -> int:
        return micros(value, self.high) if self.unit == "dollars" else millis(value, self.high)

    def schema(self) -> Json:
        return {"type": "number", "minimum": 0, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Day:
    """A day of UTC; read as days since 1970."""

    def from_text(self, text: str) -> int:
        return parse_day(text)

    def from_json(self, value: object) -> int:
        return parse_day(value if isinstance(value, str) else "")

    def schema(self) -> Json:
        return {"type": "string", "format": "date", "examples": ["2026-11-22"]}


async def take_run(call: Call) -> web.StreamResponse:
    args = call.args
    run = Run(
        args["run"], args["kind"], args["runner_s"], args["model"] or "", args["input_tokens"],
        args["output_tokens"], args["cache_tokens"], args["usd"],
    )  # fmt: skip
    return reply(await call.backend.take_run(call.speaker, run), headers=call.api.headers)


async def costs(call: Call) -> web.StreamResponse:
    args = call.args
    told = await call.backend.costs(
        call.speaker,
        agent=args["agent"],
        since=args["since"],
        until=args["until"],
        colony=args["scope"] == "colony",
    )
    return reply(told, headers=call.api.headers)


async def resume(call: Call) -> web.StreamResponse:
    told = await call.backend.resume_costs(call.speaker, call.args["agent"], clock=call.args["clock"])
    return reply(told, headers=call.api.headers)


async def cap(call: Call) -> web.StreamResponse:
    args = dict(call.args)
    agent = args.pop("agent")
    amounts = {unit: None if amount < 0 else amount for unit, amount in args.items() if amount is not None}
    return reply(await call.backend.cap_costs(call.speaker, agent, amounts), headers=call.api.headers)


@dataclass(frozen=True, slots=True)
class ADay:
    """What may be spent a day in ``unit``, or ``off``, which is read as -1."""

    unit: str

    def from_text(self, text: str) -> int:
        return self.from_json(text)

    def from_json(self, value: object) -> int:
        if value == "off":
            return -1
        if self.unit == TOKENS:
            return Whole(0, MAX_COUNT).from_json(value)
        return micros(value, MAX_CAP_USD) if self.unit == USD else millis(value, MAX_CAP_S)

    def schema(self) -> Json:
        amount = {"type": "integer" if self.unit == TOKENS else "number", "minimum": 0}
        return {"oneOf": [amount, {"type": "string", "enum": ["off"]}]}


_TOKENS: Final = Whole(0, MAX_RUN_TOKENS)

ROUTES: Final = (
    Route(
        "POST",
        "/api/costs",
        take_run,
        Access.AGENT,
        "a run of the speaking agent ended: counted once for its id, on the disk when this is answered",
        "RunTaken",
        body=body(
            Field(
                "run",
                Line(MAX_RUN_ID),
                "the run's own id: who tells it again has it counted once",
                required=True,
            ),
            Field("kind", Choice(KINDS), "what the run was", default="other"),
            Field(
                "runner_s",
                Amount("seconds", MAX_RUN_S),
                "how long the runner ran; 0: it did not",
                required=True,
            ),
            Field("model", Line(MAX_MODEL), "as the runner calls it"),
            Field("input_tokens", _TOKENS, "left out, as those below: the runner did not tell"),
            Field("output_tokens", _TOKENS, "what the model wrote"),
            Field("cache_tokens", _TOKENS, "read from and written to the provider's cache"),
            Field("usd", Amount("dollars", MAX_RUN_USD), "what the runner says that it cost"),
        ),
    ),
    Route(
        "GET",
        "/api/costs",
        costs,
        Access.KNOWN,
        "what agents cost, by day of UTC, the newest first: this host's, or the whole Colony's",
        "Costs",
        query=query(
            Field("agent", Line(), "of one agent: its name, or name@host with scope=colony"),
            Field("since", Day(), "the first day; six days before the last if left out"),
            Field("until", Day(), "the last day; today if left out"),
            Field("scope", Choice(("host", "colony")), "whose agents", default="host"),
        ),
    ),
    Route(
        "POST",
        "/api/costs/resume",
        resume,
        Access.ADMIN,
        "what an agent of this host, or the host, may spend today begins anew; never by an agent",
        "Caps",
        body=body(
            Field("agent", Line(), "whom; this host if left out"),
            Field(
                "clock",
                Flag(),
                "instead: the day of account is the clock's again, which was ahead",
                default=False,
            ),
        ),
    ),
    Route(
        "POST",
        "/api/costs/cap",
        cap,
        Access.ADMIN,
        "what an agent of this host, or the host, may spend a day, beside what maw.toml says; never by an agent",
        "Caps",
        body=body(
            Field("agent", Line(), "whom; this host if left out"),
            Field(USD, ADay(USD), "dollars, or off"),
            Field(TOKENS, ADay(TOKENS), "tokens of all sorts, or off"),
            Field(RUNNER_S, ADay(RUNNER_S), "seconds of runners, or off"),
        ),
    ),
)
