"""What an agent's card says of it beside its name: what it is for, whose role it is, how often it pulses."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from maw.core.content import Content, read_bytes, read_name, read_text
from maw.core.credentials import find_credential
from maw.core.lineage import Born, read_born
from maw.core.names import check_name
from maw.core.text import shown
from maw.errors import BadInput

MAX_ABOUT: Final = 280
MAX_ROLES: Final = 8
MIN_PULSE_S: Final = 10
MAX_PULSE_S: Final = 30 * 24 * 3600
_OWNER_BYTES: Final = 16


class Profile(NamedTuple):
    """``about``: one line. ``of``: the id of the agent, of the same host, whose role this one is. ``pulse_s``: seconds
    between two pulses. ``roles``: words by which ``@role:NAME`` finds it. ``born``: by whom it was made; None:
    by hand."""

    about: str = ""
    of: bytes | None = None
    pulse_s: int | None = None
    roles: tuple[str, ...] = ()
    born: Born | None = None

    def content(self) -> dict[str, Any]:
        """What is not said is left out."""
        said: dict[str, Any] = {}
        if self.about:
            said["about"] = self.about
        if self.of is not None:
            said["of"] = self.of
        if self.pulse_s is not None:
            said["pulse_s"] = self.pulse_s
        if self.roles:
            said["roles"] = list(self.roles)
        if self.born is not None:
            said["born"] = self.born.content()
        return said

    @classmethod
    def read(cls, content: Content) -> Profile:
        """Raises ValueError."""
        pulse_s = content.get("pulse_s")
        if pulse_s is not None and (type(pulse_s) is not int or not MIN_PULSE_S <= pulse_s <= MAX_PULSE_S):
            raise ValueError(f"pulse_s is no number from {MIN_PULSE_S} to {MAX_PULSE_S}")
        return cls(
            read_text(content, "about", MAX_ABOUT) if "about" in content else "",
            read_bytes(content, "of", _OWNER_BYTES) if content.get("of") is not None else None,
            pulse_s,
            _read_roles(content.get("roles", [])),
            read_born(content),
        )


NO_PROFILE: Final = Profile()


def _read_roles(value: object) -> tuple[str, ...]:
    if type(value) is not list or len(value) > MAX_ROLES:
        raise ValueError(f"roles is no list of at most {MAX_ROLES}")
    return tuple(read_name({"roles": word}, "roles", "agent") for word in value)


def check_about(text: str) -> str:
    """A description as it may be given: one line of text, or nothing. Raises BadInput."""
    clean = text.strip()
    if (found := find_credential(clean)) is not None:  # no redaction reaches it: it stays in the log
        raise BadInput(
            f"the description has what looks like {found.kind}, at character {found.column}: nothing was said",
            code="credential",
            hint="it would be kept on every host for good: say where it is kept instead",
        )
    if len(clean) > MAX_ABOUT or shown(clean) != clean or not set(clean).isdisjoint("\n\t"):
        raise BadInput(
            f"a description is one line of at most {MAX_ABOUT} characters that can be seen", code="bad_field"
        )
    return clean


def check_roles(names: list[str]) -> tuple[str, ...]:
    """Raises BadInput."""
    found = tuple(dict.fromkeys(check_name(name) for name in names))
    if len(found) > MAX_ROLES:
        raise BadInput(f"an agent has at most {MAX_ROLES} roles", code="bad_field")
    return found
