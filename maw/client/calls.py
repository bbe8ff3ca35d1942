"""The API as data: what each call asks, and how its answer is read. Who carries it out may wait, or be awaited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from maw.client.records import Message, Receipt

T = TypeVar("T", covariant=True)
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """``once``: a write that must not happen twice, however often it is asked. ``patience``: seconds for an answer."""

    method: str
    path: str
    read: Callable[[Any], T]
    query: Mapping[str, object] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    once: bool = False
    patience: float = PATIENCE_S


def _as_told(told: Any) -> dict[str, Any]:
    return dict(told)


def _list(told: Any) -> list[dict[str, Any]]:
    return [dict(one) for one in told]


def _messages(told: Any) -> list[Message]:
    return [Message.of(one) for one in told]


def _acked(told: Any) -> list[str]:
    return list(told["acked"])


def whoami() -> Call[dict[str, Any]]:
    return Call("GET", "/api/whoami", _as_told)


def status() -> Call[dict[str, Any]]:
    return Call("GET", "/api/status", _as_told)


def peers() -> Call[list[dict[str, Any]]]:
    return Call("GET", "/api/peers", _list)


def users() -> Call[list[dict[str, Any]]]:
    return Call("GET", "/api/users", _list)


def channels() -> Call[list[dict[str, Any]]]:
    return Call("GET", "/api/channels", _list)


def messages(channel: str, **query: object) -> Call[list[Message]]:
    return Call(
        "GET", f"/api/channels/{_segment(channel)}/messages", _messages, query, patience=_until(query)
    )


def mentions(user: str, **query: object) -> Call[list[Message]]:
    return Call("GET", "/api/mentions", _messages, {"user": user, **query}, patience=_until(query))


def inbox(**query: object) -> Call[list[Message]]:
    return Call("GET", "/api/inbox", _messages, query, patience=_until(query))


def search(words: str, **query: object) -> Call[list[Message]]:
    return Call("GET", "/api/search", _messages, {"q": words, **query})


def message(ref: str) -> Call[Message]:
    return Call("GET", f"/api/messages/{quote(ref, safe='')}", Message.of)


def post(
    channel: str, text: str, wait: str | None, timeout: float, wishes: Mapping[str, object]
) -> Call[Receipt]:
    return _say(f"/api/channels/{_segment(channel)}/messages", {"text": text, **wishes}, wait, timeout)


def send(
    to: str | Sequence[str], text: str, wait: str | None, timeout: float, wishes: Mapping[str, object]
) -> Call[Receipt]:
    names = to if isinstance(to, str) else list(to)
    return _say("/api/direct", {"to": names, "text": text, **wishes}, wait, timeout)


def ack(refs: Sequence[str]) -> Call[list[str]]:
    return Call("POST", "/api/ack", _acked, body={"ids": list(refs)})


def ack_all() -> Call[list[str]]:
    return Call("POST", "/api/ack", _acked, body={"all": True})


def _say(path: str, body: Mapping[str, Any], wait: str | None, timeout: float) -> Call[Receipt]:
    query = {"wait": wait, "timeout": f"{timeout:g}"} if wait else {}
    patience = PATIENCE_S + (timeout if wait else 0)
    said = {name: value for name, value in body.items() if value is not None}
    if said.get("files"):
        said["files"] = [{"hash": one["hash"], "name": one["name"]} for one in said["files"]]
    return Call("POST", path, Receipt.of, query, said, once=True, patience=patience)


def _segment(channel: str) -> str:
    return quote(channel.removeprefix("#"), safe="")


def _until(query: Mapping[str, object]) -> float:
    wait = query.get("wait")
    return PATIENCE_S + (wait if isinstance(wait, int | float) else 0)
