"""Finding this host's daemon, and asking it: HTTP over its Unix socket, one request per connection."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlencode

from maw.client.once import next_key
from maw.core.text import one_line
from maw.errors import (
    Ambiguous,
    BadInput,
    Conflict,
    InternalError,
    MawError,
    NotFound,
    NotRunning,
    NotSignedIn,
    Refused,
    TooMany,
    Unavailable,
    Unconfirmed,
)
from maw.home import SYSTEM_HOME, candidate_homes

if TYPE_CHECKING:
    from maw.client.calls import Call

T = TypeVar("T")
_BY_STATUS: Final[Mapping[int, type[MawError]]] = {
    400: BadInput,
    401: NotSignedIn,
    403: Refused,
    404: NotFound,
    409: Conflict,
    413: BadInput,
    429: TooMany,
    503: Unavailable,
    504: Unconfirmed,
}

RESTART_S: Final = 8.0
"""How long a write goes on trying while the daemon is away in the middle of it: a restart takes less."""

RECOVERING: Final = "recovering"
RECOVERING_PAUSE_S: Final = 0.5


class Lost(NotRunning):
    """The daemon went away in the middle of a request: what became of it is not known."""

    default_code = "connection_lost"


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that is no error. ``body`` is decoded JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]


class UnconfirmedReceipt(Unconfirmed):
    """Accepted, but not confirmed in time; ``receipt`` tells how far it got."""

    def __init__(self, error: MawError, receipt: dict[str, Any]) -> None:
        super().__init__(error.message, hint=error.hint, code=error.code)
        self.receipt = receipt

    def as_json(self) -> dict[str, object]:
        return {**super().as_json(), "receipt": self.receipt}


class Door:
    """Where a daemon is asked. ``patience`` is how many seconds an answer may take; keywords beside it are the query,
    None left out."""

    __slots__ = ()

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """Not connected yet; ``connect`` raises NotRunning or Refused."""
        raise NotImplementedError

    def who(self) -> dict[str, str]:
        """Headers that say who speaks."""
        raise NotImplementedError

    def is_open(self) -> bool:
        """Whether somebody takes connections there now."""
        connection = self.connection(5.0)
        try:
            connection.connect()
        except (MawError, OSError):
            return False
        finally:
            connection.close()
        return True

    def do(self, call: Call[T]) -> T:
        """The answer to a call of maw.client.calls."""
        return call.read(self.carry_out(call).body)

    def carry_out(self, call: Call[Any]) -> Answer:
        if call.method == "GET":
            return self.get(call.path, patience=call.patience, **call.query)
        ask = self.post_once if call.once else self.post
        return ask(call.path, call.body, patience=call.patience, **call.query)

    def get(self, path: str, *, patience: float = 30.0, **query: object) -> Answer:
        return self._ask("GET", path, query, None, {}, patience)

    def post(self, path: str, body: object, *, patience: float = 30.0, **query: object) -> Answer:
        return self._ask("POST", path, query, body, {}, patience)

    def delete(self, path: str) -> Answer:
        return self._ask("DELETE", path, {}, None, {}, 30.0)

    def post_once(self, path: str, body: object, *, patience: float = 30.0, **query: object) -> Answer:
        """A write that happens once however often the connection breaks: retried under one key; also, for as long as
        an answer may take, where the daemon cannot tell yet whether it was there before."""
        headers = {"Idempotency-Key": next_key()}
        deadline, back_by = time.monotonic() + RESTART_S, time.monotonic() + patience
        lost: Lost | None = None
        while True:
            try:
                return self._ask("POST", path, query, body, headers, patience)
            except Lost as error:
                lost = error
            except NotRunning:
                if lost is None:
                    raise
            except Unavailable as error:
                if error.code != RECOVERING or time.monotonic() > back_by:
                    raise
                time.sleep(RECOVERING_PAUSE_S)
                continue
            if time.monotonic() > deadline:
                raise lost
            time.sleep(0.1)

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        body: object,
        headers: Mapping[str, str],
        timeout: float,
    ) -> Answer:
        asked = {name: value for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(asked)}" if asked else path
        sent = {"Host": "localhost", "Connection": "close", **self.who(), **headers}
        payload = None
        if method == "POST":
            payload = json.dumps({} if body is None else body).encode()
            sent["Content-Type"] = "application/json"
        connection = self.connection(timeout)
        try:
            connection.connect()
            return _answer(connection, method, target, payload, sent)
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class Daemon(Door):
    """A daemon that was found. ``speaker`` goes with each request; None lets the daemon tell by the uid. ``pane``: the
    tmux pane that is asked from (`maw.client.pane`), which says who speaks where ``speaker`` names no agent."""

    socket: Path
    speaker: str | None = None
    pane: str | None = None

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        return UnixConnection(self.socket, timeout)

    def who(self) -> dict[str, str]:
        said = {"X-Maw-Agent": self.speaker, "X-Maw-Pane": self.pane}
        return {name: value for name, value in said.items() if value is not None}


class UnixConnection(http.client.HTTPConnection):
    """http.client over a Unix socket. ``connect`` raises NotRunning or Refused."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(os.fspath(self._path))
        except PermissionError:
            raise _not_permitted(self._path) from None
        except OSError as error:
            raise NotRunning(
                f"the daemon is not running: no answer at {self._path} ({error.strerror or error})",
                hint="`maw up` starts it here, `maw service install` keeps it running",
            ) from None


