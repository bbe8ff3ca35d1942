"""A birth, from this host's side: which steps it has, and what each does here and asks to be done there."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from maw import __version__
from maw.agents.birth.engine import Engine, Helper, Outcome, Step, Told
from maw.agents.birth.far import Far, Here, Ssh
from maw.agents.birth.gcloud import Cloud
from maw.agents.birth.looking import VENV, Facts, look, mesh_address, warnings
from maw.agents.birth.plan import Wanted
from maw.agents.birth.wheels import wheels_for
from maw.client.daemon import Daemon, segment
from maw.core.names import check_name, folded_name
from maw.errors import Conflict, MawError, Refused, Unavailable, Unconfirmed

INVITE_S: Final = 600
SEEN_S: Final = 60.0
LOCKED: Final = """
mkdir -p /run/lock
exec 9>/run/lock/maw-birth-shell.lock
if command -v flock >/dev/null; then flock -w 300 9 || { echo "another birth is under way there" >&2; exit 75; }; fi
"""

# $@ the packages that are wanted
_MISSING: Final = """
for p; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || printf '%s\\n' "$p"
done
exit 0
"""
_APT: Final = """
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
command -v apt-get >/dev/null || { echo "there is no apt-get" >&2; exit 1; }
apt-get -o DPkg::Lock::Timeout=120 -qq update </dev/null >/dev/null
apt-get -o DPkg::Lock::Timeout=120 -qq -y --no-install-recommends install -- "$@" </dev/null >/dev/null
"""
# $1 maw's directory, $2 its Python, $3 what the wheels are; the wheels in a tar on standard input
_WHEELS: Final = """
set -eu
umask 022
[ "$(cat "$1/.wheels" 2>/dev/null)" != "$3" ] || exit 0  # by a birth that was broken off here, and ended there
if [ -e "$1" ] && [ ! -e "$1/.maw-birth" ]; then
  echo "there is a $1 that no birth made" >&2; exit 1
fi
mkdir -p "$1"; : >"$1/.maw-birth"
new=$(mktemp -d "$1/.wheels-XXXXXX")
trap 'rm -rf "$new"' EXIT
tar -x -f - -C "$new" --no-same-owner --no-same-permissions
if [ ! -e "$1/.venv-made" ]; then
  "$2" -I -m venv --without-pip "$1" && : >"$1/.venv-made"
