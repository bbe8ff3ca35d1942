"""What the Tab key offers: names and numbers, asked of the daemon. Quick, and silent when it cannot tell."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from maw.core.intents import INTENTS, PRIORITIES
from maw.core.states import MARKS, REPLICATED

PATIENCE_S: Final = 0.5
_MANY: Final = 50


def agents(ctx: Any, incomplete: str) -> list[str]:
    """``arthur``, ``@arthur``: as it was begun. bash breaks words at @: what stands after one comes without."""
    return _starting(incomplete.lstrip("@"), _agents(), "@" if incomplete.startswith("@") else "")


def own_agents(ctx: Any, incomplete: str) -> list[str]:
    """Those of this host, whom one may speak as."""
    users = _ask("/api/users")
    return _starting(incomplete, (user["username"] for user in users if user.get("local")))


def channels(ctx: Any, incomplete: str) -> list[str]:
    mark = "#" if incomplete.startswith("#") else ""
    return _starting(incomplete.removeprefix("#"), _channels(), mark)


def recipients(ctx: Any, incomplete: str) -> list[str]:
    """Agents with their @, and channels."""
    if incomplete.startswith("@"):
        return agents(ctx, incomplete)
    return [*channels(ctx, incomplete), *_starting(incomplete, _agents(), "@")]


def after_at(ctx: Any, incomplete: str) -> list[str]:
    """The first word of a text; in bash also the rest of @arthur, which it takes for another word."""
    return agents(ctx, incomplete) if _parameter(ctx, "to") == "@" else []


def readable(ctx: Any, incomplete: str) -> list[str]:
    """Channels, and ids of the latest messages to oneself."""
    return [*channels(ctx, incomplete), *messages(ctx, incomplete)]


def messages(ctx: Any, incomplete: str) -> list[str]:
    """Ids of what is unread, the newest first; where a number was begun, their numbers."""
    found = list(reversed(_ask("/api/inbox", _parameter(ctx, "as_name"), limit=_MANY)))
    field = "seq" if incomplete.isdecimal() else "id"
    return _starting(incomplete, (str(one[field]) for one in found))


def intents(ctx: Any, incomplete: str) -> list[str]:
    return _starting(incomplete, INTENTS)


def priorities(ctx: Any, incomplete: str) -> list[str]:
    return _starting(incomplete, PRIORITIES)


def wait_states(ctx: Any, incomplete: str) -> list[str]:
    return _starting(incomplete, (REPLICATED, *MARKS))


def peers(ctx: Any, incomplete: str) -> list[str]:
    return _starting(
        incomplete, (peer["name"] for peer in _ask("/api/peers") if peer["state"] != "forgotten")
    )


def pending_peers(ctx: Any, incomplete: str) -> list[str]:
    return _starting(incomplete, (peer["name"] for peer in _ask("/api/peers") if peer["state"] == "pending"))


def invites(ctx: Any, incomplete: str) -> list[str]:
    return _starting(incomplete, (invite["id"] for invite in _ask("/api/invites")))


Completion = Callable[[Any, str], list[str]]


def _agents() -> list[str]:
    """Names; where two bear one, with the host."""
    users = [user for user in _ask("/api/users") if user.get("status") != "dead"]
    names = [user["username"] for user in users]
    return [user["username"] if names.count(user["username"]) == 1 else user["address"] for user in users]


def _channels() -> list[str]:
    return [channel["name"] for channel in _ask("/api/channels")]


def _ask(path: str, speaker: str | None = None, **query: object) -> list[Mapping[str, Any]]:
    """A list from the daemon; nothing where it does not answer at once, or has something against it."""
    from maw.client.daemon import find_daemon
    from maw.errors import MawError

    who = speaker or os.environ.get("MAW_AGENT") or "~"  # it is a person who presses Tab
    try:
        body = find_daemon(os.environ, os.geteuid(), who).get(path, patience=PATIENCE_S, **query).body
    except (MawError, OSError, ValueError):
        return []
    return body if isinstance(body, list) else []


def _starting(incomplete: str, words: Iterable[str], mark: str = "") -> list[str]:
    """Plain words only: what a peer chose as a name goes into a shell's command line."""
    begun = incomplete.lower()
    plain = (
        word for word in words if word.isascii() and all(char.isalnum() or char in "-_@~" for char in word)
    )
    return [mark + word for word in dict.fromkeys(plain) if word.startswith(begun)][:_MANY]


def _parameter(ctx: Any, name: str) -> Any:
    return (getattr(ctx, "params", None) or {}).get(name)
