"""What failed in the last run, once more by itself: `python -m tests.again`.

The whole suite runs on three workers, with real daemons, tmux servers and hosts. Where the machine was too busy for one
of them, that says nothing of maw; a fault of maw's own shows again when the test runs alone. So at most two tests get a
second chance; they are named loudly, to be looked into. Three or more are no accident, and a run that failed without
a failed test is none either.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

LAST: Final = Path(".pytest_cache/v/cache/lastfailed")
MOST: Final = 2


def main() -> int:
    failed = sorted(json.loads(LAST.read_text())) if LAST.exists() else []
    if not 0 < len(failed) <= MOST:
        print(f"{len(failed)} tests failed: nothing is run again", *failed, sep="\n  ")
        return 1
    for test in failed:
        print(f"== {test}: alone", flush=True)
        if subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]).returncode:
            print(f"FAILED, alone too: {test}")
            return 1
    print("UNSTEADY: these failed beside others and passed alone; look into each:", *failed, sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
