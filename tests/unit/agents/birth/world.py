"""A mother's daemon and a far host in memory, which do what is asked and may be killed before or after any of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import IO, Any

from maw.agents.birth import bearing
from maw.agents.birth.engine import _ACT
from maw.agents.birth.looking import _LOOK
from maw.errors import Refused
from maw.ops.machine import Ran

COLONY, OTHER = "mc1ours", "mc1lonely"


class Killed(BaseException):
    """kill -9: nothing after it happens."""


@dataclass
class World:
    """``effects``: what was changed, in order. ``kill``: at which call; even: before it does anything, odd: after."""

    effects: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)
    logged_in: bool = True
    foreign_colony: bool = False
    has_python: bool = True
    kill: int | None = None
    calls: int = 0
    speaker: str | None = "arthur"

    def has(self, what: str) -> bool:
        return what in self.effects

    def change(self, what: str) -> None:
        assert what not in self.effects, f"{what} was done twice"
        self.effects.append(what)

    def moment(self) -> None:
        """One of the points at which all may end."""
        self.calls += 1
        if self.kill is not None and self.calls == self.kill:
            raise Killed

    # -- the mother's daemon --------------------------------------------------------------------------

    def post(self, path: str, body: Any, **_: object) -> Any:
        self.moment()
        self.asked.append(path)
        if path == "/api/births":
            answer: Any = {"name": body["name"], "host": body["host"], "by": "owner@mbp", "born": "mk1x:00:0"}
        else:
            assert path == "/api/invites" and body["uses"] == 1 and body["for"] == "mk1far"
            answer = {"line": "mi1secret"}
        self.moment()
        return SimpleNamespace(body=answer)

    def get(self, path: str, **_: object) -> Any:
        if path == "/api/status":
            return SimpleNamespace(body={"name": "mbp", "colony": COLONY, "key": "mk1mother"})
        return SimpleNamespace(body=[{"author": who, "text": text} for who, text in self.said])


class FarHost:
    name = "vault"

    def __init__(self, world: World) -> None:
        self.world = world

    def plain(self, script: str, args: Sequence[str] = ()) -> Ran:
        return Ran(0, "uid=0\nuser=root\n")

    def close(self) -> None:
        pass

    def run(
        self, script: str, args: Sequence[str] = (), *, data: bytes = b"", into: IO[bytes] | None = None,
        timeout: float = 1.0,
    ) -> Ran:  # fmt: skip
        world = self.world
        world.moment()
        answer = self._answer(script, args, data)
        world.moment()
        return answer

    def _answer(self, script: str, args: Sequence[str], data: bytes) -> Ran:
        world = self.world
        if script == _LOOK:
            return Ran(0, self._facts())
        if script == bearing._MISSING:
            return Ran(0, "" if world.has("packages") else "\n".join(args))
        if script.endswith(bearing._APT):
            world.change("packages")
            world.has_python = True
            return Ran(0, "")
        if script.endswith(bearing._WHEELS):
            assert data == b"tar", "wheels go in on standard input"
            if not world.has("maw"):
                world.change("maw")
            return Ran(0, "maw 0.1.0")
        assert script == _ACT, script
        return Ran(0, json.dumps(self._act(json.loads(data))))

    def _facts(self) -> str:
        lines = [
            "system=Linux",
            "host=vault",
            "machine=x86_64",
            "glibc=2.36",
            "has_apt=yes",
            "has_git=yes",
            "systemd=yes",
        ]
        if self.world.has_python:
            lines += ["python=/usr/bin/python3", "python_is=CPython 3.11"]
        if self.world.has("maw"):
            lines += [
                "maw=/opt/maw/bin/maw",
                "maw_version=maw 0.1.0",
                "helper=/opt/maw/bin/python",
                "wheels=w1",
            ]
        return "\n".join(lines) + "\n"

    def _act(self, asked: dict[str, Any]) -> dict[str, Any]:
        world, do, dry = self.world, asked["do"], bool(asked.get("dry"))
        if do == "status":
            if not world.has("service"):
                return Refused("the daemon is not running", code="not_running").as_json()
            colony = COLONY if world.has("join") else OTHER
            ours = not world.foreign_colony
            return {
                "done": True,
                "said": "",
                "colony": colony,
                "key": "mk1far",
                "node": "vault",
                "ours": ours,
            }
        if do == "login":
            if world.logged_in:
                return {"done": True, "said": "the runner is logged in"}
            return {"done": False, "said": "no", "needs": "sudo -iu scout"}
        if do == "linked":
            return {"done": True, "said": "linked"}
        if do == "agent":
            assert asked["speaker"] is None, (
                "over there it is brought by who administers, not said by the mother"
            )
        if do == "join":
            assert asked["line"] == "mi1secret"
        if world.has(do) or dry:
            done = world.has(do)
        else:
            world.change(do)
            done = False
            if do == "hello":
                world.said.append((f"{asked['agent']}@vault", f"I am {asked['agent']}"))
        more = (
            {"text": f"I am {asked['agent']}"}
            if do == "hello"
            else {"address": f"{asked['agent']}@vault"}
            if do == "agent"
            else {}
        )
        return {"done": done, "said": f"{do} of {asked.get('agent', 'the host')}", **more}
