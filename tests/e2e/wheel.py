"""maw as a stranger has it: built into a wheel and installed into an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]


def install_wheel(directory: Path) -> Path:
    """Builds the wheel, installs it with what it needs; the path of the `maw` command."""
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(directory), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = directory.glob("*.whl")
    home = directory / "venv"
    venv.create(home, with_pip=True)
    constraints = str(ROOT / "requirements.lock")
    pip = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "-c", constraints]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, timeout=300)
    return home / "bin" / "maw"
