"""The power is cut on a host with thirteen agents: all come back with their conversations, and answer their mail."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e import agents_reboot
from tests.e2e.agents_reboot import HOME, USER
from tests.e2e.booted import boot_requirements_missing
from tests.e2e.conftest import need

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(400)]


def test_thirteen_agents_are_back_after_a_power_cut_and_heard_from() -> None:
    need(boot_requirements_missing())
    need(None if shutil.which("tmux") else "needs tmux: apt-get install -y tmux")
    with agents_reboot.box() as box:
        talks = agents_reboot.populated(box)
        assert len(talks) == 13
        agents_reboot.power_cut(box, talks)  # says who did not come back, and how

        keeper = f"maw-keep@{USER}"
        before = box.processes()
        box.booted.systemctl("restart", keeper)
        assert box.processes() == before, (
            "agents outlive a restart of their keeper, and so does their tmux server"
        )
        assert "MemoryMax=infinity" in box.booted.systemctl("show", keeper, "--property", "MemoryMax")
        servers = box.booted.run(["pgrep", "-u", USER, "-f", "tmux"]).stdout.split()
        groups = {box.booted.run(["cat", f"/proc/{pid}/cgroup"]).stdout.strip() for pid in servers}
        assert all("maw.service" not in group for group in groups), "not below the daemon's limits"

        box.root("service", "remove")
        assert box.booted.run(["ls", "/etc/systemd/system"]).stdout.count("maw") == 0
        assert box.processes() == before, "agents go on"
        assert box.booted.run(["ls", HOME]).returncode == 0
