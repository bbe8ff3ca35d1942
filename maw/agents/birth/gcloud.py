"""A virtual machine made by the real ``gcloud``, looked for first: one that is there is not made twice, and one that no
birth of this agent made is neither used nor deleted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from maw.agents.birth.plan import Machine
from maw.errors import Conflict, MawError, Unavailable
from maw.ops.machine import Ran, run_command

LABEL: Final = "maw-birth"
READY_S: Final = 240.0
_PAUSE_S: Final = 5.0
Runner = Callable[[Sequence[str]], Ran]


class Cloud:
    def __init__(
        self, machine: Machine, agent: str, run: Runner = run_command, *,
        sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.machine = machine
        self._agent = agent
        self._run = run
        self._sleep = sleep
        self._clock = clock

    @property
    def host(self) -> str:
        """As ``gcloud compute config-ssh`` calls it in the user's ssh configuration."""
        return f"{self.machine.vm}.{self.machine.zone}.{self.machine.project}"

    def look(self) -> str | None:
        """``RUNNING``, ``TERMINATED`` …; None: there is no such machine. Conflict: it is not this agent's."""
        ran = self._gcloud(
            "instances", "describe", self.machine.vm, *self._place(), "--format=json", check=False
        )
        if not ran.ok:
            if "not found" in ran.words.lower():
                return None
            raise self._failed(ran, "describe")
        told: dict[str, Any] = json.loads(ran.out)
        if (told.get("labels") or {}).get(LABEL) != self._agent:
            raise Conflict(
                f"there is a machine {self.machine.vm} that no birth of {self._agent} made", code="other_machine",
                hint="--vm NAME: another one; or give birth on it as on any host: --host",
            )  # fmt: skip
        return str(told.get("status"))

    def make(self) -> str:
        """There and running when it returns, and ssh knows it. What was done."""
        state, said = self.look(), "it runs"
        if state is None:
            self._gcloud(
                "instances", "create", self.machine.vm, *self._place(), f"--machine-type={self.machine.type}",
                "--image-family=debian-12", "--image-project=debian-cloud", f"--labels={LABEL}={self._agent}",
                "--metadata=enable-guest-attributes=TRUE", "--format=json",
            )  # fmt: skip
            said = "made"
        elif state in ("TERMINATED", "STOPPED", "SUSPENDED"):
            self._gcloud(
                "instances", "resume" if state == "SUSPENDED" else "start", self.machine.vm, *self._place()
            )
            said = "started"
        self._wait()
        self._gcloud("config-ssh", f"--project={self.machine.project}")
        return f"{said}: {self.host}"

    def delete(self) -> bool:
        """Gone when it returns; False: it was already."""
        if self.look() is None:
            return False
        self._gcloud("instances", "delete", self.machine.vm, *self._place())
        return True

    def _wait(self) -> None:
        """Until gcloud's own ssh gets in: it makes the key, and takes the host's from the provider."""
        deadline = self._clock() + READY_S
        while True:
            ran = self._gcloud("ssh", self.machine.vm, *self._place(), "--command=true", check=False)
            if ran.ok:
                return
            if self._clock() > deadline:
                raise self._failed(ran, "ssh")
            self._sleep(_PAUSE_S)

    def _place(self) -> tuple[str, str]:
        return f"--project={self.machine.project}", f"--zone={self.machine.zone}"

    def _gcloud(self, *words: str, check: bool = True) -> Ran:
        ran = self._run(("gcloud", "compute", *words, "--quiet"))
        if ran.code == 127:
            raise Unavailable(
                "gcloud is not here",
                code="no_gcloud",
                hint="https://cloud.google.com/sdk, then gcloud auth login",
            )
        if check and not ran.ok:
            raise self._failed(ran, words[0])
        return ran

    def _failed(self, ran: Ran, what: str) -> MawError:
        return Unavailable(
            f"gcloud compute {what}: {ran.words[-400:]}", code="gcloud_failed",
            hint="`gcloud auth list`, `gcloud config list`; then give birth again: it goes on there",
        )  # fmt: skip
