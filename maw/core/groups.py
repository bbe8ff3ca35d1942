"""Groups that are named by what their members are: ``@role:reviewer``, ``@host:mbp``.

In a post they stand beside the mentions, as ``role:reviewer`` and ``host:mbp``; each host matches its own agents. In a
role are the agents whose role it is (``agent``, ``ape``), whose card lists it, and who are a role called so.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from maw.core.colony import GROUPS

ROLE: Final = "role"
HOST: Final = "host"


class Member(NamedTuple):
    """An agent, as groups see it. ``is_role``: it is a role of another. ``hosts``: what its host is called, also
    with a piece of its key."""

    name: str
    role: str
    roles: Collection[str]
    is_role: bool
    hosts: Collection[str]

    @property
    def groups(self) -> list[str]:
        """Every word that stands for it among others."""
        found = dict.fromkeys((self.role, *self.roles, *((self.name,) if self.is_role else ())))
        plain = [group for group, roles in GROUPS.items() if self.role in roles]
        return [*plain, *(f"{ROLE}:{word}" for word in found), *(f"{HOST}:{host}" for host in self.hosts)]


def is_in(group: str, member: Member) -> bool:
    """Whether ``role:NAME`` or ``host:NAME`` stands for this agent."""
    what, _, name = group.partition(":")
    if what == HOST:
        return name in member.hosts
    return (
        what == ROLE
        and bool(name)
        and (name == member.role or name in member.roles or (member.is_role and name == member.name))
    )
