"""The short form of `make chaos`: the same hosts, load, faults and checks, in half a minute of load."""

import pytest

from tests.chaos import __main__ as chaos
from tests.chaos import run
from tests.chaos.schedule import KINDS, plan
from tests.e2e.conftest import need
from tests.e2e.lab import requirements_missing

SEED = 832
SECONDS = 34.0

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_the_short_form_has_every_kind() -> None:
    assert {fault.kind for fault in plan(SEED, SECONDS, run.HOSTS)} == set(KINDS)


@pytest.mark.timeout(400)
def test_five_hosts_lose_nothing_whatever_happens_to_them(capsys: pytest.CaptureFixture[str]) -> None:
    need(requirements_missing())
    lines: list[str] = []
    outcome = run.carry_out(SEED, SECONDS, 20.0, lines.append)
    told = "\n".join([*lines, chaos.report(outcome)])
    assert outcome.good, told
    assert outcome.accepted > 100, told
