"""Commands as whole processes, from fork to exit, against a running daemon.

What agents call all day, `maw send` and `maw inbox` with nothing in it, goes a short way that imports neither typer
nor an HTTP client; what comes on top of an empty Python is JSON, a socket, and the call of a few milliseconds, with a
synced commit in it. `maw inbox` with mail in it is a full command.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.figure import Figure, median
from bench.house import MAW, Daemon, environment
from bench.sizes import Size

ASKED_MS = {"maw send": 100.0, "maw inbox, nothing new": 80.0}
_BARE_TYPER = """
import typer
app = typer.Typer(add_completion=False)
@app.command()
def hello(name: str) -> None:
    print(name)
app()
"""


async def run(root: Path, size: Size) -> list[Figure]:
    async with Daemon(root, "cli") as daemon:
        await daemon.post("/api/users", {"username": "neo"})
        await daemon.post("/api/users", {"username": "arthur"})
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "a bare typer command": [sys.executable, "-c", _BARE_TYPER, "neo"],
            "maw send": [str(MAW), "send", "--as", "neo", "@arthur", "is the replica whole?"],
            "maw inbox, nothing new": [str(MAW), "inbox", "--as", "neo"],
            "maw inbox, with mail": [str(MAW), "inbox", "--as", "arthur", "--limit", "1"],
        }
        env = environment(MAW_HOME=str(daemon.home))
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(size.calls + 1):
            for name, command in commands.items():
                began = time.perf_counter()
                subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=not name.endswith("new"))
                taken[name].append((time.perf_counter() - began) * 1e3)
    middle = {name: median(times[1:]) for name, times in taken.items()}
    bare = middle["python -c pass"]
    return [
        Figure(
            f"{name}, whole process", took, "ms", bare, "python -c pass", took / bare,
            f"≤ {ASKED_MS[name]:g} ms" if name in ASKED_MS else "",
            took <= ASKED_MS[name] if name in ASKED_MS else None,
        )
        for name, took in middle.items() if name.startswith("maw")
    ] + [Figure("a bare typer command", middle["a bare typer command"], "ms")]  # fmt: skip
