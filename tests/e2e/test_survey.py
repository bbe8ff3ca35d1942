"""A look at real processes reaches a real daemon, and what the giver of the host says comes back with it."""

from __future__ import annotations

import os
from pathlib import Path

from maw.agents.session_logs import project_folder
from maw.agents.survey import Running, Survey
from maw.client.daemon import Daemon as Client
from tests.e2e.daemons import MakeDaemon


def test_a_survey_tells_the_daemon_and_hears_who_is_not_to_run(daemon: MakeDaemon, tmp_path: Path) -> None:
    node = daemon("mbp")
    node.maw("agent", "add", "neo")
    client = Client(node.home / "maw.sock")
    work = tmp_path / ".claude/projects" / project_folder("/srv/neo")
    work.mkdir(parents=True)
    (work / "one.jsonl").write_bytes(b"x" * 5000)
    clock = [0.0]
    survey = Survey(client, tmp_path, env={}, clock=lambda: clock[0])
    assert survey.look({"neo": Running(os.getpid(), "/srv/neo")}) == {}
    told = client.get("/api/host").body
    (agent,) = told["agents"]
    assert agent["agent"] == "neo" and agent["memory_bytes"] > 10 << 20
    assert told["session_logs"] == [
        {"agent": "neo", "path": str(work), "files": 1, "bytes": 5000, "largest_bytes": 5000}
    ]
    assert told["folders"], "the home was looked at"
    (work / "one.jsonl").unlink()
    survey.look({"neo": Running(os.getpid(), "/srv/neo")})
    assert client.get("/api/host").body["session_logs"], "not looked at again so soon"
    clock[0] = 601.0
    survey.look({"neo": Running(os.getpid(), "/srv/neo")})
    assert client.get("/api/host").body["session_logs"] == []
    assert client.get("/api/status").body["host"]["agents_memory_bytes"].keys() == {"neo"}
