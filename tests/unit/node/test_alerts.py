"""Alerts: counted, logged once, written with little, kept when they cannot be."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from maw.core.effects import Alert
from maw.errors import NotFound, Unavailable
from maw.node import alerts as alerts_module
from maw.node.alerts import MAX_KEPT, Alerts
from tests.unit.store.opened import Store, open_store


async def told(
    store: Store, limit: int = 20, alerts: Alerts | None = None
) -> list[tuple[str, str, str, int]]:
    found = await (alerts or Alerts(store.writer)).recent(store.db, lambda at: at, limit)
    return [(item["kind"], item["subject"], item["text"], item["count"]) for item in found]


async def test_alike_ones_are_counted_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(tmp_path / "c.db") as store:
        alerts = Alerts(store.writer)
        with caplog.at_level(logging.WARNING):
            for n in range(5):
                alerts.raise_alert(Alert("fork", "abc", f"text {n}"))
            alerts.raise_alert(Alert("fork", "xyz", "another"))
        assert [record.getMessage() for record in caplog.records] == ["fork: text 0", "fork: another"]
        assert alerts.unsaved
        await alerts.save()
        assert alerts._unsaved == {}
        assert set(await told(store)) == {("fork", "abc", "text 4", 5), ("fork", "xyz", "another", 1)}
        alerts.raise_alert(Alert("fork", "abc", "again"))
        await alerts.save()
        assert ("fork", "abc", "again", 6) in await told(store)


async def test_an_hour_later_it_is_logged_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [10_000_000]
    monkeypatch.setattr(alerts_module, "wall_clock_ms", lambda: now[0])
    async with open_store(tmp_path / "c.db") as store:
        alerts = Alerts(store.writer)
        with caplog.at_level(logging.WARNING):
            for later in (0, 3_599_999, 3_600_001):
                now[0] = 10_000_000 + later
                alerts.raise_alert(Alert("disk", "mbp", f"{later}"))
        assert len(caplog.records) == 2


async def test_what_cannot_be_written_is_kept_and_counted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from maw.errors import Unavailable

    async with open_store(tmp_path / "c.db") as store:
        alerts = Alerts(store.writer)

        async def full(*_: Any) -> None:
            alerts.raise_alert(Alert("disk", "mbp", "meanwhile"))
            raise Unavailable("full")

        alerts.raise_alert(Alert("disk", "mbp", "1"))
        alerts.raise_alert(Alert("disk", "mbp", "2"))
        with monkeypatch.context() as patch:
            patch.setattr(store.writer, "submit", full)
            await alerts.save()
        assert alerts.unsaved
        await alerts.save()
        assert await told(store) == [("disk", "mbp", "meanwhile", 3)]


async def test_a_flood_of_different_ones_is_bounded(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        alerts = Alerts(store.writer)
        for n in range(MAX_KEPT + 100):
            alerts.raise_alert(Alert("kind", f"{n}", "text"))
        await alerts.save()
        for n in range(MAX_KEPT):
            alerts.raise_alert(Alert("other", f"{n}", "text"))
        await alerts.save()
        assert (await store.db.rows("SELECT count(*) FROM alerts"))[0][0] == MAX_KEPT
        assert len(await told(store, 7)) == 7


async def test_what_was_seen_to_is_gone_until_it_happens_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(tmp_path / "c.db") as store:
        alerts = Alerts(store.writer)
        for kind, subject in (("copied_host", "abc"), ("copied_host", "xyz"), ("recovery", "mbp")):
            alerts.raise_alert(Alert(kind, subject, "text"))
        assert await alerts.dismiss("copied_host", "abc") == [{"kind": "copied_host", "subject": "abc"}]
        assert {item[1] for item in await told(store)} == {"xyz", "mbp"}
        assert await alerts.dismiss("copied_host", None) == [{"kind": "copied_host", "subject": "xyz"}]
        caplog.clear()
        alerts.raise_alert(Alert("copied_host", "abc", "again"))
        assert [record.getMessage() for record in caplog.records] == ["copied_host: again"]
        await alerts.save()
        assert ("copied_host", "abc", "again", 1) in await told(store)
        assert len(await alerts.dismiss(None, None)) == 2
        for which, words in (("fork", "no alert fork"), (None, "there is no alert")):
            with pytest.raises(NotFound, match=words) as no:
                await alerts.dismiss(which, None)
            assert no.value.code == "no_such_alert"


async def test_what_the_disk_has_not_taken_is_shown_too(tmp_path: Path) -> None:
    async with open_store(tmp_path / "c.db") as store:
        alerts = Alerts(store.writer)
        alerts.raise_alert(Alert("disk", "mbp", "full"))
        alerts.raise_alert(Alert("old", "one", "over soon"))
        assert ("disk", "mbp", "full", 1) in await told(store, alerts=alerts)
        await alerts.save()
        alerts.raise_alert(Alert("disk", "mbp", "still full"))
        alerts.settle("old", "one")
        assert await told(store, alerts=alerts) == [("disk", "mbp", "still full", 2)]


async def test_what_a_failing_disk_is_taking_its_time_over_is_shown_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(tmp_path / "c.db") as store:
        alerts = Alerts(store.writer)
        refuse = asyncio.Event()

        async def slow(*_: object) -> None:
            await refuse.wait()
            raise Unavailable("I/O error", code="cannot_write")

        alerts.raise_alert(Alert("disk", "mbp", "failing"))
        alerts.raise_alert(Alert("old", "one", "over soon"))
        with monkeypatch.context() as patch:
            patch.setattr(store.writer, "submit", slow)
            saving = asyncio.ensure_future(alerts.save())
            await asyncio.sleep(0)
            alerts.raise_alert(Alert("disk", "mbp", "failing"))
            alerts.settle("old", "one")
            assert await told(store, alerts=alerts) == [("disk", "mbp", "failing", 2)]
            refuse.set()
            await saving
        assert await told(store, alerts=alerts) == [("disk", "mbp", "failing", 2)]
        await alerts.save()
        assert await told(store, alerts=alerts) == [("disk", "mbp", "failing", 2)]


async def test_a_fault_is_told_with_its_trace_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(tmp_path / "c.db") as store:
        alerts = Alerts(store.writer)
        alerts.bug("some loop", ZeroDivisionError("by \x1b[31m"))
        ((kind, subject, text, _),) = await told(store, alerts=alerts)
        assert (kind, subject) == ("bug", "some loop")
        assert "ZeroDivisionError" in text
        assert text.isprintable()
        assert any(record.exc_info for record in caplog.records)


async def test_what_is_written_while_somebody_looks_is_seen(tmp_path: Path) -> None:
    """The rows were read before it stood there, and it is not pending any more when they are put together."""
    async with open_store(tmp_path / "c.db") as store:
        alerts = Alerts(store.writer)
        alerts.raise_alert(Alert("cost", "colony usd", "80 %"))

        class Slow:
            async def rows(self, sql: str, words: tuple[Any, ...]) -> Any:
                found = await store.db.rows(sql, words)
                if alerts.unsaved:
                    await alerts.save()
                return found

        slow: Any = Slow()
        found = await alerts.recent(slow, lambda at: at)
        assert [(one["subject"], one["count"]) for one in found] == [("colony usd", 1)]
