"""What the docs name exists: commands, options, routes, files, sections, codes, variables, dependencies."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maw import __version__
from maw.api.app import ROUTES
from maw.cli.main import COMMANDS, command_line
from maw.demo import arthur_source

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCS}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
COMMAND = re.compile(r"(?:^|[|&;(]|\$\()\s*(?:\w+=\S*\s+)*(?:sudo\s+)?(?:\S*/)?maw(?=\s|$)([^|&;()<>]*)")
PLACES = ("maw/", "docs/", "tests/", "systemd/", "pm2/", "bench/")

each_doc = pytest.mark.parametrize("name", TEXTS)


def prose(name: str) -> str:
    return FENCE.sub("", TEXTS[name])


def spans(name: str) -> list[str]:
    return SPAN.findall(prose(name).replace("\\|", "|"))


def said_commands(name: str) -> Iterator[list[str]]:
    """The words after ``maw`` of every command line in code, fenced or not."""
    lines = list(spans(name))
    for language, block in FENCE.findall(TEXTS[name]):
        if language in ("bash", "sh", "console"):
            lines += [line.removeprefix("$ ") for line in block.splitlines()]
    for line in lines:
        for found in COMMAND.findall(line):
            words = shlex.split(found, comments=True)
            if words and words[0] != "…":
                yield words


def parameters(words: list[str]) -> tuple[str, set[str]]:
    """The command that ``words`` begin with, and its options; "" when there is none."""
    table = {name for group in COMMANDS.values() for name in group}
    root: Any = command_line()
    if words[0].startswith("-"):
        return "maw", options_of(root)
    if words[0] not in table:
        return "", set()
    command = root.get_command(None, words[0])
    path = words[0]
    while len(words) > 1 and words[1] in getattr(command, "commands", {}):
        words = words[1:]
        command, path = command.commands[words[0]], f"{path} {words[0]}"
    return path, options_of(command)


def options_of(command: Any) -> set[str]:
    return {"-h", "--help", *(option for parameter in command.params for option in parameter.opts)}


@each_doc
def test_every_command_and_option_exists(name: str) -> None:
    wrong = []
    for words in said_commands(name):
        path, known = parameters(words)
        strange = [word for word in words if word.startswith("-") and word not in ("-", "--")]
        strange = [word for word in strange if word.partition("=")[0] not in known]
        if not path or strange:
            wrong.append(" ".join(["maw", *words]))
    assert wrong == []


@each_doc
def test_options_that_a_remark_names_are_the_commands_own(name: str) -> None:
    """``maw cost --csv   # for a spreadsheet; --json for programs``"""
    wrong = []
    for language, block in FENCE.findall(TEXTS[name]):
        for line in block.splitlines() if language in ("bash", "sh", "console") else ():
            said, _, remark = line.partition(" # ")
            for found in COMMAND.findall(said):
                strange = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", remark))
                if strange - parameters(shlex.split(found))[1]:
                    wrong.append(line)
    assert wrong == []


def test_commands_are_found_where_they_are_said() -> None:
    assert ["send", "--as", "neo", "@arthur", "what is the load over there?"] in list(
        said_commands("README.md")
    )
    assert parameters(["peers", "forget", "mbp"])[0] == "peers forget"
    assert parameters(["nothing", "x"])[0] == ""


@each_doc
def test_every_route_exists(name: str) -> None:
    paths = {route.path for route in ROUTES}
    patterns = [re.compile(re.sub(r"\{\w+\}", r"[^/]+", path)) for path in paths]
    said = re.findall(r"(?<![\w.])/(?:api/[\w{}/%-]+|healthz|metrics|openapi\.json)", TEXTS[name])
    assert [path for path in said if not any(one.fullmatch(path) for one in patterns)] == []


@each_doc
def test_every_file_and_section_that_is_linked_exists(name: str) -> None:
    missing = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(name)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, section = target.partition("#")
        path = ((ROOT / name).parent / file).resolve() if file else ROOT / name
        if not path.is_file() or (section and section not in sections(path)):
            missing.append(target)
    assert missing == []


def sections(path: Path) -> set[str]:
    """The anchors of a page, as GitHub and Gitea make them."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@each_doc
def test_every_path_exists(name: str) -> None:
    said = [word for word in spans(name) if word.startswith(PLACES) and " " not in word]
    assert [word for word in said if not (ROOT / word).exists()] == []


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/[\w.]+)", TEXTS["README.md"]))
    assert {name for name in TEXTS if name.startswith("docs/")} <= linked


def test_the_agent_in_the_docs_is_the_one_of_the_demo() -> None:
    assert arthur_source() in TEXTS["docs/agents.md"]


# -- operations ---------------------------------------------------------------------------------------

ERRORS = TEXTS["docs/operations.md"].partition("\n## Errors\n")[2]


def codes_in_source() -> set[str]:
    """Every ``code=`` and ``default_code`` that maw gives its errors."""
    found = set()
    for path in (ROOT / "maw").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "code":
                found.add(node.value)
            elif isinstance(node, ast.AnnAssign | ast.Assign) and "default_code" in ast.unparse(node)[:60]:
                found.add(node.value or ast.Constant(None))
    return {node.value for node in found if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_error_code_is_in_the_catalogue() -> None:
    told = set(re.findall(r"`([a-z0-9_]+)`", ERRORS))
    assert sorted(codes_in_source() - told) == []


def test_the_catalogue_has_no_code_that_is_not_there() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "maw").rglob("*.py"))
    said = [code for row in re.findall(r"^\| (`.*?) \|", ERRORS, re.MULTILINE) for code in SPAN.findall(row)]
    assert len(said) > 80
    assert [code for code in said if f'"{code}"' not in source] == []


def test_every_variable_is_told() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "maw").rglob("*.py"))
    read = set(
        re.findall(r"""(?:env(?:iron(?:ment)?)?(?:\.get\(|\[)|in os\.environ|getenv\()"(MAW_\w+)""", source)
    )
    assert read >= {"MAW_HOME", "MAW_SOCKET", "MAW_LOG"}
    table = TEXTS["docs/operations.md"].partition("\n## Environment\n")[2].partition("\n## ")[0]
    assert read <= set(re.findall(r"`(MAW_\w+)`", table))


# -- architecture -------------------------------------------------------------------------------------


def test_every_dependency_is_justified() -> None:
    wanted = {re.split(r"[<>=;\[ ]", line)[0] for line in PROJECT["project"]["dependencies"]}
    table = TEXTS["docs/architecture.md"].partition("\n## Dependencies\n")[2]
    assert set(re.findall(r"^\| ([a-z0-9]+) \|", table, re.MULTILINE)) - {"package"} == wanted


def test_the_floors_are_those_that_are_checked() -> None:
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    table = TEXTS["docs/architecture.md"].partition("\n## Floors\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`maw/[^|]*) \|", table, re.MULTILINE)
    told = [
        " | ".join(word.removesuffix(".py").replace("/", ".") for word in SPAN.findall(row)) for row in rows
    ]
    assert told == layers


def test_the_changelog_opens_with_the_policy_and_has_this_version() -> None:
    headings = re.findall(r"^## (.*)$", TEXTS["docs/changelog.md"], re.MULTILINE)
    assert headings[0] == "What may change, and what may not"
    assert headings[1].split()[0] == __version__
