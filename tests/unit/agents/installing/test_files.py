"""What stands in the place of a file that is to be changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maw.agents.installing.files import look
from maw.errors import Refused


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "settings.json"
    os.mkfifo(pipe)
    with pytest.raises(Refused) as no:
        look(pipe, tmp_path)
    assert no.value.code == "not_a_file"


def test_what_is_not_there_is_no_fault(tmp_path: Path) -> None:
    assert look(tmp_path / "settings.json", tmp_path).text is None
