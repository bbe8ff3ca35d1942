"""What is played: pairing, a question and its answer, a channel, REST, and a node killed in the middle."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from maw.client.daemon import Daemon
from maw.core.states import REPLICATED, at_least
from maw.demo import arthur_source
from maw.demo.counting import Count, compare
from maw.demo.ports import Pair
from maw.demo.stage import DemoError, Stage, until
from maw.errors import MawError

HOSTS: Final = ("oracle-world", "mbp")
NOTES: Final = 12
KILLED_AT: Final = 5
LEFT_ALONE: Final = ("MAW_HOME", "MAW_SOCKET", "MAW_AGENT")


@dataclass(frozen=True, slots=True)
class Host:
    """One of the two nodes: as commands name it, and as the demo itself looks at it."""

    name: str
    ports: Pair
    root: Path

    @property
    def env(self) -> str:
        return f"MAW_HOME=$D/{self.name}"

    @property
    def log(self) -> Path:
        return self.root / f"{self.name}.log"

    def ask(self, path: str, speaker: str | None = None) -> Any:
        return Daemon(self.root / self.name / "maw.sock", speaker).get(path).body

    def serves(self) -> bool:
        try:
            return bool(self.ask("/healthz")["ok"])
        except MawError:
            return False

    def linked(self) -> bool:
        return any(peer["state"] == "linked" for peer in self.ask("/api/peers"))

    def knows(self, name: str) -> bool:
        return any(user["username"] == name for user in self.ask("/api/users"))

    def general(self) -> list[dict[str, Any]]:
        """All of #general as this host holds it, in its order."""
        found: list[dict[str, Any]] = []
        while page := self.ask(f"/api/channels/general/messages?limit=500&after_seq={_last(found)}"):
            found += page
        return found


