"""What agents cost, and when one is halted: counters of each agent and day, caps on them, and the verdict.

A day is a day of UTC, counted since 1970, everywhere. Money is whole millionths of a dollar, time whole milliseconds:
no rounding adds up. What a fraction of those is left is rounded up: never is less counted than was told.

Laws
  1. Counters only grow. A host counts for each agent, day, *life* (of its database: a new one at each start of the
     daemon) and model; of two accounts of the same, the greater of each number holds, and an agent's day is the sum of
     its lives. So accounts may come in any order, twice, or back from others after a disk was lost.
  2. A cap is *spent* when as much was counted as it allows; it is *near* from 80 % on. It counts what was spent since
     the day began, or since a human resumed it.
  3. What cannot be known is not free: a run that told no money is what the owner says such a run is worth
     (``unknown_usd``), and where he says nothing it halts its agent by every cap in dollars; the same of tokens. A run
     in which the runner took no time cost nothing.
  4. The day of account never goes back, whatever the clock does: who sets it back has no new day's money.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

DAY_MS: Final = 86_400_000
MICRO: Final = 1_000_000
"""In a dollar."""
MAX_COUNT: Final = (1 << 40) - 1
"""Of each counter of one account: a million dollars, a terabyte. More is no account."""
MAX_RUN_USD: Final = 100_000
MAX_RUN_TOKENS: Final = 10**11
MAX_RUN_S: Final = 31 * 86_400
MAX_MODEL: Final = 64
MAX_CAP_USD: Final = 1_000_000
MAX_CAP_S: Final = 864_000_000
KINDS: Final = ("pulse", "dream", "other")
_DAY: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIRST_DAY: Final = date(1970, 1, 1)


class Counts(NamedTuple):
    """``unpriced``: runs that told no money; ``untold``: runs that told no tokens. ``cache``: tokens read from and
    written to the provider's cache. ``usd``: millionths of a dollar. ``bytes``: of messages' payloads as signed."""

    wakes: int = 0
    pulses: int = 0
    messages: int = 0
    bytes: int = 0
    runs: int = 0
    unpriced: int = 0
    untold: int = 0
    runner_ms: int = 0
    input: int = 0
    output: int = 0
    cache: int = 0
    usd: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def tokens(self) -> int:
        """All of them: what a cap on tokens counts."""
        return self.input + self.output + self.cache


NOTHING: Final = Counts()


def total(counts: Iterable[Counts]) -> Counts:
    found = NOTHING
    for one in counts:
        found = found.plus(one)
    return found


def greater(one: Counts, other: Counts) -> Counts:
    """Law 1, of two accounts of the same."""
    return Counts(*(max(a, b) for a, b in zip(one, other, strict=True)))


class Run(NamedTuple):
    """One run that ended. ``usd`` in millionths; None: the runner did not tell."""

    id: str
    kind: str
    runner_ms: int
    model: str = ""
    input: int | None = None
    output: int | None = None
    cache: int | None = None
    usd: int | None = None

    @property
    def counts(self) -> Counts:
        ran = self.runner_ms > 0
        told = self.input is not None or self.output is not None
        return Counts(
            runs=1,
            unpriced=int(ran and self.usd is None),
            untold=int(ran and not told),
            runner_ms=self.runner_ms,
            input=self.input or 0,
            output=self.output or 0,
            cache=self.cache or 0,
            usd=self.usd or 0,
        )


# -- days and money -------------------------------------------------------------------------------------


def day_of(ms: int) -> int:
    return ms // DAY_MS


def day_text(day: int) -> str:
    """``2026-11-22``."""
    return (_FIRST_DAY + timedelta(days=day)).isoformat()


def parse_day(text: str) -> int:
    """Raises ValueError."""
    if not _DAY.fullmatch(text):
        raise ValueError("must be a day: YYYY-MM-DD")
    try:
        return (date.fromisoformat(text) - _FIRST_DAY).days
    except ValueError:
        raise ValueError("must be a day: YYYY-MM-DD") from None


def end_of(day: int) -> str:
    """When a day of account is over: ``2026-11-23T00:00:00Z``."""
    return datetime.fromtimestamp((day + 1) * 86_400, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micros(amount: object, most: int = MAX_RUN_USD) -> int:
    """Dollars, as a number or its text, in millionths, rounded up. Raises ValueError."""
    return _scaled(amount, MICRO, most, "dollars")


def millis(seconds: object, most: int = MAX_RUN_S) -> int:
    """Seconds in milliseconds, rounded up. Raises ValueError."""
    return _scaled(seconds, 1000, most, "seconds")


def _scaled(amount: object, scale: int, most: int, unit: str) -> int:
    from decimal import ROUND_CEILING, Decimal, InvalidOperation  # most commands read no amounts

    rule = f"must be {unit} from 0 to {most}"
    if type(amount) not in (int, float, str):
        raise ValueError(rule)
    try:
        value = Decimal(str(amount))
    except InvalidOperation:
        raise ValueError(rule) from None
    if not value.is_finite() or not 0 <= value <= most:
        raise ValueError(rule)
    return int((value * scale).to_integral_value(ROUND_CEILING))


def dollars(micro: int) -> str:
    """``$0.0123``, from a dollar on ``$1.23``; never rounded to nothing."""
    if 0 < micro < 100:
        return "<$0.0001"
    if micro < MICRO - 50:
        return f"$0.{(micro + 50) // 100:04d}"
    whole, cents = divmod((micro + 5_000) // 10_000, 100)
    return f"${whole:,}.{cents:02d}"


def usd_number(micro: int) -> float:
    """For JSON: dollars that read back to the same millionths."""
    return micro / MICRO


# -- caps -----------------------------------------------------------------------------------------------

USD: Final = "usd"
TOKENS: Final = "tokens"
RUNNER_S: Final = "runner_s"
UNITS: Final = (USD, TOKENS, RUNNER_S)
AGENT: Final = "agent"
HOST: Final = "host"
COLONY: Final = "colony"
NEAR_PERCENT: Final = 80

Limits = Mapping[str, int]
"""unit -> a day: millionths of a dollar, tokens, milliseconds."""


class Spent(NamedTuple):
    """What caps count."""

    usd: int = 0
    tokens: int = 0
    runner_ms: int = 0
    unpriced: int = 0
    untold: int = 0

    @classmethod
    def of(cls, counts: Counts) -> Spent:
        return cls(counts.usd, counts.tokens, counts.runner_ms, counts.unpriced, counts.untold)

    def since(self, before: Spent) -> Spent:
        """Without what was spent before somebody resumed."""
        return Spent(*(max(0, a - b) for a, b in zip(self, before, strict=True)))


class Unknown(NamedTuple):
    """What a run counts as that does not tell: millionths of a dollar, tokens. None: nobody can say."""

    usd: int | None = None
    tokens: int | None = None


NOTHING_KNOWN: Final = Unknown()


class Cap(NamedTuple):
    """``source``: who set it, in words: ``maw.toml``, ``maw cost cap``, an operator."""

    scope: str
    unit: str
    limit: int
    source: str


class Standing(NamedTuple):
    """How a cap stands. ``spent``: with what unknown runs count as, which is ``assumed``. ``unknown``: runs of which
    nobody can say what they cost in its unit."""

    cap: Cap
    spent: int
    assumed: int
    unknown: int

    @property
    def is_spent(self) -> bool:
        return self.spent >= self.cap.limit

    @property
    def percent(self) -> int:
        """Rounded down: 100 is spent."""
        return 100 if self.cap.limit == 0 else self.spent * 100 // self.cap.limit

    @property
    def is_near(self) -> bool:
        return self.percent >= NEAR_PERCENT


def standing(cap: Cap, spent: Spent, unknown: Unknown) -> Standing:
    """Laws 2 and 3."""
    if cap.unit == RUNNER_S:
        return Standing(cap, spent.runner_ms, 0, 0)
    known, runs, worth = (
        (spent.usd, spent.unpriced, unknown.usd)
        if cap.unit == USD
        else (spent.tokens, spent.untold, unknown.tokens)
    )
    assumed = runs * (worth or 0)
    return Standing(cap, known + assumed, assumed, runs if worth is None else 0)


def must_say(unsaid: int, left: int, hosts: int) -> bool:
    """Whether a host says at once what its agents spent, since it is more than its part of half of what is left of the
    Colony's cap. So what all hosts have not said together is never more than what is left."""
    return unsaid > 0 and unsaid * 2 * hosts >= max(left, 0)


