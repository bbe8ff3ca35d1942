"""``maw mcp``: for programs that speak MCP."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from maw.cli.params import As
from maw.cli.session import speaking_daemon
from maw.errors import Unavailable


def mcp(
    channel: Annotated[
        bool,
        typer.Option(
            "--channel",
            help="Also wake a Claude Code session that was started to take channels of this server.",
        ),
    ] = False,
    as_name: As = None,
) -> None:
    """Serve MCP on standard input and output: six tools, and word of what is new. Clients start it."""
    try:
        import anyio

        from maw.agents.mcp.server import serve
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == "maw":
            raise
        raise Unavailable(
            f"this maw was installed without MCP ({error.name} is missing)",
            code="no_mcp",
            hint="pip install 'maw-colony[mcp]'; with pipx: pipx install --force 'maw-colony[mcp]'",
        ) from None

    async def run() -> None:
        await serve(lambda: speaking_daemon(as_name), channel=channel)
        # a long poll of one that waits for news must not go on, nor claim any, for a client that is gone
        os._exit(0)

    anyio.run(run)
