"""``[cost]`` of maw.toml: what may be spent a day, by whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from maw.config.settings import CostConfig
from maw.core.names import check_name
from maw.core.spending import (
    MAX_CAP_S,
    MAX_CAP_USD,
    MAX_COUNT,
    RUNNER_S,
    TOKENS,
    UNITS,
    USD,
    Limits,
    Unknown,
    micros,
    millis,
)
from maw.core.toml import Document, Section
from maw.errors import BadInput

_READ: Final[dict[str, Callable[[object], int]]] = {
    USD: lambda value: micros(value, MAX_CAP_USD),
    TOKENS: lambda value: _tokens(value),
    RUNNER_S: lambda value: millis(value, MAX_CAP_S),
}
_A_DAY: Final = {f"{unit}_per_day": unit for unit in UNITS}
_UNKNOWN: Final = (f"unknown_{USD}", f"unknown_{TOKENS}")


def read_cost(document: Document, section: Section) -> CostConfig:
    """Raises BadConfig."""
    section.only(*_A_DAY, *_UNKNOWN, "keep_days", "each", "agents")
    named = _below(document, section, "agents")
    agents = {}
    for name in named.table:
        try:
            folded = check_name(name, "agent")
        except BadInput as error:
            raise named.wrong(name, f"is wrong: {error.message}", error.hint) from None
        agents[folded] = _limits(_below(document, named, name))
    default = CostConfig()
    return CostConfig(
        _limits(section, beside=(*_UNKNOWN, "keep_days", "each", "agents")),
        _limits(_below(document, section, "each")),
        agents,
        Unknown(*(_amount(section, key) if key in section else None for key in _UNKNOWN)),
        section.number("keep_days", default.keep_days, 2, 36_500),
    )


def _below(document: Document, section: Section, key: str) -> Section:
    table = section.table.get(key, {})
    if not isinstance(table, dict):
        raise section.wrong(key, f"must be a section, written [{section.name}.{key}]")
    return Section(document, f"{section.name}.{key}", table)


def _limits(section: Section, beside: tuple[str, ...] = ()) -> Limits:
    section.only(*_A_DAY, *beside)
    return {unit: _amount(section, key) for key, unit in _A_DAY.items() if key in section}


def _amount(section: Section, key: str) -> int:
    unit = key.removeprefix("unknown_").removesuffix("_per_day")
    value = section.table[key]
    try:
        if type(value) is str:
            raise ValueError("must be a number, not text")
        return _READ[unit](value)
    except ValueError as error:
        raise section.wrong(key, str(error)) from None


def _tokens(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise ValueError(f"must be a whole number from 0 to {MAX_COUNT}")
    return value
