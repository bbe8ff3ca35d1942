"""What a human should know: counted, not repeated; logged once an hour for each kind and subject."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import aiosqlite

from maw.core.effects import Alert
from maw.core.transcript import plain_words
from maw.errors import MawError, NotFound
from maw.node.authoring import wall_clock_ms
from maw.store.database import Database
from maw.store.writer import Writer

log = logging.getLogger(__name__)

REPEAT_MS: Final = 3_600_000
MAX_KEPT: Final = 500
_UPSERT: Final = """INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, subject) DO UPDATE
SET text = excluded.text, count = count + excluded.count, last = excluded.last"""

_DISMISS: Final = """DELETE FROM alerts WHERE (? IS NULL OR kind = ?) AND (? IS NULL OR subject = ?)
RETURNING kind, subject"""


class Alerts:
    """Takes alerts from anywhere on the loop; the disk hears of them at most once a second."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._heard: Callable[[Alert], None] = lambda _: None
        self._over: Callable[[str, str], None] = lambda _kind, _subject: None
        self._unsaved: dict[tuple[str, str], tuple[Alert, int, int]] = {}
        self._saving: dict[tuple[str, str], tuple[Alert, int, int]] = {}
        self._logged: dict[tuple[str, str], int] = {}
        self._settled: set[tuple[str, str]] = set()
        self._saves = 0

    def listen(self, heard: Callable[[Alert], None], over: Callable[[str, str], None]) -> None:
        """From now on these are called with each alert, and with what is settled. They must not fail."""
        self._heard, self._over = heard, over

    def raise_alert(self, alert: Alert) -> None:
        now = wall_clock_ms()
        about = (alert.kind, alert.subject)
        first, count = (self._unsaved[about][1:]) if about in self._unsaved else (now, 0)
        self._settled.discard(about)
        if about in self._unsaved or len(self._unsaved) < MAX_KEPT:
            self._unsaved[about] = (alert, first, count + 1)
        if now - self._logged.get(about, 0) >= REPEAT_MS:
            self._logged = {key: at for key, at in self._logged.items() if now - at < REPEAT_MS}
            self._logged[about] = now
            log.warning("%s: %s", alert.kind, alert.text)
        self._heard(alert)

    def bug(self, what: str, error: BaseException) -> None:
        """A fault of maw's own that did not end the node: its trace goes to the log."""
        log.error("a fault in %s", what, exc_info=error)
        reason = plain_words(f"{type(error).__name__}: {error}", 200)
        text = f"a fault in {what}: {reason}. It is a bug: please report it with what the log says"
        self.raise_alert(Alert("bug", what, text))

    def settle(self, kind: str, subject: str) -> None:
        """What this alert spoke of is over: it is no longer shown. Harmless when there is none."""
        self._unsaved.pop((kind, subject), None)
        self._logged.pop((kind, subject), None)
        self._settled.add((kind, subject))
        self._over(kind, subject)

    async def dismiss(self, kind: str | None, subject: str | None) -> list[dict[str, str]]:
        """The owner has seen to these: gone until it happens again. None stands for any. NotFound, Unavailable."""
        if self.unsaved:
            await self.save()

        async def write(conn: aiosqlite.Connection) -> list[tuple[str, str]]:
            asked = (kind, kind, subject, subject)
            found = await conn.execute_fetchall(_DISMISS, asked)
            return sorted((row[0], row[1]) for row in found)

        dismissed = await self._writer.submit(write)
        for about in dismissed:
            self._logged.pop(about, None)
        if not dismissed:
            what = (
                "no alert" if kind is None else f"no alert {kind}" + (f" about {subject}" if subject else "")
            )
            raise NotFound(f"there is {what}", code="no_such_alert", hint="`maw alerts` shows them")
        return [{"kind": kind, "subject": subject} for kind, subject in dismissed]

    async def recent(self, db: Database, show: Callable[[int], Any], limit: int = 20) -> list[dict[str, Any]]:
        """The latest alerts, newest first, as status shows them: also those that the disk has not taken yet."""
        sql = "SELECT kind, subject, text, count, last FROM alerts ORDER BY last DESC LIMIT ?"
        while True:
            saves = self._saves
            rows = await db.rows(sql, (limit + len(self._settled),))
            if saves == self._saves:
                break  # else what was written meanwhile is neither in these rows nor pending any more
        found = {
            (kind, subject): (last, text, count)
            for kind, subject, text, count, last in rows
            if (kind, subject) not in self._settled
        }
        pending = [*self._saving.items(), *self._unsaved.items()]
        for about, (alert, first, count) in pending:
            if about in self._settled:
                continue
            found[about] = (
                self._logged.get(about, first),
                alert.text,
                count + found.get(about, (0, "", 0))[2],
            )
        newest = sorted(found.items(), key=lambda item: item[1][0], reverse=True)[:limit]
        return [
            {"at": show(last), "kind": kind, "subject": subject, "text": text, "count": count}
            for (kind, subject), (last, text, count) in newest
        ]

    @property
    def unsaved(self) -> bool:
        return bool(self._unsaved or self._settled)

    async def save(self) -> None:
        """Write what gathered, if anything. What cannot be written now is kept for the next time."""
        if not self.unsaved:
            return
        taken, self._unsaved = self._unsaved, {}
        self._saving = dict(taken)  # a failing disk may take its time, and that is when somebody looks
        settled, self._settled = self._settled, set()
        rows = [
            (alert.kind, alert.subject, alert.text, count, first, wall_clock_ms())
            for alert, first, count in taken.values()
        ]

        async def write(conn: aiosqlite.Connection) -> None:
            await conn.executemany("DELETE FROM alerts WHERE kind = ? AND subject = ?", sorted(settled))
            await conn.executemany(_UPSERT, rows)
            await conn.execute(
                "DELETE FROM alerts WHERE (kind, subject) NOT IN"
                " (SELECT kind, subject FROM alerts ORDER BY last DESC LIMIT ?)",
                (MAX_KEPT,),
            )

        def written(_: None) -> None:
            self._saving.clear()
            self._saves += 1

        try:
            await self._writer.submit(write, written)
        except MawError as error:
            log.debug("alerts could not be written yet: %s", error.message)
            over = self._settled
            self._settled = over | (settled - set(self._unsaved))
            for about, (alert, first, count) in taken.items():
                if about in over:
                    continue
                later = self._unsaved.get(about, (alert, first, 0))
                self._unsaved[about] = (later[0], first, count + later[2])
        finally:
            self._saving = {}
