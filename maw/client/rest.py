"""Asking a daemon over REST, with a token: for programs of this machine that may not open its socket."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

from maw.client.daemon import Door
from maw.errors import BadInput, NotRunning

HTTP_PORT, HTTPS_PORT = 80, 443


@dataclass(frozen=True, slots=True)
class Rest(Door):
    """``token`` None: public channels only."""

    url: str
    token: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise BadInput(f"{self.url!r} is no address of a node", hint="write it as http://127.0.0.1:6291")

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            return http.client.HTTPSConnection(host, parts.port or HTTPS_PORT, timeout=timeout)
        return _Tcp(host, parts.port or HTTP_PORT, timeout=timeout)

    def who(self) -> dict[str, str]:
        host = {"Host": urlsplit(self.url).netloc}
        return {**host, "Authorization": f"Bearer {self.token}"} if self.token is not None else host


class _Tcp(http.client.HTTPConnection):
    def connect(self) -> None:
        try:
            super().connect()
        except OSError as error:
            raise NotRunning(
                f"the daemon is not running: no answer at {self.host}:{self.port} ({error.strerror or error})",
                hint="`maw status` over there tells its REST address",
            ) from None
