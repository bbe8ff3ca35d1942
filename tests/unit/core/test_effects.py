"""Effects are data: frozen, comparable, told apart by type."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from maw.core import effects
from maw.core.effects import Alert, Append, Effect, Hangup, OwnLogReturned, Send
from maw.core.frames import Credit


def test_every_effect_is_in_the_union() -> None:
    defined = {
        item for item in vars(effects).values()
        if dataclasses.is_dataclass(item) and item.__module__ == effects.__name__
    }  # fmt: skip
    assert defined == set(get_args(Effect))


def test_they_are_equal_by_what_they_say_and_cannot_be_changed() -> None:
    assert Send(1, Credit(5)) == Send(1, Credit(5))
    assert Send(1, Credit(5)) != Send(2, Credit(5))
    assert Append(1, 2, ()) == Append(1, 2, ())
    for effect in (Send(1, Credit(5)), Hangup(1, "code", "reason"), Alert("k", "s", "t"), OwnLogReturned(1)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(effect, dataclasses.fields(effect)[0].name, 7)
