"""What agents cost, on a real node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from maw.core.spending import DAY_MS, Run, day_text
from maw.errors import BadInput, NotFound
from tests.conftest import MakeHome
from tests.integration.nodes import Host, running

RUN = Run("r1", "pulse", 1500, "opus", 10, 20, 30, 12_300)


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as host:
        await host.add("arthur", "neo")
        yield host


async def told(host: Host, **asked: Any) -> Any:
    options = {"agent": None, "since": None, "until": None, "colony": False, **asked}
    return await host.service.costs(await host.owner(), **options)


async def test_a_run_counts_once_for_its_id(host: Host) -> None:
    arthur = await host.as_("arthur")
    first = await host.service.take_run(arthur, RUN)
    again = await host.service.take_run(arthur, RUN._replace(usd=999))
    assert (first["counted"], again["counted"]) == (True, False)
    assert again["today"] == first["today"]
    assert first["today"]["usd"] == 0.0123
    assert (await host.service.take_run(await host.as_("neo"), RUN))["counted"], "ids are each agent's own"
    found = await told(host)
    assert [(line["agent"], line["runs"], line["model"]) for line in found["items"]] == [
        ("arthur@mbp", 1, "opus"), ("neo@mbp", 1, "opus")
    ]  # fmt: skip
    assert found["total"]["usd"] == 0.0246
    assert (found["total"]["runner_s"], found["total"]["cache_tokens"]) == (3.0, 60)


async def test_it_outlives_the_daemon(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur")
        await host.service.take_run(await host.as_("arthur"), RUN)
    async with running(home) as host:
        arthur = await host.as_("arthur")
        assert not (await host.service.take_run(arthur, RUN))["counted"]
        assert (await host.service.take_run(arthur, RUN._replace(id="r2")))["today"]["runs"] == 2
        (line,) = (await told(host))["items"]
        assert (line["runs"], line["usd"]) == (2, 0.0246)


async def test_a_clock_that_is_set_back_begins_no_new_day(host: Host) -> None:
    arthur, costs = await host.as_("arthur"), host.node.costs
    day = costs.day
    await host.service.take_run(arthur, RUN)
    now = costs._now
    costs._now = lambda: now() - 3 * DAY_MS
    answer = await host.service.take_run(arthur, RUN._replace(id="r2"))
    assert (answer["today"]["day"], answer["today"]["runs"]) == (day_text(day), 2)
    costs._now = lambda: now() + DAY_MS
    answer = await host.service.take_run(arthur, RUN._replace(id="r3"))
    assert (answer["today"]["day"], answer["today"]["runs"]) == (day_text(day + 1), 1)


async def test_of_one_agent_and_of_days(host: Host) -> None:
    await host.service.take_run(await host.as_("arthur"), RUN)
    day = host.node.costs.day
    assert len((await told(host, agent="@arthur"))["items"]) == 1
    with pytest.raises(NotFound):
        await told(host, agent="nobody")
    assert (await told(host, until=day - 1))["items"] == []
    with pytest.raises(BadInput, match="no span"):
        await told(host, since=day, until=day - 1)


async def test_what_a_role_costs_is_its_bearers(host: Host) -> None:
    await host.service.add_user(await host.owner(), "critic", "agent", of="neo")
    await host.service.take_run(await host.as_("critic"), RUN)
    (line,) = (await told(host))["items"]
    assert line["agent"] == "neo@mbp"
    await host.service.remove_user(await host.owner(), "critic")
    await host.service.remove_user(await host.owner(), "neo")
    assert (await told(host, agent="neo"))["total"]["runs"] == 1, "what a removed agent cost stays"