def parse_amount(unit: str, text: str) -> int | None:
    """``2.50``, ``$2.50/day``, ``1_000_000``; None for ``off``. Raises ValueError."""
    text = text.removesuffix("/day").removesuffix("/d").removeprefix("$").replace(",", "").replace("_", "")
    if text == "off":
        return None
    if unit == USD:
        return micros(text, MAX_CAP_USD)
    if unit == RUNNER_S:
        return millis(text, MAX_CAP_S)
    if not (text.isascii() and text.isdecimal()) or int(text) > MAX_COUNT:
        raise ValueError(f"must be a whole number of tokens from 0 to {MAX_COUNT}")
    return int(text)


def tightest(caps: Iterable[Cap]) -> list[Cap]:
    """Of each scope and unit the lowest: who sets one lifts none that another has set."""
    found: dict[tuple[str, str], Cap] = {}
    for cap in caps:
        key = (cap.scope, cap.unit)
        if key not in found or cap.limit < found[key].limit:
            found[key] = cap
    return [found[scope, unit] for scope in (AGENT, HOST, COLONY) for unit in UNITS if (scope, unit) in found]


def counted(number: int, what: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def cap_words(unit: str, amount: int | None) -> str:
    """Of the Colony: ``the Colony may spend $50.00 a day``."""
    if amount is None:
        return f"no cap on the Colony in {unit}"
    return f"the Colony may spend {amount_text(unit, amount)} a day"


def amount_text(unit: str, amount: int) -> str:
    """``$5.00``, ``1,000,000 tokens``, ``600 s``."""
    if unit == USD:
        return dollars(amount)
    return f"{amount:,} tokens" if unit == TOKENS else f"{amount / 1000:,.0f} s of runner"
