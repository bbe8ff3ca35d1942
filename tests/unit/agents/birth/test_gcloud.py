"""A machine of a provider's, against a stand-in for `gcloud` that answers as the real one was recorded to."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from maw.agents.birth.gcloud import Cloud
from maw.agents.birth.plan import Machine
from maw.errors import Conflict, Unavailable
from maw.ops.machine import Ran, run_command

MACHINE = Machine("my-project", "europe-west1-b", "maw-scout")
PLACE = ["--project=my-project", "--zone=europe-west1-b"]

# what the real one says and how it ends, of the few things that are asked of it
STAND_IN = """\
#!{python}
import json, os, sys
state = {state!r}
words = sys.argv[1:]
with open(state + ".log", "a") as log:
    log.write(json.dumps(words) + "\\n")
have = json.load(open(state)) if os.path.exists(state) else None
def keep(one):
    json.dump(one, open(state, "w"))
what = words[1:3]
if what == ["instances", "describe"]:
    if have is None:
        sys.stderr.write("ERROR: (gcloud.compute.instances.describe) Could not fetch resource:\\n - The resource "
                         "'projects/my-project/zones/europe-west1-b/instances/maw-scout' was not found\\n")
        sys.exit(1)
    print(json.dumps(have))
elif what == ["instances", "create"]:
    if have is not None:
        sys.stderr.write("ERROR: (gcloud.compute.instances.create) Could not fetch resource:\\n - The resource "
                         "'projects/my-project/zones/europe-west1-b/instances/maw-scout' already exists\\n")
        sys.exit(1)
    label = next(w for w in words if w.startswith("--labels=")).split("=", 2)
    keep({{"status": "RUNNING", "labels": {{label[1]: label[2]}}, "boots": 2}})
    print("[]")
elif what == ["instances", "start"]:
    keep({{**have, "status": "RUNNING"}})
elif what == ["instances", "delete"]:
    os.unlink(state)
elif words[1] == "ssh":
    if have.get("boots", 0) > 0:
        keep({{**have, "boots": have["boots"] - 1}})
        sys.stderr.write("ssh: connect to host 203.0.113.7 port 22: Connection refused\\nERROR: (gcloud.compute.ssh) "
                         "[/usr/bin/ssh] exited with return code [255].\\n")
        sys.exit(255)
elif words[1] == "config-ssh":
    print("You should now be able to use ssh/scp with your instances.")
else:
    sys.exit(f"never recorded: {{words}}")
"""


@pytest.fixture
def gcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in first on PATH; its state."""
    state = tmp_path / "state"
    command = tmp_path / "bin" / "gcloud"
    command.parent.mkdir()
    command.write_text(STAND_IN.format(python=sys.executable, state=str(state)))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")
    return state


def asked(state: Path, what: str) -> list[list[str]]:
    lines = Path(f"{state}.log").read_text().splitlines()
    return [words for line in lines if what in (words := json.loads(line))]


def cloud(agent: str = "scout") -> Cloud:
    return Cloud(MACHINE, agent, sleep=lambda _: None)


def test_made_once_waited_for_and_known_to_ssh(gcloud: Path) -> None:
    assert cloud().look() is None
    assert cloud().make() == "made: maw-scout.europe-west1-b.my-project"
    (create,) = asked(gcloud, "create")
    assert create[2:6] == ["create", "maw-scout", *PLACE] and "--labels=maw-birth=scout" in create
    assert "--quiet" in create, "it asks nobody"
    assert len(asked(gcloud, "ssh")) == 3, "until it has booted"
    assert cloud().make().startswith("it runs")
    assert len(asked(gcloud, "create")) == 1, "what is there is not made twice"


def test_a_stopped_one_is_started_and_deleted_once(gcloud: Path) -> None:
    cloud().make()
    gcloud.write_text(gcloud.read_text().replace("RUNNING", "TERMINATED"))
    assert cloud().make().startswith("started")
    assert cloud().delete() is True and cloud().delete() is False


def test_somebody_elses_machine_is_left_alone(gcloud: Path) -> None:
    cloud("clerk").make()
    for act in (cloud().make, cloud().delete, cloud().look):
        with pytest.raises(Conflict, match="no birth of scout"):
            act()
    assert asked(gcloud, "delete") == []


def test_what_gcloud_says_is_told() -> None:
    def denied(_: Sequence[str]) -> Ran:
        return Ran(1, "", "ERROR: (gcloud.compute) You do not currently have an active account selected.")

    with pytest.raises(Unavailable, match="active account") as failed:
        Cloud(MACHINE, "scout", denied).make()
    assert failed.value.code == "gcloud_failed"
    with pytest.raises(Unavailable) as missing:
        Cloud(MACHINE, "scout", lambda _: Ran(127, "")).make()
    assert missing.value.code == "no_gcloud"


def test_a_machine_that_never_boots(gcloud: Path) -> None:
    times = iter(range(0, 100_000, 100))
    one = Cloud(MACHINE, "scout", run_command, sleep=lambda _: None, clock=lambda: float(next(times)))
    gcloud.write_text(json.dumps({"status": "RUNNING", "labels": {"maw-birth": "scout"}, "boots": 99}))
    with pytest.raises(Unavailable, match="Connection refused"):
        one.make()
