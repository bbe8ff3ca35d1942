"""Where a node listens, as people write it: ``10.7.0.2:6290``, ``[fd00::2]:6290``, ``mbp.wg:6290``."""

from __future__ import annotations

from maw.errors import BadInput

_HINT = "write HOST:PORT, and an IPv6 address in brackets: [fd00::2]:6290"


def parse_endpoint(text: str) -> tuple[str, int]:
    """Host (no brackets) and port, 1 to 65535. Raises BadInput saying which of the two is wrong."""
    word = text.strip()
    if word.startswith("["):
        host, closed, rest = word[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not closed or ":" not in host:
            raise BadInput(f"{word!r} is no address: brackets are for IPv6", code="bad_address", hint=_HINT)
    else:
        host, colon, port = word.rpartition(":")
        if ":" in host:
            raise BadInput(f"{word!r} is no address: IPv6 needs brackets", code="bad_address", hint=_HINT)
    if not host or colon != ":" or not host.isprintable() or any(c in " /@?#\\" for c in host):
        raise BadInput(f"{word!r} is no address with host and port", code="bad_address", hint=_HINT)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise BadInput(f"{word!r} has no port from 1 to 65535", code="bad_address", hint=_HINT)
    return host, int(port)


def endpoint_text(host: str, port: int) -> str:
    """The opposite of ``parse_endpoint``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
