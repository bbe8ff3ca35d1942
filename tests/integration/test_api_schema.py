"""A live node answers as openapi.json says, whatever it is asked: schemathesis looks at every route, at each door.

Here with a fixed seed and few examples; ``make proof`` runs as long as is wanted.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof.house import live, prove, ways


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "phases"), [("anonymous", "fuzzing"), ("token", "fuzzing"), ("socket", "coverage")]
)
async def test_every_route_answers_as_it_is_described(way: str, phases: str, tmp_path: Path) -> None:
    async with live(tmp_path) as house:
        code, out = await prove(ways(house)[way], tmp_path, seed=1, examples=2, phases=phases)
        assert code == 0, out
        assert "No issues found" in out, out
