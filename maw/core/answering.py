"""What a runner printed, and whether that is an answer: text, or the JSON of ``claude -p --output-format json``.

Such a program says that it failed in more than one place: by its exit code, by ``is_error`` beside ``"subtype":
"success"``, or by a sentence on standard output and exit code 0. All three are looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MISSING: Final = "missing"
"""There is no such program, or it may not be run."""
FAILED: Final = "failed"
LIMITED: Final = "limited"
"""Whoever serves the model wants to be asked later."""
SIGNED_OUT: Final = "signed_out"
"""A human has to sign in."""
HUNG: Final = "hung"
TOO_LONG: Final = "too_long"
"""It printed more than anybody reads."""
SILENT: Final = "silent"
"""It ended well and printed nothing."""
GARBAGE: Final = "garbage"
"""What it printed is no text."""

WORDS: Final = 200
_LIMITED: Final = re.compile(
    r"rate.?limit|usage limit|limit reached|hit your\b.{0,30}\blimit|too many requests|overloaded|\b429\b|\b529\b"
    r"|quota exceeded|exceeded your .{0,20}quota|insufficient_quota",
    re.IGNORECASE,
)
_SIGNED_OUT: Final = re.compile(
    r"/login\b|not logged in|invalid (?:x-)?api.?key|authentication_error|oauth token (?:has )?(?:expired|revoked)"
    r"|credit balance is too low|\b401\b.{0,40}(?:unauthori[sz]ed|authentication)",
    re.IGNORECASE,
)
_SAYS_ERROR: Final = re.compile(r"(?:API Error\b|Error: |Claude AI usage limit reached|You've hit your\b)")
_RESETS: Final = re.compile(r"limit reached\|(\d{9,11})\b")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run took, as far as the runner says it. ``usd``: what it says it cost. ``cache_tokens``: read from and
    written to the provider's cache, which ``input_tokens`` are without."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None
    cache_tokens: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """``kind``: one of the words above; ``why``: one line for people. ``until``: seconds since 1970 before which it is
    of no use to ask again, where the runner says so."""

    kind: str
    why: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Understood:
    """``answer`` is empty where there is a ``failure``."""

    answer: str
    usage: Usage | None
    failure: Failure | None


def garbage(printed: bytes) -> Failure | None:
    """Where it is no text that anybody could be told: what does not decode, and NULs, stand in no answer."""
    at, what = printed.find(b"\0"), "a NUL"
    if at < 0:
        try:
            printed.decode("utf-8")
        except UnicodeDecodeError as error:
            at, what = error.start, "no UTF-8"
    return None if at < 0 else Failure(GARBAGE, f"it printed what is no text: {what} at byte {at + 1}")


def understood(printed: str, complaints: str, ended: int) -> Understood:
    """``printed``: its standard output; ``complaints``: the end of its standard error; ``ended``: its exit code, minus
    a signal's number."""
    result = _result(printed)
    usage = None if result is None else _usage(result)
    if result is None:
        text = printed.strip()
        wrong = ended != 0 or (len(text) <= 500 and "\n" not in text and _SAYS_ERROR.match(text) is not None)
    else:
        said = result.get("result")
        text = said.strip() if isinstance(said, str) else ""
        subtype = str(result.get("subtype", "success"))
        wrong = ended != 0 or result.get("is_error") is True or subtype.startswith("error")
        text = text or (subtype if wrong else "")
    if wrong:
        return Understood("", usage, _failure(text, complaints, ended))
    if not text:
        why = "it ended well and printed nothing; HEARTBEAT_OK is how it says that there is nothing to say"
        return Understood("", usage, Failure(SILENT, why))
    return Understood(text, usage, None)


def _failure(text: str, complaints: str, ended: int) -> Failure:
    told = _last_line(complaints) or _last_line(text)
    ending = "" if ended == 0 else f"signal {-ended}" if ended < 0 else f"exit code {ended}"
    why = ": ".join(part for part in (ending, told) if part) or "it said that it failed, and not why"
    both = f"{text[-2000:]}\n{complaints[-2000:]}"
    if found := _RESETS.search(both):
        return Failure(LIMITED, why, float(found[1]))
    kind = LIMITED if _LIMITED.search(both) else SIGNED_OUT if _SIGNED_OUT.search(both) else FAILED
    return Failure(kind, why)


def _last_line(text: str) -> str:
    line = next((line for line in reversed(text.splitlines()) if line.strip()), "")
    return " ".join("".join(char if char.isprintable() else " " for char in line).split())[:WORDS]


def _result(printed: str) -> Mapping[str, Any] | None:
    """The object of ``"type": "result"``: alone, last in a list, or on the last line of a stream. None: plain text."""
    text = printed.strip()
    if text[:1] not in ("{", "["):
        return None
    for part in (text, text.rsplit("\n", 1)[-1]):
        try:
            found = json.loads(part)
        except (ValueError, RecursionError):
            continue
        last = found[-1] if isinstance(found, list) and found else found
        if isinstance(last, dict) and last.get("type") == "result":
            return last
    return None


def _usage(result: Mapping[str, Any]) -> Usage | None:
    told = result.get("usage")
    told = told if isinstance(told, dict) else {}
    cached = [one for one in (_whole(told.get(key)) for key in _CACHED) if one is not None]
    usage = Usage(
        _whole(told.get("input_tokens")),
        _whole(told.get("output_tokens")),
        _money(result.get("total_cost_usd")),
        sum(cached) if cached else None,
        _model(result),
    )
    return None if usage == Usage() else usage


_CACHED: Final = ("cache_creation_input_tokens", "cache_read_input_tokens")


def _model(result: Mapping[str, Any]) -> str | None:
    """The one that cost most, of those that worked in the run."""
    told = result.get("modelUsage")
    if not isinstance(told, dict) or not told:
        return None
    costs = {name: _money(one.get("costUSD")) or 0.0 for name, one in told.items() if isinstance(one, dict)}
    best = max(costs, key=lambda name: costs[name], default="")
    return best if 0 < len(best) <= 64 and best.isprintable() else None


def _money(value: object) -> float | None:
    sound = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6
    return float(value) if sound and isinstance(value, int | float) else None


def _whole(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
    return value if whole and isinstance(value, int) else None
