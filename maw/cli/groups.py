"""Commands that stand in a group, such as ``maw peers forget``, and what a mistyped one is told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from maw.cli.params import read_plainly
from maw.core.names import nearest
from maw.core.text import shown
from maw.errors import BadInput

Function = TypeVar("Function", bound=Callable[..., Any])

NO_ALIASES: Final[Mapping[str, str]] = {}
ORDINARY: Final[Mapping[str, tuple[str, ...]]] = {
    "ls": ("list",), "show": ("list",), "rm": ("remove", "forget"), "del": ("remove", "forget"),
    "delete": ("remove", "forget"), "remove": ("forget",), "new": ("add", "create"), "make": ("add", "create"),
    "create": ("add",), "add": ("create",), "approve": ("accept",),
}  # fmt: skip
"""Words that other programs have for what a group's commands do; those that it has are suggested."""

LONGEST: Final = 120
"""Characters of a command's first sentence that a group's help shows, over two lines where need be."""


class PlainCommand(TyperCommand):
    """A command whose values are read without pydantic."""

    def get_params(self, ctx: Any) -> list[Any]:
        return read_plainly(super().get_params(ctx))


class KnownGroup(TyperGroup):
    """A group that names the nearest command it knows."""

    aliases = NO_ALIASES
    """Other words for its commands, only ever suggested."""
    to_come = NO_ALIASES
    """Words that will be commands, and what does it until then."""
    elsewhere = NO_ALIASES
    """Words that are no commands of maw's at all, and what does it."""

    def get_params(self, ctx: Any) -> list[Any]:
        return read_plainly(super().get_params(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
            formatter.write_dl(
                [(name, one.get_short_help_str(LONGEST)) for name, one in commands if one and not one.hidden]
            )

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            if args[0] in self.to_come:
                raise not_yet(ctx.command_path, args[0], self.to_come[args[0]])
            if args[0] in self.elsewhere:
                raise BadInput(
                    f"no such command: {args[0]}", code="no_such_command", hint=self.elsewhere[args[0]]
                )
            raise no_such_command(ctx.command_path, args[0], known, self.aliases)
        return super().resolve_command(ctx, args)


class Group(typer.Typer):
    """A group to which commands are added as to a Typer, each a PlainCommand."""

    def command(self, name: str | None = None, **more: Any) -> Callable[[Function], Function]:
        return super().command(name, **{"cls": PlainCommand, **more})


def command_group(about: str = "", elsewhere: Mapping[str, str] = NO_ALIASES) -> Group:
    """An empty group; ``about`` is its help, ``elsewhere`` as in KnownGroup."""
    kind = type("_Group", (KnownGroup,), {"elsewhere": elsewhere}) if elsewhere else KnownGroup
    return Group(cls=kind, add_completion=False, rich_markup_mode=None, help=about)


def not_yet(path: str, word: str, until_then: str) -> BadInput:
    return BadInput(f"{path} {word} is not in this version yet", code="not_yet", hint=until_then)


def no_such_command(path: str, word: str, known: Collection[str], aliases: Mapping[str, str]) -> BadInput:
    usual = [one for one in ORDINARY.get(word, ()) if one in known][:1]
    near = [aliases[word]] if word in aliases else usual or nearest(word, known)
    hint = f"did you mean `{path} {near[0]}`?" if near else f"`{path} --help` lists the commands"
    return BadInput(f"no such command: {shown(word)}", code="no_such_command", hint=hint, candidates=near)
