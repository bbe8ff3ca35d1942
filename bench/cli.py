"""Commands as whole processes, from fork to exit, against a running daemon.

Starting Python and importing typer is most of it; the call over the socket takes a few milliseconds, a synced
commit among them. For a command maw imports neither aiohttp nor asyncio, and it reads its few kinds of
parameters itself, so that typer does not import pydantic: hence faster than a bare typer command.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.figure import Figure, median
from bench.house import MAW, Daemon, environment
from bench.sizes import Size

ASKED_MS = 200.0
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
            "maw inbox": [str(MAW), "inbox", "--as", "arthur"],
        }
        env = environment(MAW_HOME=str(daemon.home))
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(size.calls + 1):
            for name, command in commands.items():
                began = time.perf_counter()
                subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
                taken[name].append((time.perf_counter() - began) * 1e3)
    middle = {name: median(times[1:]) for name, times in taken.items()}
    typer = middle["a bare typer command"]
    return [
        Figure(
            f"{name}, whole process", middle[name], "ms", typer, "a bare typer command", middle[name] / typer,
            f"≤ {ASKED_MS:g} ms" if name == "maw send" else "",
            middle[name] <= ASKED_MS if name == "maw send" else None,
        )
        for name in ("maw send", "maw inbox")
    ] + [Figure("python -c pass", middle["python -c pass"], "ms")]  # fmt: skip
