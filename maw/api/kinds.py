"""The sorts of values that requests carry, each with its check and its JSON Schema.

Messages of the ValueErrors complete the sentence "field NAME …".
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final

from maw.api.backend import Json
from maw.api.fields import FieldSet
from maw.api.limits import MAX_REFS, MAX_SEQ
from maw.core.colony import MAX_RECIPIENTS, MAX_TEXT_BYTES
from maw.core.moments import RULE, moment
from maw.core.names import MAX_NAME, NameKind, check_name
from maw.errors import BadInput

_DIGITS: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number. In a query: decimal digits and nothing else."""

    low: int
    high: int = MAX_SEQ

    def from_text(self, text: str) -> int:
        if not _DIGITS.fullmatch(text):
            raise ValueError(self._rule())
        return self._within(int(text))

    def from_json(self, value: object) -> int:
        if type(value) is not int:
            raise ValueError(self._rule())
        return self._within(value)

    def schema(self) -> Json:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def _within(self, number: int) -> int:
        if not self.low <= number <= self.high:
            raise ValueError(self._rule())
        return number

    def _rule(self) -> str:
        return f"must be a whole number from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Seconds:
    """A span of time from 0 to ``high`` seconds, decimals allowed."""

    high: float

    def from_text(self, text: str) -> float:
        if not _SECONDS.fullmatch(text) or float(text) > self.high:
            raise ValueError(f"must be seconds from 0 to {self.high:g}")
        return float(text)

    def from_json(self, value: object) -> float:
        if type(value) not in (int, float):
            raise ValueError(f"must be seconds from 0 to {self.high:g}")
        return self.from_text(str(value))

    def schema(self) -> Json:
        return {"type": "number", "minimum": 0, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def from_text(self, text: str) -> str:
        if text not in self.words:
            raise ValueError(f"must be {' or '.join(self.words)}")
        return text

    def from_json(self, value: object) -> str:
        return self.from_text(value if isinstance(value, str) else "")

    def schema(self) -> Json:
        return {"type": "string", "enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def from_text(self, text: str) -> bool:
        if text not in ("true", "false"):
            raise ValueError("must be true or false")
        return text == "true"

    def from_json(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value

    def schema(self) -> Json:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of printable text: a name to be looked up, an id, an invite. Surrounding space is dropped."""

    high: int = 128

    def from_text(self, text: str) -> str:
        line = text.strip()
        if not line or len(line) > self.high or not line.isprintable():
            raise ValueError(f"must be one line of 1 to {self.high} printable characters")
        return line

    def from_json(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("must be text")
        return self.from_text(value)

    def schema(self) -> Json:
        return {"type": "string", "minLength": 1, "maxLength": self.high}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time to come, told by its distance from now or by the calendar; read as ms since 1970."""

    def from_text(self, text: str) -> int:
        return moment(text, time.time_ns() // 1_000_000)

    def from_json(self, value: object) -> int:
        if not isinstance(value, str):
            raise ValueError(RULE)
        return self.from_text(value)

    def schema(self) -> Json:
        return {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "examples": ["30m", "2h", "2026-11-22T18:00Z"],
        }


@dataclass(frozen=True, slots=True)
class Name:
    """A name to be given, folded to lower case. Raises BadInput of its own: what is wrong, and where."""

    what: NameKind

    def from_text(self, text: str) -> str:
        return check_name(text, self.what)

    def from_json(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("must be text")
        return self.from_text(value)

    def schema(self) -> Json:
        return {"type": "string", "pattern": f"^[A-Za-z0-9][A-Za-z0-9_-]{{0,{MAX_NAME - 1}}}$"}


@dataclass(frozen=True, slots=True)
class Text:
    """What somebody says: not blank, encodable as UTF-8, at most 64 KiB of it (413 beyond)."""

    def from_text(self, text: str) -> str:
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise ValueError("must be valid Unicode (half of a surrogate pair stands alone)") from None
        if size > MAX_TEXT_BYTES:
            raise BadInput(
                f"the text is {size} bytes; a message holds at most {MAX_TEXT_BYTES} (64 KiB)",
                hint="send it in parts, or say where it can be read",
                code="too_large",
            )
        if not text or text.isspace():
            raise ValueError("must say something")
        return text

    def from_json(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("must be text")
        return self.from_text(value)

    def schema(self) -> Json:
        return {"type": "string", "minLength": 1, "description": f"at most {MAX_TEXT_BYTES} bytes of UTF-8"}


@dataclass(frozen=True, slots=True)
class Words:
    """A list of words as a command line has them; only what no process could be given is refused."""

    most: int = 100
    high: int = 4096

    def from_text(self, text: str) -> list[str]:
        return self.from_json([text])

    def from_json(self, value: object) -> list[str]:
        rule = f"must be a list of at most {self.most} texts of at most {self.high} characters"
        if not isinstance(value, list) or len(value) > self.most:
            raise ValueError(rule)
        for word in value:
            if not isinstance(word, str) or len(word) > self.high or "\0" in word or not _is_unicode(word):
                raise ValueError(rule)
        return value

    def schema(self) -> Json:
        return {"type": "array", "maxItems": self.most, "items": {"type": "string", "maxLength": self.high}}


@dataclass(frozen=True, slots=True)
class Blank:
    """A line that may be empty: that says, none."""

    high: int = 400

    def from_text(self, text: str) -> str:
        return Line(self.high).from_text(text) if text else ""

    def from_json(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("must be text")
        return self.from_text(value)

    def schema(self) -> Json:
        return {"type": "string", "maxLength": self.high}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Ref:
    """A message: its id, or its seq on this replica as a number or digits."""

    def from_text(self, text: str) -> str:
        return Line().from_text(text)

    def from_json(self, value: object) -> str:
        if type(value) is int:
            return str(Whole(1).from_json(value))
        if not isinstance(value, str):
            raise ValueError("must be a message id or seq")
        return Line().from_json(value)

    def schema(self) -> Json:
        return {"oneOf": [{"type": "string", "maxLength": 128}, Whole(1).schema()]}


@dataclass(frozen=True, slots=True)
class Refs:
    """A list of messages."""

    def from_text(self, text: str) -> list[str]:
        return self.from_json(text.split(","))

    def from_json(self, value: object) -> list[str]:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_REFS:
            raise ValueError(f"must be a list of 1 to {MAX_REFS} message ids or seqs")
        return [Ref().from_json(ref) for ref in value]

    def schema(self) -> Json:
        return {"type": "array", "items": Ref().schema(), "minItems": 1, "maxItems": MAX_REFS}


@dataclass(frozen=True, slots=True)
class Records:
    """A list of objects, each with these fields. Raises BadInput of its own: which one, and what is wrong in it."""

    fields: FieldSet
    most: int

    def from_text(self, text: str) -> list[Json]:
        raise ValueError("must be a list of objects")

    def from_json(self, value: object) -> list[Json]:
        if not isinstance(value, list) or len(value) > self.most:
            raise ValueError(f"must be a list of at most {self.most} objects")
        return [self._read(number, item) for number, item in enumerate(value)]

    def _read(self, number: int, item: object) -> Json:
        try:
            return self.fields.from_body(item)
        except BadInput as error:
            raise BadInput(f"item {number}: {error.message}", hint=error.hint, code=error.code) from None

    def schema(self) -> Json:
        return {"type": "array", "maxItems": self.most, "items": self.fields.schema()}


@dataclass(frozen=True, slots=True)
class Recipients:
    """One name or a list of them."""

    def from_text(self, text: str) -> list[str]:
        return [Line().from_text(text)]

    def from_json(self, value: object) -> list[str]:
        if isinstance(value, str):
            return self.from_text(value)
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_RECIPIENTS:
            raise ValueError(f"must be a name or a list of 1 to {MAX_RECIPIENTS} names")
        return [Line().from_json(name) for name in value]

    def schema(self) -> Json:
        name = Line().schema()
        return {"oneOf": [name, {"type": "array", "items": name, "minItems": 1, "maxItems": MAX_RECIPIENTS}]}
