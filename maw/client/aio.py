"""``AsyncColony``: as ``Colony``, with ``await``; over aiohttp, whose connections it keeps."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp

from maw.client import calls
from maw.client.calls import Call
from maw.client.colony import door
from maw.client.daemon import (
    RECOVERING,
    RECOVERING_PAUSE_S,
    RESTART_S,
    Answer,
    Daemon,
    Door,
    Lost,
    error_from,
)
from maw.client.once import next_key
from maw.client.records import Message, Receipt, told_by
from maw.client.rest import Rest
from maw.errors import InternalError, MawError, NotRunning, Unavailable

T = TypeVar("T")
BACK_PAUSE_S: Final = 0.2
SILENCE_S: Final = 120.0
_BAD_REQUEST: Final = 400


class AsyncColony:
    """``async with AsyncColony(agent="neo") as colony:``. What methods take and raise stands in ``Colony``."""

    def __init__(self, agent: str | None = None, *, url: str | None = None, token: str | None = None) -> None:
        self._door = door(agent, url, token, os.environ)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def whoami(self) -> dict[str, Any]:
        return await self._do(calls.whoami())

    async def status(self) -> dict[str, Any]:
        return await self._do(calls.status())

    async def peers(self) -> list[dict[str, Any]]:
        return await self._do(calls.peers())

    async def users(self) -> list[dict[str, Any]]:
        return await self._do(calls.users())

    async def channels(self) -> list[dict[str, Any]]:
        return await self._do(calls.channels())

    async def send(
        self,
        to: str | Sequence[str],
        text: str,
        *,
        wait: str | None = None,
        timeout: float = 10.0,
        **wishes: object,
    ) -> Receipt:
        return await self._do(calls.send(to, text, wait, timeout, wishes))

    async def post(
        self, channel: str, text: str, *, wait: str | None = None, timeout: float = 10.0, **wishes: object
    ) -> Receipt:
        return await self._do(calls.post(channel, text, wait, timeout, wishes))

    async def inbox(
        self, *, after_seq: int | None = None, limit: int | None = None, wait: float | None = None
    ) -> list[Message]:
        return await self._do(calls.inbox(after_seq=after_seq, limit=limit, wait=wait))

    async def ack(self, *refs: str | Message) -> list[str]:
        return await self._do(calls.ack([one.id if isinstance(one, Message) else one for one in refs]))

    async def ack_all(self) -> list[str]:
        return await self._do(calls.ack_all())

    async def messages(
        self,
        channel: str,
        *,
        after_seq: int | None = None,
        before_seq: int | None = None,
        limit: int | None = None,
        wait: float | None = None,
    ) -> list[Message]:
        return await self._do(
            calls.messages(channel, after_seq=after_seq, before_seq=before_seq, limit=limit, wait=wait)
        )

    async def mentions(
        self, user: str, *, after_seq: int | None = None, limit: int | None = None, wait: float | None = None
    ) -> list[Message]:
        return await self._do(calls.mentions(user, after_seq=after_seq, limit=limit, wait=wait))

    async def search(self, words: str, **filters: object) -> list[Message]:
        return await self._do(calls.search(words, **filters))

    async def message(self, ref: str) -> Message:
        return await self._do(calls.message(ref))

    async def attach(self, path: str | os.PathLike[str], name: str | None = None) -> dict[str, Any]:
        from maw.client.files import attach_path

        return await asyncio.to_thread(attach_path, self._door, Path(path), name)

    async def fetch(
        self,
        message: str | Message,
        to: str | os.PathLike[str],
        n: int = 1,
        *,
        wait: bool = False,
        force: bool = False,
    ) -> int:
        """What is under way in its thread goes on for a second when this is cancelled."""
        from maw.client import files

        ref = message.id if isinstance(message, Message) else message
        await asyncio.to_thread(files.fetch, self._door, ref, n, wait=wait)
        return await asyncio.to_thread(files.save, self._door, ref, n, Path(to), force=force)

    async def listen(
        self,
        *,
        after_seq: int | None = None,
        channel: str | None = None,
        user: str | None = None,
        changes: bool = False,
    ) -> AsyncIterator[Message]:
        if after_seq is None:
            after_seq = int((await self._carry_out(calls.channels())).headers["X-Maw-Next-Seq"])
        seq = after_seq
        while True:
            wanted = "true" if changes else None
            query = _query({"after_seq": seq, "channel": channel, "user": user, "changes": wanted})
            try:
                async with self._open().ws_connect(
                    self._url("/api/stream"), params=query, headers=self._door.who(), max_msg_size=1 << 20
                ) as stream:
                    async for frame in stream:
                        seq, message = told_by(json.loads(frame.data), seq)
                        if message is not None:
                            yield message
            except aiohttp.WSServerHandshakeError as error:
                if error.status < 500:
                    raise error_from(error.status, None) from None
            except (aiohttp.ClientError, OSError):
                pass  # it is asked again below
            await asyncio.sleep(BACK_PAUSE_S)

    # -- carrying out ---------------------------------------------------------------------------------

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            at = self._door
            connector = aiohttp.UnixConnector(os.fspath(at.socket)) if isinstance(at, Daemon) else None
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session

    def _url(self, path: str) -> str:
        return f"{_base(self._door)}{path}"

    async def _do(self, call: Call[T]) -> T:
        return call.read((await self._carry_out(call)).body)

    async def _carry_out(self, call: Call[Any]) -> Answer:
        """As ``Door.post_once`` and its like."""
        if not call.once:
            return await self._ask(call, {})
        headers, loop = {"Idempotency-Key": next_key()}, asyncio.get_running_loop()
        deadline, back_by = loop.time() + RESTART_S, loop.time() + call.patience
        lost: Lost | None = None
        while True:
            pause = 0.1
            try:
                return await self._ask(call, headers)
            except Lost as error:
                lost = error
            except NotRunning:
                if lost is None:
                    raise
            except Unavailable as error:
                if error.code != RECOVERING or loop.time() > back_by:
                    raise
                deadline, pause = loop.time() + RESTART_S, RECOVERING_PAUSE_S
            if lost is not None and loop.time() > deadline:
                raise lost
            await asyncio.sleep(pause)

    async def _ask(self, call: Call[Any], headers: dict[str, str]) -> Answer:
        sent = {**self._door.who(), **headers}
        if call.method == "POST":
            sent["Content-Type"] = "application/json"
        try:
            async with self._open().request(
                call.method,
                self._url(call.path),
                params=_query(call.query),
                data=None if call.method == "GET" else json.dumps(call.body or {}).encode(),
                headers=sent,
                timeout=aiohttp.ClientTimeout(total=call.patience),
            ) as response:
                raw = await response.read()
                status, told = response.status, dict(response.headers)
        except aiohttp.ClientConnectorError as error:
            raise NotRunning(f"the daemon is not running: no answer ({error.os_error.strerror})") from None
        except TimeoutError:
            raise Unavailable(
                f"the daemon did not answer within {call.patience:g} s", code="no_answer"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(f"the daemon went away in the middle of the request ({error})") from None
        body = _decoded(raw, status)
        if status >= _BAD_REQUEST:
            raise error_from(status, body)
        return Answer(status, body, told)


def _base(at: Door) -> str:
    return at.url.rstrip("/") if isinstance(at, Rest) else "http://localhost"


def _query(asked: Any) -> dict[str, str]:
    return {name: str(value) for name, value in asked.items() if value is not None}


def _decoded(raw: bytes, status: int) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        raise _no_json(status) from None


def _no_json(status: int) -> MawError:
    return InternalError(f"the daemon's answer ({status}) is no JSON", hint="is this address really maw's?")
