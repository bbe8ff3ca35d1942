"""A file of ``.maw`` that holds a dataclass as JSON: written whole, and never passed over when it cannot be read.

Who passes over what he noted may do twice what was half done.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

from maw.agents.life import durable
from maw.errors import BadConfig

VERSION: Final = 1
T = TypeVar("T")


class Remembered:
    """``hint``: what a human does about one that cannot be read."""

    def __init__(self, path: Path, hint: str) -> None:
        self._path = path
        self._hint = hint

    def read(self) -> dict[str, Any] | None:
        """None where there is none. Raises BadConfig."""
        try:
            told = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise self._spoiled(str(error)) from None
        if not isinstance(told, dict) or told.pop("v", None) != VERSION:
            raise self._spoiled("it is no journal of this version")
        return told

    def made(self, what: type[T], told: Any) -> T:
        """Raises BadConfig."""
        try:
            return what(**told)
        except TypeError as error:
            raise self._spoiled(str(error)) from None

    def write(self, noted: Any) -> None:
        """``noted``: a dataclass."""
        text = json.dumps({"v": VERSION, **asdict(noted)}, ensure_ascii=False)
        durable.write(self._path, text.encode("utf-8", "surrogatepass"))

    def remove(self) -> None:
        durable.remove(self._path)

    def _spoiled(self, why: str) -> BadConfig:
        return BadConfig(f"{self._path}: cannot be read: {why}", code="bad_journal", hint=self._hint)
