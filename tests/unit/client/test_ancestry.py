"""Whose program this is, when it no longer says so itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from maw.client.ancestry import agent_above

ASKS = "from maw.client.ancestry import agent_above; print(agent_above())"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
@pytest.mark.parametrize(
    ("begun_as", "line", "found"),
    [
        ("scout", '"$0" -c "$1"; true', "scout"),
        ("scout", 'env -u MAW_AGENT "$0" -c "$1"; true', "scout"),
        ("scout", 'export MAW_AGENT=; setsid env MAW_AGENT= "$0" -c "$1"; true', "scout"),
        ("", '"$0" -c "$1"; true', "None"),
    ],
)
def test_a_name_that_was_dropped_is_found(begun_as: str, line: str, found: str) -> None:
    if not begun_as and agent_above() is not None:
        pytest.skip("these tests are run by an agent")
    done = subprocess.run(
        ["/bin/sh", "-c", line, sys.executable, ASKS],
        env={**os.environ, "MAW_AGENT": begun_as}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == found


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    assert agent_above(child.pid) is None
