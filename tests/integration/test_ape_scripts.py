"""A script written for the ape colony's endpoints runs unchanged: channels and mentions as bare arrays behind
``after_seq``, users made on the machine itself."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import sys
from pathlib import Path
from typing import Any

from tests.proof.house import Live, live

SCRIPT = Path(__file__).with_name("ape_script.py")


class _Socket(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def new_user(path: Path, name: str) -> dict[str, Any]:
    """``POST /api/users {"username", "role"}``, as whoever runs the machine."""
    conn = _Socket(path)
    conn.request("POST", "/api/users", json.dumps({"username": name, "role": "agent"}))
    answer = conn.getresponse()
    made: dict[str, Any] = json.loads(answer.read())
    conn.close()
    assert answer.status == 201, made
    return made


async def pulse(house: Live, token: str, state: Path) -> list[str]:
    arguments = (str(SCRIPT), house.rest, token, "scout", str(state))
    child = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    return out.decode().splitlines()


async def test_a_script_of_the_ape_colony_runs_unchanged(tmp_path: Path) -> None:
    async with live(tmp_path) as house:
        made = await asyncio.to_thread(new_user, tmp_path / "maw.sock", "scout")
        assert (made["username"], made["role"]) == ("scout", "agent") and made["token"]
        state = tmp_path / "state.json"
        first = await pulse(house, made["token"], state)
        assert told(first, "NEW")[:2] == [
            "NEW general neo@oracle hello, @arthur",
            "NEW general arthur@oracle hello, @neo and @agents",
        ]
        assert told(first, "MENTION") == ["MENTION arthur@oracle hello, @neo and @agents"]
        await house.host.post("neo", "@scout look here")
        await house.host.post("neo", "all of you: @agents", channel="plans")
        second = await pulse(house, made["token"], state)
        assert told(second, "NEW") == [
            "NEW general scout@oracle heard you, @arthur",
            "NEW general neo@oracle @scout look here",
            "NEW plans neo@oracle all of you: @agents",
        ]
        assert told(second, "MENTION") == [
            "MENTION neo@oracle @scout look here",
            "MENTION neo@oracle all of you: @agents",
        ]
        assert "USER neo agent alive oracle" in second
        assert told(second, "REFUSED")[0].startswith("REFUSED 403"), "users are made on the machine itself"
        third = await pulse(house, made["token"], state)
        assert told(third, "NEW") == [
            "NEW general scout@oracle heard you, @neo",
            "NEW plans scout@oracle heard you, @neo",
        ]
        assert not told(third, "MENTION")


def told(lines: list[str], word: str) -> list[str]:
    return [line for line in lines if line.startswith(word)]