class Story:
    """The demo's steps, in order; each leaves the stage ready for the next."""

    def __init__(self, stage: Stage, ports: list[Pair]) -> None:
        self._stage = stage
        self._screen = stage.screen
        self.oracle, self.mbp = (
            Host(name, pair, stage.root) for name, pair in zip(HOSTS, ports, strict=True)
        )
        self._up: dict[str, subprocess.Popen[bytes]] = {}

    def play(self) -> None:
        self.open()
        self.make_nodes()
        self.exchange_keys()
        self.meet_arthur()
        self.ask_arthur()
        self.read_over_rest()
        self.talk_in_general()
        self.survive_a_kill()

    def open(self) -> None:
        screen = self._screen
        screen.say(
            "Two nodes on this machine, as if they were two hosts. Each line after a $ is run as it stands;"
        )
        screen.say("while this runs you can type along in another terminal, after these lines:")
        for line in self.preparation():
            screen.command(line)
        screen.pause()

    def preparation(self) -> list[str]:
        """What a viewer's own shell needs so that the lines shown work there."""
        lines = [f"export D={shlex.quote(str(self._stage.root))}"]
        mine = self._stage.programs / "maw"
        found = shutil.which("maw")
        if found is None or not os.path.samefile(found, mine):  # noqa: PTH121 - both are there
            lines.append(f"export PATH={shlex.quote(str(mine.parent))}:$PATH")
        if foreign := [name for name in LEFT_ALONE if name in os.environ]:
            lines.append(f"unset {' '.join(foreign)}")
        return lines

    def make_nodes(self) -> None:
        self._screen.heading("1 · A node on each host")
        for host in (self.oracle, self.mbp):
            mesh, rest = f"127.0.0.1:{host.ports.mesh}", f"127.0.0.1:{host.ports.rest}"
            self._stage.run(f"{host.env} maw init --name {host.name} --listen {mesh} --rest {rest}")
            self._bring_up(host)

    def exchange_keys(self) -> None:
        self._screen.heading("2 · Key exchange: one line, copied across")
        self._stage.run(f"{self.oracle.env} maw invite | tee $D/invite")
        self._stage.run(f"{self.mbp.env} maw join - <$D/invite")
        until("both nodes are linked", lambda: self.oracle.linked() and self.mbp.linked())
        self._stage.run(f"{self.oracle.env} maw peers")

    def meet_arthur(self) -> None:
        self._screen.heading("3 · Two agents: neo here, arthur there")
        self._stage.run(f"{self.oracle.env} maw agent add neo")
        self._stage.run(f"{self.mbp.env} maw agent add arthur")
        script = self._stage.root / "arthur.py"
        script.write_text(arthur_source())
        self._screen.say("arthur is this script. Anything that can run a command can be an agent.")
        self._stage.run("cat $D/arthur.py")
        line = f"{self.mbp.env} MAW_AGENT=arthur {self._stage.python} $D/arthur.py"
        self._stage.background(line, self._stage.root / "arthur.log")
        until(
            "each host knows the other's agent", lambda: self.oracle.knows("arthur") and self.mbp.knows("neo")
        )

    def ask_arthur(self) -> None:
        self._screen.heading("4 · neo asks @arthur, and arthur answers by himself")
        asked = self._stage.run(
            f'{self.oracle.env} maw send --as neo @arthur "what is the load on your host?"'
        )
        answer = self._stage.run(f"{self.oracle.env} maw wait --as neo --timeout 30s")
        if "arthur@mbp" not in answer or _message_id(asked) not in answer:
            raise DemoError("what neo received is not arthur's answer to the question")
        self._screen.say("The same conversation as arthur's host holds it:")
        self._stage.run(f"{self.mbp.env} maw read --as arthur {_message_id(asked)}")

    def read_over_rest(self) -> None:
        self._screen.heading("5 · The answer over REST, with neo's token")
        self._stage.run(f"{self.oracle.env} maw agent token neo >$D/token")
        token = (self._stage.root / "token").read_text().strip()
        url = f"http://127.0.0.1:{self.oracle.ports.rest}/api/inbox"
        inbox = self._curl(url, '-H "Authorization: Bearer $(cat $D/token)"', token)
        if [message["author"] for message in inbox] != ["arthur@mbp"]:
            raise DemoError("REST does not show arthur's answer")
        self._stage.run(f"{self.oracle.env} maw ack --as neo --all")

    def talk_in_general(self) -> None:
        self._screen.heading("6 · A channel, and a mention")
        said = self._stage.run(
            f'{self.oracle.env} maw post --as neo general "good morning @arthur, neo here"'
        )
        new = _message_id(said)
        until("the post is on mbp", lambda: any(one["id"] == new for one in self.mbp.general()))
        self._screen.say(
            "On mbp, from its own replica: the command line, then REST (public channels need no token)."
        )
        self._stage.run(f"{self.mbp.env} maw read general")
        query = urlencode({"user": "arthur", "after_seq": 0})
        mentions = self._curl(f"http://127.0.0.1:{self.mbp.ports.rest}/api/mentions?{query}")
        if [message["id"] for message in mentions] != [new]:
            raise DemoError("REST does not show the mention")

    def survive_a_kill(self) -> None:
        self._screen.heading("7 · kill -9 in the middle of it")
        receipts = [self._note(number) for number in range(1, NOTES + 1)]
        if not all(receipt.startswith(("stored · ", "replicated · ")) for receipt in receipts):
            raise DemoError("a note was not stored")
        accepted = [_message_id(receipt) for receipt in receipts]
        self._screen.say("Stored means: on this host's disk. mbp is dead. Now it comes back:")
        self._bring_up(self.mbp)
        until("all notes are on mbp", lambda: set(accepted) <= {one["id"] for one in self.mbp.general()})
        until("arthur acknowledged all", self._arthur_is_done)
        until("oracle-world knows that mbp has them", self._neo_knows)
        self._stage.run(f"{self.mbp.env} maw read general --limit 500 | grep -c 'note [0-9]* of {NOTES}'")
        self._stage.run(f"{self.oracle.env} maw sent --as neo --limit {NOTES - KILLED_AT + 1}")
        self._verify(accepted)

    def _note(self, number: int) -> str:
        """Post one; at one of them mbp is killed while it is being sent."""
        line = f'{self.oracle.env} maw post --as neo general "@arthur, note {number} of {NOTES}"'
        sending = self._stage.start(line)
        if number == KILLED_AT:
            self._stage.run(f"kill -9 $(cat $D/{self.mbp.name}/maw.lock)")
            self._stage.reap(self._up.pop(self.mbp.name))
        return self._stage.finish(line, sending)

    def _verify(self, accepted: list[str]) -> None:
        counts = {host.name: self._count(host, accepted) for host in (self.mbp, self.oracle)}
        for name, count in counts.items():
            (self._screen.good if count.good else self._screen.bad)(f"verified by id on {name}: {count}")
        if not all(count.good for count in counts.values()):
            raise DemoError("the two replicas are not what was accepted")

    def _count(self, host: Host, accepted: list[str]) -> Count:
        return compare(accepted, [message["id"] for message in host.general()])

    def _bring_up(self, host: Host) -> None:
        self._up[host.name] = self._stage.background(f"{host.env} maw up", host.log)
        until(f"{host.name} is up", host.serves)

    def _arthur_is_done(self) -> bool:
        return not self.mbp.ask("/api/inbox", "arthur")

    def _neo_knows(self) -> bool:
        sent = self.oracle.ask(f"/api/sent?limit={NOTES}", "neo")
        return all(at_least(one["state"], REPLICATED) for one in sent)

    def _curl(self, url: str, options: str = "", token: str = "") -> list[dict[str, Any]]:
        """What curl would do, without needing curl."""
        self._screen.command(" ".join(filter(None, ("curl -s", options, f"'{url}'"))))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own node's address
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            raw = answer.read().decode()
        self._screen.answer(raw)
        found = json.loads(raw)
        assert isinstance(found, list)
        return found


def _last(messages: list[dict[str, Any]]) -> int:
    return int(messages[-1]["seq"]) if messages else 0


def _message_id(receipt: str) -> str:
    """The id at the end of the line that `send` and `post` print."""
    return receipt.strip().splitlines()[-1].rpartition(" · ")[2]