fi
cd "$new"
PYTHONPATH=$(echo pip-*.whl) "$1/bin/python" -m pip install --quiet --no-index --no-deps --force-reinstall \\
  --disable-pip-version-check --no-warn-script-location --root-user-action=ignore ./*.whl </dev/null
"$1/bin/maw" --version </dev/null
[ -e /usr/local/bin/maw ] || [ -L /usr/local/bin/maw ] || ln -s "$1/bin/maw" /usr/local/bin/maw
printf %s "$3" >"$1/.wheels.new"; mv "$1/.wheels.new" "$1/.wheels"
sync -f "$1" 2>/dev/null || sync
"""


@dataclass(slots=True)
class Birth:
    """``mother``: the daemon here, asked as whoever gives birth; ``plain``: the same, asked as its administrator."""

    wanted: Wanted
    engine: Engine
    mother: Daemon
    plain: Daemon
    cache: Path
    connect: Callable[[str], Far] = Ssh
    cloud: Cloud | None = None
    far: Far = field(default_factory=Here)
    facts: Facts | None = None
    notes: list[str] = field(default_factory=list)
    _helper: Helper | None = None
    _address: str = ""
    _said: str = ""
    _spoke: bool = False
    """It had, before this birth went on."""

    def run(self) -> list[Told]:
        """Raises Unconfirmed where a human must do something first; the same again goes on."""
        try:
            return self.engine.run(self.steps())
        finally:
            self.far.close()

    def steps(self) -> list[Step]:
        wanted = self.wanted
        steps: list[Step] = []
        if self.cloud is not None:
            steps.append(Step("machine", f"a virtual machine, {self.cloud.machine.vm}", self._machine))
        steps.append(Step("look", f"looking at {wanted.host or 'this host'}", self._look))
        steps.append(Step("leave", "may it be born?", self._leave))
        if wanted.host is not None or wanted.packages:
            steps.append(Step("packages", "Debian packages", self._packages))
        if wanted.host is not None:
            steps += [
                Step("maw", "maw itself, carried along", self._maw),
                Step("node", "a node", self._node),
                Step("service", "its service", self._service),
                Step("pairing", "into this Colony", self._pairing),
            ]
        steps.append(Step("user", f"the Unix user {wanted.user}", self._user))
        steps.append(Step("home", "its home and soul", self._home))
        if wanted.repo is not None:
            steps.append(Step("repo", "the repository", self._repo))
        if wanted.install:
            steps.append(Step("install", "the runner's own steps", self._install))
        steps.append(Step("agent", "the agent and its token", self._agent))
        if wanted.login_check is not None:
            steps.append(Step("login", "is the runner logged in?", self._login))
        if wanted.timers:
            steps.append(Step("timers", "its pulse and dream", self._timers))
        steps.append(Step("pulse", "the first pulse", self._hello))
        if wanted.host is not None:
            steps.append(Step("heard", f"its words in #{wanted.channel} here", self._heard))
        return steps

    # -- here ---------------------------------------------------------------------------------------

    def _machine(self) -> Outcome:
        assert self.cloud is not None
        if self.engine.dry:
            state = self.cloud.look()
            return Outcome(state == "RUNNING", f"{self.cloud.host}: {state or 'to be made'}")
        return Outcome(False, self.cloud.make())

    def _look(self) -> Outcome:
        if self.wanted.host is not None:
            if self.cloud is not None and self.engine.dry and self.cloud.look() != "RUNNING":
                raise Refused(
                    f"the rest is not known before there is a machine {self.cloud.machine.vm}", code="not_yet",
                    hint="without --dry-run it is made, and the birth goes on there",
                )  # fmt: skip
            self.far = self.connect(self.wanted.host)
        self.facts = facts = look(self.far)
        self.notes += warnings(facts)
        python = sys.executable if self.wanted.host is None else facts.helper
        if facts.maw is not None and python is None and facts.wheels is None:
            raise Refused(
                f"{facts.maw} on {self.far.name} is {facts.maw_version or 'broken'}, and knows no births",
                code="old_maw",
                hint="bring the maw there up to date (docs/operations.md, Upgrade), then give birth again",
            )  # fmt: skip
        self._helper = Helper(self.far, python, self.engine.dry)
        there = f"maw {__version__}" if self.wanted.host is None else facts.maw_version
        node = there if python is not None else "no maw"
        return Outcome(
            True, f"{facts.host}: {facts.os}, {facts.machine}, {facts.python_is or 'no Python'}, {node}"
        )

    def _leave(self) -> Outcome:
        """That the mother's owner allows it; noted and counted by her daemon."""
        journal = self.engine.journal
        if journal is not None and "born" in journal.data:
            return Outcome(True, _leave_words(journal.data.get("by")))
        if self.engine.dry:
            return Outcome(False, "asked of the daemon here: [births]")
        asked = {"name": self.wanted.name, "host": self._node_name()}
        told = self.mother.post("/api/births", asked).body
        if journal is not None:
            journal.note(born=told["born"], by=told["by"])
        return Outcome(False, _leave_words(told["by"]))

    def _node_name(self) -> str:
        if self.wanted.host is None:
            return str(self.plain.get("/api/status").body["name"])
        facts = self._facts()
        if self.wanted.node is not None:
            return self.wanted.node
        return check_name(folded_name(facts.host.partition(".")[0]) or self.wanted.name, "node")

    def _facts(self) -> Facts:
        assert self.facts is not None, "look comes first"
        return self.facts

    # -- maw over there -------------------------------------------------------------------------------

    def _packages(self) -> Outcome:
        facts, wanted = self._facts(), list(self.wanted.packages)
        needs_python = self.wanted.host is not None and facts.python is None and facts.helper is None
        if needs_python:
            wanted += ["python3", "python3-venv"]
        if self.wanted.repo is not None and "git" not in facts.tools:
            wanted.append("git")
        if not wanted:
            return Outcome(True, f"none are missing; {facts.python_is}")
        missing = self.far.run(_MISSING, wanted).out.split()
        if missing and self.engine.dry:
            return Outcome(False, f"apt-get install {' '.join(missing)}")
        if missing:
            ran = self.far.run(LOCKED + _APT, missing)
            if not ran.ok:
                raise Unavailable(
                    f"apt-get on {self.far.name} could not install {' '.join(missing)}: {ran.words[-400:]}",
                    code="apt_failed", hint=f"by hand there, then the same again: apt-get install {' '.join(missing)}",
                )  # fmt: skip
            self.facts = facts = look(self.far)
        if needs_python and facts.python is None:
            raise Refused(
                f"{self.far.name} ({facts.os}) has no Python 3.11: {facts.old_python or 'none at all'}",
                code="no_python",
                hint="Debian 12 or newer has one; else put one into /usr/local/bin/python3",
            )  # fmt: skip
        return Outcome(not missing, f"{' '.join(missing or wanted)}")

    def _maw(self) -> Outcome:
        facts = self._facts()
        if facts.helper is not None and facts.wheels is None:
            return Outcome(True, f"{facts.maw}, {facts.maw_version}")
        if facts.foreign:
            raise Conflict(
                f"there is a {VENV} on {self.far.name} that no birth made, and no maw in it", code="foreign_folder",
                hint=f"move it aside, or install maw there by hand into {VENV} (README.md)",
            )  # fmt: skip
        if facts.helper is not None and self._has_node():
            return Outcome(True, f"{facts.maw}, {facts.maw_version}; a node runs with it")
        if facts.python is None and self.engine.dry:
            return Outcome(False, "once there is a Python 3.11")
        wheels = wheels_for(facts, self.cache)
        size = f"{wheels.count} wheels, {len(wheels.tar) / (1 << 20):.1f} MiB, {wheels.how}"
        if facts.wheels == wheels.id and facts.helper is not None:
            return Outcome(True, size)
        if self.engine.dry:
            return Outcome(False, size)
        assert facts.python is not None
        ran = self.far.run(LOCKED + _WHEELS, [VENV, facts.python, wheels.id], data=wheels.tar)
        if not ran.ok:
            raise Unavailable(
                f"maw could not be installed on {self.far.name}: {ran.words[-500:]}", code="no_wheel",
                hint="the same again goes on there; or install it there by hand (README.md), and give birth again",
            )  # fmt: skip
        self.facts = facts = look(self.far)
        if facts.helper is None:
            raise Unavailable(
                f"the maw that was put on {self.far.name} does not start",
                code="no_wheel",
                hint=f"ssh there: {VENV}/bin/maw --version",
            )
        self._helper = Helper(self.far, facts.helper, self.engine.dry)
        return Outcome(False, size)

    def _has_node(self) -> bool:
        try:
            self._act("status")
        except MawError:
            return False
        return True

    def _act(self, do: str, **asked: Any) -> dict[str, Any]:
        assert self._helper is not None, "look comes first"
        return self._helper.act(do, **asked)

    def _ask(self, do: str, planned: str, **asked: Any) -> Outcome:
        assert self._helper is not None, "look comes first"
        return self._helper.outcome(do, planned, **asked)

    def _node(self) -> Outcome:
        facts, name = self._facts(), self._node_name()
        listen, interface = self.wanted.listen, self.wanted.interface
        if listen is None and interface is None:
            listen, interface = mesh_address(facts), "wg0" if facts.has_wireguard else None
        if listen is None and interface is None:
            listen = "127.0.0.1:6290"
            self.notes.append(
                f"{name} listens on loopback only, and dials: --listen ADDRESS, if others are to dial it"
            )
        planned = f"{name}, on {listen or interface}"
        return self._ask("node", planned, name=name, listen=listen, interface=interface)

    def _service(self) -> Outcome:
        if not self._facts().has_systemd and not self._has_node():
            raise Refused(
                f"systemd does not run {self.far.name}", code="no_service_manager",
                hint="have whatever starts programs there run `maw up`, then give birth again",
            )  # fmt: skip
        return self._ask("service", "maw service install")

    def _pairing(self) -> Outcome:
        if self._helper is not None and self._helper.python is None:
            return Outcome(False, "maw invite here, maw join there")
        ours = self.plain.get("/api/status").body
        try:
            theirs = self._act("status")
        except MawError:
            if self.engine.dry:
                return Outcome(False, "maw invite here, maw join there")
            raise
        if theirs["colony"] == ours["colony"]:
            if not self.engine.dry:
                self._act("linked", key=ours["key"])
            return Outcome(True, f"{theirs['node']} is in this Colony")
        if not theirs["ours"]:
            raise Refused(
                f"the node {theirs['node']} on {self.far.name} is of another Colony, and no birth made it",
                code="other_colony", hint="if it is to come into this one: maw invite here, maw join there",
            )  # fmt: skip
        if self.engine.dry:
            return Outcome(False, "maw invite here, maw join there")
        body = {"ttl_s": INVITE_S, "uses": 1, "for": theirs["key"], "confirm": False, "introducer": False}
        line = self.plain.post("/api/invites", body).body["line"]
        told = self._act("join", line=line)
        self._act("linked", key=ours["key"])
        return Outcome(False, f"{theirs['node']} {told['said']}")

    # -- the agent ------------------------------------------------------------------------------------

    def _whose(self) -> dict[str, Any]:
        return {"agent": self.wanted.name, "user": self.wanted.user}

    def _user(self) -> Outcome:
        return self._ask("user", f"useradd {self.wanted.user}", **self._whose(), given=self.wanted.given)

    def _home(self) -> Outcome:
        wanted = self.wanted
        return self._ask(
            "home", f"~{wanted.user}/agents/{wanted.name}", **self._whose(), soul=wanted.soul, tasks=self._first_task(),
            runner=list(wanted.runner),
        )  # fmt: skip

    def _first_task(self) -> str:
        journal = self.engine.journal
        by = journal.data.get("by") if journal is not None else None
        mother = f"of {by}" if by else "by the hand of a human"
        return (
            f"- You were born just now, {mother}. Introduce yourself in #{self.wanted.channel}, in one message of"
            " at most three sentences: who you are, and what you are there for.\n"
        )

    def _repo(self) -> Outcome:
        return self._ask("repo", str(self.wanted.repo), **self._whose(), url=self.wanted.repo)

    def _install(self) -> Outcome:
        lines = list(self.wanted.install)
        return self._ask("install", "; ".join(lines), **self._whose(), lines=lines)

    def _agent(self) -> Outcome:
        journal = self.engine.journal
        born = journal.data.get("born") if journal is not None else None
        # on this host the daemon is asked as whoever gives birth: he may be no administrator
        speaker = self.mother.speaker if self.wanted.host is None else None
        told = self._act("agent", **self._whose(), born=born, about=self.wanted.about, speaker=speaker)
        self._address = str(told.get("address") or "")
        return Outcome(bool(told["done"]), str(told["said"]) or self.wanted.name)

    def _login(self) -> Outcome:
        told = self._act("login", **self._whose(), check=self.wanted.login_check)
        if told["done"] or self.engine.dry:
            return Outcome(bool(told["done"]), str(told["said"]) or f"`{self.wanted.login_check}`")
        words = f"{told['needs']} {self.wanted.login}" if self.wanted.login else str(told["needs"])
        how = self.far.login(words) if isinstance(self.far, Ssh | Here) else words
        hint = f"{self.wanted.login_hint}\n" if self.wanted.login_hint else ""
        raise Unconfirmed(
            f"{self.wanted.name} waits for a human: its runner is not logged in ({told['said']})", code="login_needed",
            hint=f"{hint}{how}\nthen: maw birth {self.wanted.name}",
        )  # fmt: skip

    def _timers(self) -> Outcome:
        return self._ask(
            "timers", "maw service install --pulse, --dream", **self._whose(), every=self.wanted.every
        )

    def _hello(self) -> Outcome:
        told = self._act("hello", **self._whose(), channel=self.wanted.channel)
        self._said, self._spoke = str(told.get("text") or ""), bool(told["done"])
        return Outcome(
            bool(told["done"]), str(told["said"]) or f"it introduces itself in #{self.wanted.channel}"
        )

    def _heard(self) -> Outcome:
        """Its words have come to this host: what lives there is of this Colony, and speaks."""
        if self.engine.dry:
            return Outcome(False, "waits until they are")
        name = f"{self.wanted.name}@"
        deadline = time.monotonic() + SEEN_S
        path = f"/api/channels/{segment(self.wanted.channel)}/messages"
        while True:
            found = self.plain.get(path, limit=200, before_seq=1 << 52).body
            mine = [
                one for one in found if one["author"].startswith(name) and one["text"][:200] == self._said
            ]
            if mine:
                self._address = str(mine[-1]["author"])
                return Outcome(self._spoke, f"{self._address}: {self._said}")
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"what {self.wanted.name} said in #{self.wanted.channel} has not come here within {SEEN_S:g} s",
                    code="not_heard", hint="is the link up? `maw peers`, `maw doctor` here and there",
                )  # fmt: skip
            time.sleep(0.25)

    def report(self, told: list[Told]) -> dict[str, Any]:
        """What came of it, as ``--json`` says it."""
        return {
            "name": self.wanted.name, "address": self._address or None, "host": self.wanted.host,
            "user": self.wanted.user, "state": "planned" if self.engine.dry else "born",
            "seconds": round(sum(one.seconds for one in told), 2), "steps": [one.as_json() for one in told],
            "notes": self.notes, "said": self._said or None,
        }  # fmt: skip


def _leave_words(by: object) -> str:
    return f"of {by}" if by else "by hand"
