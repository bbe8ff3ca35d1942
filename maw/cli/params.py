"""Options that many commands share, and how their values are read.

New versions of typer import pydantic (some 25 ms) to turn "7" into 7. An agent may call maw hundreds of times
an hour, so the few kinds of value that maw has are read here instead; where typer has no such seam (older
versions), nothing is changed and all works the same.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, get_args, get_origin

import typer

from maw.cli import completing
from maw.errors import BadInput

As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help="Who speaks. Else $MAW_AGENT, else, in a terminal, you.",
        autocompletion=completing.own_agents,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Limit = Annotated[int, typer.Option("--limit", "-n", metavar="N", help="At most so many, 1 to 500.")]
AfterSeq = Annotated[
    int | None, typer.Option("--after-seq", metavar="SEQ", help="Only what came here after this number.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]

_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([a-z]*)", re.ASCII)


def duration(text: str, option: str) -> float:
    """``10``, ``10s``, ``5m``, ``2h``, ``1d`` in seconds. Raises BadInput naming ``option``."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise BadInput(f"{option}: {text!r} is no duration", hint="write it as 30s, 10m, 2h or 1d")
    return float(match[1]) * _UNITS[match[2]]


def read_plainly(parameters: list[Any]) -> list[Any]:
    """The same typer parameters, reading their values without pydantic where typer allows it."""
    for parameter in parameters:
        kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
        if hasattr(parameter, "_runtime_param") and _is_plain(kind):
            parameter._runtime_param = _PlainValue(kind)
    return parameters


def _is_plain(kind: object) -> bool:
    if get_origin(kind) is list:
        return get_args(kind) == (str,)
    return kind in (str, int, bool)


class _PlainValue:
    """Reads text, whole numbers, flags and lists of text."""

    __slots__ = ("_kind",)

    def __init__(self, kind: object) -> None:
        self._kind = kind

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if self._kind is not int or isinstance(value, int):
            return value
        if re.fullmatch(r"-?[0-9]{1,18}", value.strip(), re.ASCII):
            return int(value)
        raise typer.BadParameter(f"{value!r} is not a whole number", ctx=ctx, param=param)
