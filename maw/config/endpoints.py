"""Where something listens or is dialled, as both files write it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from maw.core.toml import Section
from maw.errors import BadInput

MESH_PORT: Final = 6290
REST_PORT: Final = 6291


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host (IP address, or a name where one is allowed) and a TCP port; port 0 means any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str, default_port: int | None = None, *, ip_only: bool = False) -> Endpoint:
    """``10.0.0.7:6290``, ``[fd00::7]:6290``, ``mbp.wg:6290``; the port may be left out if there is a default.

    Raises BadInput.
    """
    host, port_text = _host_and_port(text.strip())
    if not host or port_text == "" or any(char.isspace() or char in "/@[]" for char in host):
        raise BadInput(f"{text!r} is no address", code="bad_address", hint="write it as HOST:PORT")
    if port_text is None and default_port is None:
        raise BadInput(f"{text!r} has no port", code="bad_address", hint=f"write it as {text}:{MESH_PORT}")
    if port_text is not None and not (_PORT.fullmatch(port_text) and int(port_text) <= 65535):
        raise BadInput(f"{port_text!r} is no port: a number from 0 to 65535", code="bad_address")
    if ip_only or ":" in host:
        try:
            host = str(ipaddress.ip_address(host))
        except ValueError:
            raise BadInput(f"{host!r} is no IP address", code="bad_address") from None
    return Endpoint(host, int(port_text) if port_text is not None else default_port or 0)


def check_interface(name: str) -> str:
    """Whether a network interface may be called so. Raises BadInput."""
    if not _INTERFACE.fullmatch(name):
        raise BadInput(
            f"{name!r} is no interface name", code="bad_interface", hint="`ip link` lists the interfaces"
        )
    return name


def dialled(section: Section, key: str, default_port: int) -> tuple[Endpoint, ...]:
    """Addresses that somebody is to dial: port 0 is none."""
    found = tuple(
        section.parsed(key, lambda word: parse_endpoint(word, default_port), text)
        for text in section.texts(key)
    )
    for endpoint in found:
        if endpoint.port == 0:
            raise section.wrong(key, f"has no port to dial: {endpoint}")
    return found


def _host_and_port(word: str) -> tuple[str, str | None]:
    """The two parts as written; ("", None) when the brackets are wrong, None for a port left out."""
    if word.startswith("["):
        host, closed, tail = word[1:].partition("]")
        good = closed and ":" in host and tail[:1] in ("", ":")
        return (host, tail[1:] if tail else None) if good else ("", None)
    if word.count(":") > 1:  # an IPv6 address without brackets holds no port
        return word, None
    host, colon, port = word.partition(":")
    return host, port if colon else None


_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_INTERFACE: Final = re.compile(r"[^\s/:]{1,15}")
