"""Asking a daemon from a script: ``Colony`` and ``AsyncColony``. What they are made of starts fast, for the command
asks with it too."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from maw.client.aio import AsyncColony as AsyncColony
    from maw.client.colony import Colony as Colony
    from maw.client.records import Message as Message
    from maw.client.records import Receipt as Receipt

__all__ = ["AsyncColony", "Colony", "Message", "Receipt"]

_WHERE = {"AsyncColony": "aio", "Colony": "colony", "Message": "records", "Receipt": "records"}


def __getattr__(name: str) -> object:
    """Each is imported when it is asked for: aiohttp alone takes longer than a whole command."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
