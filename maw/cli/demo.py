"""`maw demo`: two nodes on this machine federate, before one's eyes."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running, to play with, until Ctrl-C.")
    ] = False,
) -> None:
    """Two nodes on this machine, in a directory of their own: watch maw at work. Leaves nothing behind."""
    from maw.demo.playing import play  # what only the demo needs
    from maw.demo.screen import Screen

    play(keep, Screen.to_stdout())
