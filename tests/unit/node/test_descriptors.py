"""Told when nothing can be opened any more, and settled when it can again."""

from __future__ import annotations

import errno
import os

import pytest

from maw.core.effects import Alert
from maw.node.descriptors import DescriptorWatch


def test_it_is_told_once_and_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Alert] = []
    settled: list[tuple[str, str]] = []
    watch = DescriptorWatch("mbp", told.append, lambda kind, subject: settled.append((kind, subject)))
    watch.look()
    assert not told

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        for _ in range(3):
            watch.look()
    assert [(one.kind, one.subject) for one in told] == [("descriptors", "mbp")]
    assert "LimitNOFILE" in told[0].text
    assert not settled
    watch.look()
    watch.look()
    assert settled == [("descriptors", "mbp")]


def test_other_trouble_with_the_probe_is_no_lack_of_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Alert] = []
    watch = DescriptorWatch("mbp", told.append, lambda kind, subject: None)

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    watch.look()
    assert not told
