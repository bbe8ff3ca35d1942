"""The Colony as a script sees it: ``with`` nothing to set up, each call an answer of docs/api.md with names.

    from maw.client import Colony
    colony = Colony(agent="neo")                    # this host's daemon, over its socket
    colony.send("@arthur", "the build is green")
    for message in colony.listen():
        print(message.author, message.text)

Every method raises MawErrors (maw.errors): NotRunning where no daemon answers, Refused, NotFound, Ambiguous, BadInput,
TooMany with ``retry_after``, Unconfirmed where ``wait`` ran out. ``AsyncColony`` is the same with ``await``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from maw.client import calls
from maw.client.calls import Call
from maw.client.daemon import Door, Lost, find_daemon, wait_until_back
from maw.client.pane import pane_of
from maw.client.records import Message, Receipt, told_by
from maw.client.rest import Rest
from maw.errors import NotRunning

T = TypeVar("T")


def door(agent: str | None, url: str | None, token: str | None, env: Mapping[str, str]) -> Door:
    """Over REST where ``url`` or a token are given, else over this host's socket as ``agent``, $MAW_AGENT, or whose
    tmux pane this is. Raises NotRunning."""
    if url is not None or token is not None:
        return Rest(url or "http://127.0.0.1:6291", token)
    name = agent or env.get("MAW_AGENT") or None
    found = find_daemon(env, os.geteuid(), name.removeprefix("@") if name else None)
    return found if name else type(found)(found.socket, None, pane_of(env))


class Colony:
    """One speaker at one node."""

    def __init__(self, agent: str | None = None, *, url: str | None = None, token: str | None = None) -> None:
        self._door = door(agent, url, token, os.environ)

    def whoami(self) -> dict[str, Any]:
        """Who you are to this node, and how it knows."""
        return self._do(calls.whoami())

    def status(self) -> dict[str, Any]:
        return self._do(calls.status())

    def peers(self) -> list[dict[str, Any]]:
        return self._do(calls.peers())

    def users(self) -> list[dict[str, Any]]:
        """Agents and humans, of every node."""
        return self._do(calls.users())

    def channels(self) -> list[dict[str, Any]]:
        return self._do(calls.channels())

    def send(
        self,
        to: str | Sequence[str],
        text: str,
        *,
        wait: str | None = None,
        timeout: float = 10.0,
        **wishes: object,
    ) -> Receipt:
        """To an agent or several and nobody else, once, however often the connection breaks. ``wait``: until it is
        ``replicated``, ``delivered``, ``read`` or ``acked``, else Unconfirmed. ``wishes``: ``reply_to``, ``intent`` and
        what else POST /api/direct takes."""
        return self._do(calls.send(to, text, wait, timeout, wishes))

    def post(
        self, channel: str, text: str, *, wait: str | None = None, timeout: float = 10.0, **wishes: object
    ) -> Receipt:
        """In a channel; else as ``send``."""
        return self._do(calls.post(channel, text, wait, timeout, wishes))

    def inbox(
        self, *, after_seq: int | None = None, limit: int | None = None, wait: float | None = None
    ) -> list[Message]:
        """What is not acknowledged, oldest first; reading changes nothing. ``wait``: up to so many seconds for one."""
        return self._do(calls.inbox(after_seq=after_seq, limit=limit, wait=wait))

    def ack(self, *refs: str | Message) -> list[str]:
        """These are done with, for good. Returns the ids of which it is new."""
        return self._do(calls.ack([one.id if isinstance(one, Message) else one for one in refs]))

    def ack_all(self) -> list[str]:
        """All that is unread now."""
        return self._do(calls.ack_all())

    def messages(
        self,
        channel: str,
        *,
        after_seq: int | None = None,
        before_seq: int | None = None,
        limit: int | None = None,
        wait: float | None = None,
    ) -> list[Message]:
        """Of a channel, ascending; without a cursor the latest."""
        return self._do(
            calls.messages(channel, after_seq=after_seq, before_seq=before_seq, limit=limit, wait=wait)
        )

    def mentions(
        self, user: str, *, after_seq: int | None = None, limit: int | None = None, wait: float | None = None
    ) -> list[Message]:
        """Over all channels."""
        return self._do(calls.mentions(user, after_seq=after_seq, limit=limit, wait=wait))

    def search(self, words: str, **filters: object) -> list[Message]:
        """The best first. ``filters``: ``channel``, ``author``, ``since`` and what else GET /api/search takes."""
        return self._do(calls.search(words, **filters))

    def message(self, ref: str) -> Message:
        """By its id, or its seq here."""
        return self._do(calls.message(ref))

    def attach(self, path: str | os.PathLike[str], name: str | None = None) -> dict[str, Any]:
        """Upload a file of this machine; what comes back goes into ``files=[…]`` of ``send`` or ``post``."""
        from maw.client.files import attach_path  # few send files

        return attach_path(self._door, Path(path), name)

    def fetch(
        self,
        message: str | Message,
        to: str | os.PathLike[str],
        n: int = 1,
        *,
        wait: bool = False,
        force: bool = False,
    ) -> int:
        """Write the ``n``-th file of a message to the path ``to``; its bytes. It is fetched from another host where it
        is not here: Unavailable when nobody who is linked gives it, unless ``wait``. Conflict when ``to`` is there."""
        from maw.client import files

        ref = message.id if isinstance(message, Message) else message
        files.fetch(self._door, ref, n, wait=wait)
        return files.save(self._door, ref, n, Path(to), force=force)

    def listen(
        self,
        *,
        after_seq: int | None = None,
        channel: str | None = None,
        user: str | None = None,
        changes: bool = False,
    ) -> Iterator[Message]:
        """Live, for ever, in order and each once, over restarts of the daemon too; from ``after_seq`` on, else what
        comes from now on. ``changes``: messages from before that are edited or taken back come again, as they are
        then, with ``change`` set. Raises NotRunning only when there is no daemon to begin with."""
        from maw.client.stream import follow  # only who listens pays for it

        seq = self._newest() if after_seq is None else after_seq
        wanted = "true" if changes else None
        while True:
            try:
                for frame in follow(self._door, after_seq=seq, channel=channel, user=user, changes=wanted):
                    seq, message = told_by(frame, seq)
                    if message is not None:
                        yield message
            except (Lost, NotRunning):
                wait_until_back(self._door, lambda: None)

    def _newest(self) -> int:
        """Where "from now on" begins: what is said while the stream opens, or the daemon restarts, is not left out."""
        return int(self._door.carry_out(calls.channels()).headers["X-Maw-Next-Seq"])

    def _do(self, call: Call[T]) -> T:
        return self._door.do(call)
