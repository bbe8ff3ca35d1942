"""What the libraries under a daemon would take and it never uses. Each saving was measured; none is a rule.

To be called before aiohttp is imported. Nothing here changes what is checked: whom a link reached is known by
its node key (maw/net/tls.py), and no part of maw asks an authority.
"""

from __future__ import annotations

import os
from asyncio import sslproto
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

TLS_BUFFER: Final = 32 * 1024
"""Two TLS records. asyncio would keep 256 KiB for each connection: 7 MiB more where thirty nodes are linked."""


def small_tls_buffers() -> None:
    """Connections made from now on read and decrypt ``TLS_BUFFER`` bytes at a time."""
    sslproto.SSLProtocol.max_size = TLS_BUFFER  # type: ignore[attr-defined, unused-ignore]


@contextmanager
def without_authorities() -> Iterator[None]:
    """Within it, contexts for TLS are made with no authority in them: aiohttp makes one as it is imported, and
    the hundred and more certificates that a system trusts are 2 MiB and 35 ms."""
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = os.devnull
    try:
        yield
    finally:  # what this process starts later is to know its authorities
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before
