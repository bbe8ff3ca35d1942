"""What agents take: processes, session logs, folders."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maw.agents.folders import largest
from maw.agents.processes import measure
from maw.agents.session_logs import Logs, look, places, project_folder

MIB = 1 << 20
FAMILY = """
import subprocess, sys, time
held = bytearray(40 << 20)
code = "held = bytearray(40 << 20); print(1, flush=True); import time; time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    """A parent and its child, each with 40 MiB: their process ids."""
    with subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        yield parent.pid, child
        os.kill(child, 9)
        parent.kill()


def test_a_tree_is_what_all_of_it_takes(family: tuple[int, int]) -> None:
    parent, child = family
    found = measure({"both": parent, "child": child, "gone": 0x7FFFFFFF})
    assert found.keys() == {"both", "child"}
    assert found["both"].processes == 2 and found["child"].processes == 1
    assert found["child"].memory > 38 * MIB
    assert found["both"].memory > found["child"].memory + 38 * MIB
    assert found["both"].memory < 200 * MIB
    assert found["both"].started <= found["child"].started


def test_session_logs_are_summed_by_project_and_know_whose_they_are(tmp_path: Path) -> None:
    claude, codex = places(tmp_path, {})
    assert claude == tmp_path / ".claude/projects"
    work = claude / project_folder("/home/me/vault.1")
    (work / "subagents").mkdir(parents=True)
    (work / "a.jsonl").write_bytes(b"x" * 300)
    (work / "subagents/b.jsonl").write_bytes(b"x" * 50)
    (work / "notes.txt").write_bytes(b"x" * 999)
    day = codex / "2026/11/21"
    day.mkdir(parents=True)
    (day / "rollout-1.jsonl").write_bytes(b"x" * 10)
    found = look((claude, codex, tmp_path / "nowhere"), {"neo": "/home/me/vault.1", "trinity": "/srv"})
    assert found == [
        Logs(str(work), 2, 350, 300, "neo"),
        Logs(str(codex / "2026"), 1, 10, 10, None),
    ]
    assert project_folder("/home/me/vault.1") == "-home-me-vault-1"
    assert places(tmp_path, {"CLAUDE_CONFIG_DIR": "/c", "CODEX_HOME": "/x"}) == (
        Path("/c/projects"), Path("/x/sessions"),
    )  # fmt: skip


def test_the_largest_folders_come_first_and_nothing_counts_twice(tmp_path: Path) -> None:
    for path, size in (("a/b/c/d/e/deep", 3 * MIB), ("a/b/near", MIB), ("small/file", 4096)):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(size))
    os.link(tmp_path / "a/b/near", tmp_path / "small/same")
    (tmp_path / "small/link").symlink_to(tmp_path / "a")
    found = largest([tmp_path, tmp_path / "nowhere"])
    assert found[0].path == str(tmp_path / "a/b/c")
    assert 3 * MIB <= found[0].size < 3.2 * MIB
    sizes = {one.path: one.size for one in found}
    assert sum(sizes.values()) < 4.5 * MIB, "a file with two names counts once"
    assert str(tmp_path / "a/b/c/d") not in sizes, "what lies deeper counts for the one above"


def test_a_look_at_folders_ends_in_time(tmp_path: Path) -> None:
    for n in range(50):
        (tmp_path / f"d{n}").mkdir()
    ticks = iter(range(1000))
    assert len(largest([tmp_path], clock=lambda: float(next(ticks)), seconds=5)) <= 5
