"""One shallow tree of errors; each says what is wrong, and what to do next.

    MawError
    ├── BadInput        the words, file or request are wrong          exit 2   HTTP 400
    │   ├── TooLarge    a file is larger than may be sent             exit 2   HTTP 413
    │   └── BadConfig   a configuration file is wrong: file, key, why exit 2
    ├── NotSignedIn     no valid token or uid for this                exit 6   HTTP 401
    ├── NotFound        no such agent, channel, message, peer         exit 3   HTTP 404
    │   └── Hidden      it is there, and not for who asks             exit 3   HTTP 404
    ├── Ambiguous       a name that several bear (candidates listed)  exit 4   HTTP 409
    ├── NotRunning      no daemon answers                             exit 5
    ├── Refused         a rule says no: why, and what to do           exit 6   HTTP 403
    ├── Conflict        what is there already stands in the way       exit 6   HTTP 409
    ├── Unavailable     cannot be done now (disk full, stopping)      exit 6   HTTP 503
    ├── TooMany         a limit is reached: when there is room again  exit 6   HTTP 429
    ├── Unconfirmed     accepted, but not confirmed in time           exit 7   HTTP 504
    ├── LinkError       a remote node's fault or a broken connection; never ours
    │   ├── ProtocolViolation   the peer broke a rule of docs/protocol.md
    │   ├── HandshakeRefused    one side would not have the other: code and reason
    │   └── LinkClosed          the connection is gone: why
    └── InternalError   a fault inside maw                            exit 70  HTTP 500

Exit codes are fixed (scripts rely on them): 0 done, 1 nothing there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class MawError(Exception):
    """Base of all that maw raises on purpose.

    ``code`` is a stable snake_case word for machines, ``message`` one sentence for people,
    ``hint`` what to do next (may be empty), ``candidates`` what was meant, perhaps.
    """

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 70
    default_code: ClassVar[str] = "internal"

    def __init__(
        self, message: str, *, hint: str = "", code: str | None = None, candidates: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code
        self.candidates = tuple(candidates)

    def as_json(self) -> dict[str, object]:
        """The one shape in which every door reports an error."""
        return {"error": self._told()}

    def _told(self) -> dict[str, object]:
        body: dict[str, object] = {"code": self.code, "message": self.message, "hint": self.hint}
        if self.candidates:
            body["candidates"] = list(self.candidates)
        return body


class BadInput(MawError):
    status, exit_code, default_code = 400, 2, "bad_input"


class BadConfig(BadInput):
    default_code = "bad_config"


class TooLarge(BadInput):
    status, default_code = 413, "too_large"


class NotSignedIn(MawError):
    status, exit_code, default_code = 401, 6, "not_signed_in"


class NotFound(MawError):
    status, exit_code, default_code = 404, 3, "not_found"


class Hidden(NotFound):
    """It is there, and not for who asks: he is told what he would be told of what is not there."""


class Ambiguous(MawError):
    status, exit_code, default_code = 409, 4, "ambiguous"


class NotRunning(MawError):
    status, exit_code, default_code = 503, 5, "not_running"


class Refused(MawError):
    status, exit_code, default_code = 403, 6, "refused"


class Conflict(MawError):
    status, exit_code, default_code = 409, 6, "conflict"


class Unavailable(MawError):
    status, exit_code, default_code = 503, 6, "unavailable"


class TooMany(MawError):
    """``retry_after``: seconds until it may be asked again."""

    status, exit_code, default_code = 429, 6, "too_many"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str | None = None,
        candidates: Sequence[str] = (),
        retry_after: float = 1.0,
    ) -> None:
        super().__init__(message, hint=hint, code=code, candidates=candidates)
        self.retry_after = retry_after

    def _told(self) -> dict[str, object]:
        return {**super()._told(), "retry_after": round(self.retry_after, 3)}


class Unconfirmed(MawError):
    status, exit_code, default_code = 504, 7, "unconfirmed"


class LinkError(MawError):
    status, exit_code, default_code = 502, 6, "link_error"


class ProtocolViolation(LinkError):
    default_code = "protocol_violation"


class HandshakeRefused(LinkError):
    default_code = "handshake_refused"


class LinkClosed(LinkError):
    default_code = "link_closed"


class InternalError(MawError):
    pass
