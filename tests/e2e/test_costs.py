"""What pulses cost, with a real daemon, and that a cap that is spent halts the agent over kill -9."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

from tests.e2e.daemons import MAW, MakeDaemon
from tests.e2e.test_pulse import Scout, texts


def maw(scout: Scout, *words: str) -> str:
    done = subprocess.run([*MAW, *words], env=scout.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


def says(scout: Scout, text: str, usd: float) -> None:
    """As `claude -p --output-format json` does."""
    usage = {"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 30}
    told = {"type": "result", "subtype": "success", "is_error": False, "result": text, "usage": usage}
    scout.says(json.dumps({**told, "total_cost_usd": usd}))


def test_a_cap_that_is_spent_halts_the_pulses_until_a_human_resumes_them(
    daemon: MakeDaemon, tmp_path: Path
) -> None:
    node = daemon("mbp")
    node.ask("POST", "/api/users", {"username": "neo"}, agent="~")
    scout = Scout(node, tmp_path / "scout")
    assert "scout@mbp" in maw(scout, "cost", "cap", "scout", "usd=1/day", "--as", "~")
    for text, usd in (("one", 0.6), ("two", 0.4)):
        scout.hears(f"say {text}")
        says(scout, text, usd)
        assert "1 message sent" in scout.pulse()
    rows = list(csv.DictReader(io.StringIO(maw(scout, "cost", "scout", "--csv"))))
    assert sum(float(row["usd"]) for row in rows) == 1.0
    assert (sum(int(row["runs"]) for row in rows), sum(int(row["cache_tokens"]) for row in rows)) == (2, 60)

    node.kill()
    node.start()
    scout.hears("say three")
    says(scout, "three", 0.1)
    told = scout.pulse(code=6)
    assert "halted: its $1.00 a day are spent" in told and "maw cost resume scout" in told
    assert (scout.runs, texts(scout.inbox())) == (2, ["say three"]), "nothing ran, and nothing is lost"
    assert "scout is halted" in maw(scout, "status")

    # and while it runs: what it answers waits, and is said once
    maw(scout, "cost", "resume", "scout", "--as", "~")
    cap = " ".join(MAW)
    (scout.folder / "script").write_text(
        f'{cap} cost cap scout usd=0 --as owner >/dev/null && cat "$MAW_AGENT_HOME/answer"\n'
    )
    scout.run()
    assert (scout.runs, texts(scout.inbox("neo"))) == (3, ["one", "two"])
    maw(scout, "cost", "cap", "scout", "usd=5", "--as", "~")
    assert "1 message sent" in scout.pulse("--now")
    assert (scout.runs, texts(scout.inbox("neo"))) == (3, ["one", "two", "three"])