def _answer(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    payload: bytes | None,
    headers: Mapping[str, str],
) -> Answer:
    try:
        connection.request(method, target, body=payload, headers=dict(headers))
        response = connection.getresponse()
        raw = response.read()
    except TimeoutError:
        raise Unavailable(
            f"the daemon did not answer within {connection.timeout:g} s",
            code="no_answer",
            hint="`maw doctor` looks for the reason",
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise Lost(
            f"the daemon went away in the middle of the request ({error or type(error).__name__})",
            hint="`maw status` tells whether it is back; `maw sent` tells what it took",
        ) from None
    body = _decoded(raw, response.status)
    if response.status >= HTTPStatus.BAD_REQUEST:
        raise error_from(response.status, body)
    return Answer(response.status, body, dict(response.getheaders()))


def _decoded(raw: bytes, status: int) -> Any:
    if not raw and status == HTTPStatus.NO_CONTENT:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        raise InternalError(
            f"the daemon's answer ({status}) is no JSON: {one_line(raw[:60].decode(errors='replace'), 60)}",
            hint="is this socket really maw's? `maw status` says which one it is",
        ) from None


def error_from(status: int, body: Any) -> MawError:
    """The daemon's ``{"error": {…}}`` as the error that has the right exit code."""
    told = body.get("error") if isinstance(body, dict) else None
    told = told if isinstance(told, dict) else {}
    candidates = [str(one) for one in told.get("candidates") or ()]
    code = str(told.get("code") or f"http_{status}")
    message = str(told.get("message") or f"the daemon answered {status} without saying why")
    kind = _BY_STATUS.get(status, InternalError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else BadInput)
    if kind is Conflict and code == Ambiguous.default_code:
        kind = Ambiguous
    error = kind(message, hint=str(told.get("hint") or ""), code=code, candidates=candidates)
    if isinstance(error, TooMany):
        error.retry_after = _seconds(told.get("retry_after"))
    if isinstance(error, Unconfirmed) and isinstance(body.get("receipt"), dict):
        return UnconfirmedReceipt(error, body["receipt"])
    return error


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) and value >= 0 else 1.0


def find_daemon(
    env: Mapping[str, str], euid: int, speaker: str | None = None, system: Path = SYSTEM_HOME
) -> Daemon:
    """The daemon meant here. Raises NotRunning saying where it was looked for.

    $MAW_SOCKET or $MAW_HOME, where set, are the only place: another node would speak under another name. A
    node of one's own that is not running is not passed over for the system's either.
    """
    if env.get("MAW_SOCKET"):
        return Daemon(Path(env["MAW_SOCKET"]), speaker)
    tried: list[str] = []
    for home, because in candidate_homes(env, euid, system):
        path = home / "maw.sock"
        state = _state_of(path)
        if state == "open":
            return Daemon(path, speaker)
        if state == "not permitted":
            raise _not_permitted(path)
        tried.append(f"{path} ({because}: {state})")
        if because == "$MAW_HOME" or os.path.lexists(home / "maw.toml"):
            raise NotRunning(
                f"the daemon is not running; tried {'; '.join(tried)}", hint=_start_hint(home, because)
            )
    raise NotRunning(
        f"there is no node here yet; tried {'; '.join(tried)}",
        code="no_node",
        hint="`maw init` makes one, `maw up` starts it; or set MAW_HOME or MAW_SOCKET",
    )


def wait_until_back(daemon: Door, told: Callable[[], None], deadline: float | None = None) -> None:
    """Returns once the daemon takes connections again, or at ``deadline`` (monotonic); calls ``told`` once.

    Always pauses a little, so that a daemon that answers and breaks off again is not asked in a busy loop.
    """
    pause = 0.2
    time.sleep(pause)
    if daemon.is_open():
        return
    told()
    while not daemon.is_open() and (deadline is None or time.monotonic() < deadline):
        time.sleep(pause)
        pause = min(pause * 1.6, 1.0)


def segment(name: str) -> str:
    """A name as one piece of a URL's path."""
    return quote(name, safe="")


def may_be_listening(path: Path) -> bool:
    """Whether this socket may be a running daemon's. Only a refused connection proves that it is nobody's; a full
    queue or no permission does not."""
    if not path.exists():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def _state_of(path: Path) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(os.fspath(path))
        except FileNotFoundError:
            return "no socket"
        except PermissionError:
            return "not permitted"
        except ConnectionRefusedError:
            return "a socket, and nobody listening"
        except TimeoutError:
            return "not answering"
        except OSError as error:
            return error.strerror or str(error)
    return "open"


def _not_permitted(path: Path) -> Refused:
    return Refused(
        f"you may not open {path}",
        code="not_permitted",
        hint="it is for the daemon's user and its [socket] group: ask its owner to add you to that group",
    )


def _start_hint(home: Path, because: str) -> str:
    if not os.path.lexists(home / "maw.toml"):
        return f"there is no node in {home}: `maw init` makes one"
    if because == "the system's":
        return "`systemctl start maw` starts it, `journalctl -u maw` tells why it ended"
    return "`maw up` starts it here, `maw service install` keeps it running"
