"""The `maw` command. What runs at every tool of an agent goes the short way; everything else is `maw.cli.main`."""

from __future__ import annotations

import os
import sys


def main() -> int:
    try:
        return _main()
    except KeyboardInterrupt:  # before the command that was asked for could see to it
        return 130


def _main() -> int:
    if sys.argv[1:3] == ["hook", "run"]:
        from maw.agents.hooks.run import main as run

        return run(sys.argv[3:])
    if sys.argv[1:2] in (["send"], ["inbox"]):
        from maw.cli.light import main as light

        if (code := light(sys.argv[1:])) is not None:
            return code
    if sys.argv[1:2] == ["pulse"]:
        from maw.agents.life.quick import main as quick

        if (code := quick(sys.argv[2:], os.environ)) is not None:
            return code
    if sys.argv[1:] == ["up"]:
        from maw.cli.serving import quickly

        if (code := quickly()) is not None:
            return code
    from maw.cli.main import main as every_command

    return every_command()


if __name__ == "__main__":
    sys.exit(main())
