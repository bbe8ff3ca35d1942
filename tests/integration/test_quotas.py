"""Who says too much here is told when there is room again; what was taken once is never refused; a human is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from maw.core.allowance import AT_ONCE, LONGEST_S
from maw.core.quota import Rate, Rates
from maw.errors import TooMany
from tests.conftest import MakeHome
from tests.integration.nodes import Host, config_of, running

FREE = Rate(0, 0)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def limited(make_home: MakeHome) -> AsyncIterator[Host]:
    home = make_home("mbp")
    config = config_of(home)
    rates = Rates(Rate(60, 3), FREE, FREE)
    config = replace(config, limits=replace(config.limits, rates=rates))
    async with running(home, config=config) as host:
        await host.add("arthur", "neo")
        yield host


@pytest.fixture
def clock(limited: Host) -> Clock:
    limited.node.quotas._monotonic = clock = Clock()
    return clock


async def test_who_says_too_much_is_told_when_to_come_back(limited: Host, clock: Clock) -> None:
    for n in range(3):
        await limited.send("neo", "arthur", f"word {n}")
    with pytest.raises(TooMany) as refused:
        await limited.send("neo", "arthur", "one too many")
    assert refused.value.retry_after == pytest.approx(1.0)
    told = refused.value.as_json()["error"]
    assert isinstance(told, dict) and told["code"] == "too_many" and told["retry_after"] == 1.0
    assert "at most 60 a minute" in told["message"] and "neo" in told["message"]
    await limited.send("arthur", "neo", "others are not kept from speaking")
    clock.now += 1.0
    await limited.send("neo", "arthur", "there is room again")
    assert await limited.texts("arthur") == ["word 0", "word 1", "word 2", "there is room again"]


async def test_what_was_taken_is_not_refused_when_it_is_asked_again(limited: Host, clock: Clock) -> None:
    first = await limited.send("neo", "arthur", "once", idempotency_key="k")
    await limited.send("neo", "arthur", "two")
    await limited.send("neo", "arthur", "three")
    with pytest.raises(TooMany):
        await limited.send("neo", "arthur", "four", idempotency_key="other")
    again = await limited.send("neo", "arthur", "once", idempotency_key="k")
    assert again["id"] == first["id"]
    clock.now += 1.0
    await limited.send("neo", "arthur", "four", idempotency_key="other")
    assert await limited.texts("arthur") == ["once", "two", "three", "four"]


async def test_who_goes_on_and_on_is_told_of_until_it_is_quiet(limited: Host, clock: Clock) -> None:
    for _ in range(3):
        await limited.send("neo", "arthur", "word")
    for _ in range(25):
        with pytest.raises(TooMany):
            await limited.send("neo", "arthur", "word")
    alert = (await limited.alerts())["flood", "neo@mbp"]
    assert "25 messages were refused" in alert["text"] and "maw freeze @neo@mbp" in alert["text"]
    assert limited.node.quotas.refusals == 25
    clock.now += 599
    limited.node.quotas.look()
    assert ("flood", "neo@mbp") in await limited.alerts()
    clock.now += 2
    limited.node.quotas.look()
    assert ("flood", "neo@mbp") not in await limited.alerts()


async def test_within_a_pulse_an_agent_and_its_roles_say_so_much_and_no_more(
    limited: Host, clock: Clock
) -> None:
    await limited.service.add_user(await limited.owner(), "boonkeeper", "agent", uid=None, of="neo")
    neo = await limited.as_("neo")
    await limited.service.pulse(neo, 2)
    first = await limited.send("neo", "arthur", "one", idempotency_key="k")
    await limited.send("boonkeeper", "arthur", "two")
    for name in ("neo", "boonkeeper"):
        with pytest.raises(TooMany) as refused:
            await limited.send(name, "arthur", "three")
        assert (refused.value.code, refused.value.retry_after) == ("pulse_spent", 3600.0)
    again = await limited.send("neo", "arthur", "one", idempotency_key="k")
    assert again["id"] == first["id"], "what was taken is not refused when it is asked again"
    await limited.service.pulse(neo, 1)
    await limited.send("neo", "arthur", "three")
    await limited.service.pulse(neo, None)
    await limited.send("boonkeeper", "arthur", "four")
    assert await limited.texts("arthur") == ["one", "two", "three", "four"]


async def test_only_who_began_a_pulse_ends_its_limit(limited: Host, clock: Clock) -> None:
    """What runs within it may say that a pulse begins or is over as often as it likes."""
    neo = await limited.as_("neo")
    await limited.service.pulse(neo, 1, key="a word")
    await limited.send("neo", "arthur", "one")
    for most, key in ((None, ""), (100, ""), (None, "another"), (100, "another")):
        await limited.service.pulse(neo, most, same=True, key=key)
        with pytest.raises(TooMany) as refused:
            await limited.send("neo", "arthur", "two")
        assert refused.value.code == "pulse_spent"
    for n in range(AT_ONCE - 3):
        await limited.service.pulse(neo, 100, key=f"key {n}")
    with pytest.raises(TooMany, match="under way"):
        await limited.service.pulse(neo, 100, key="one more")
    await limited.service.pulse(neo, None, key="a word")
    await limited.send("neo", "arthur", "two")
    await limited.service.pulse(neo, 0, key="a word")
    clock.now += LONGEST_S
    await limited.send("neo", "arthur", "three, for that pulse is dead")
