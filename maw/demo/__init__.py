"""``maw demo``: two nodes on this machine, played through real commands that a reader can type along."""

from importlib import resources


def arthur_source() -> str:
    """The text of the script that is arthur."""
    return resources.files(__name__).joinpath("arthur.py").read_text(encoding="utf-8")
