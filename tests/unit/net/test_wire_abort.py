"""Ending a connection whose transport Python itself has let go of already."""

from __future__ import annotations

import asyncio

import pytest

from maw.net.wire import abort


class Forgetful(asyncio.Transport):
    """As the TLS transport of Python 3.11.2 is after it was closed twice."""

    def __init__(self, closing: bool) -> None:
        super().__init__()
        self._closing = closing
        self.aborted = False

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        self.aborted = True
        raise AttributeError("'NoneType' object has no attribute '_abort'")


def test_a_transport_that_was_closed_twice_is_ended() -> None:
    transport = Forgetful(closing=True)
    abort(transport)
    assert transport.aborted


def test_any_other_fault_is_not_passed_over() -> None:
    with pytest.raises(AttributeError):
        abort(Forgetful(closing=False))
