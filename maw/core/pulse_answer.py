"""What a run answered, as messages: a line that names whom begins one.

    >>> #general            in a channel
    >>> @arthur             to an agent alone; several with commas
    >>> reply 42            to message 42, where that was said
    >>> ask @arthur         (or a channel) wants an answer, and wakes; all else is `inform`, which wakes nobody
    >>> obeyed 42           of an operator's order; `declined 42` likewise, with why
    >>> memory              for the log alone

What stands before the first such line is the answer to who spoke to the agent directly, if exactly one did; else it is
for the log alone. ``HEARTBEAT_OK`` alone says nothing. Within a code fence no line begins a message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from maw.core.intents import ASK, INFORM
from maw.core.names import mentions

OK: Final = "HEARTBEAT_OK"
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}"
_WHO: Final = rf"@(?:role:|host:)?{_NAME}(?:@{_NAME}(?:~[a-z2-7]{{6}})?)?"
_HEADER: Final = re.compile(
    rf"[*`\s]*>>>\s*(?:(?P<ask>ask)\s+)?(?:\#(?P<channel>{_NAME})|(?P<who>{_WHO}(?:\s*,\s*{_WHO})*)"
    r"|(?P<verb>reply|obeyed|declined)(?:\s+to)?\s+(?P<ref>[A-Za-z0-9-]{1,100})|(?P<memory>memory))\s*:?[*`\s]*",
    re.IGNORECASE,
)
_FENCE: Final = re.compile(r"\s*(```+|~~~+)")
_OK_LINE: Final = re.compile(rf"[\s*_`\"']*{OK}[\s*_`\"'.!]*")
_TERMINAL: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|\r", re.DOTALL)
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
NOTE: Final = 300


@dataclass(frozen=True, slots=True)
class Part:
    """``verb``: ``post``, ``direct``, ``reply``, ``obeyed``, ``declined``, ``memory``. ``to``: a channel, addresses
    with commas, a message; "" of memory."""

    verb: str
    to: str
    text: str
    ask: bool = False


@dataclass(frozen=True, slots=True)
class Sending:
    """One request that carries out a part. ``speaker``: the agent, or its role that was spoken to. ``where``: for the
    log. ``counts``: it is a message."""

    speaker: str
    path: str
    body: dict[str, Any]
    where: str
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """``unsent``: what is not sent, and why; ``noted``: what is for the log alone."""

    sendings: tuple[Sending, ...]
    unsent: tuple[tuple[str, str], ...] = ()
    noted: str = ""


def parts_of(answer: str) -> tuple[str, list[Part]]:
    """What stands before the first header, and the parts; what says nothing is left out."""
    text = _CONTROL.sub("", _TERMINAL.sub("", answer))
    before: list[str] = []
    heads: list[tuple[re.Match[str], list[str]]] = []
    fence = ""
    for line in text.split("\n"):
        if found := _FENCE.match(line):
            mark = found[1]
            if not fence:
                fence = mark
            elif mark[0] == fence[0] and len(mark) >= len(fence):
                fence = ""
        header = None if fence else _HEADER.fullmatch(line)
        if header is not None:
            heads.append((header, []))
        else:
            (heads[-1][1] if heads else before).append(line)
    parts = [_part(header, _said(lines)) for header, lines in heads]
    return _said(before), [part for part in parts if part.text or part.verb in ("obeyed", "declined")]


def plan(answer: str, agent: str, handed: Sequence[dict[str, Any]], most: int) -> Plan:
    """``handed``: the messages that the run was given, each with ``mailbox``, ``id``, ``seq``, ``author``, ``channel``,
    ``kind``, ``why``; also open asks that it was told of. ``most``: messages that may be sent."""
    before, parts = parts_of(answer)
    noted: list[str] = []
    if before:
        spoken = _spoken_to(handed)
        if spoken is None:
            noted.append(before)
        else:
            parts = [Part("reply", str(spoken["seq"]), before), *parts]
    sendings: list[Sending] = []
    unsent: list[tuple[str, str]] = []
    counted = 0
    for part in parts:
        if part.verb == "memory":
            noted.append(part.text)
            continue
        sending = _sending(part, agent, handed)
        if sending is None:
            unsent.append((f"there is no message {part.to} in this pulse", part.text))
        elif sending.counts and counted >= most:
            unsent.append((f"over {most} messages in one pulse; it was for {sending.where}", part.text))
        else:
            counted += sending.counts
            sendings.append(sending)
    return Plan(tuple(sendings), tuple(unsent), "\n\n".join(noted))


def _part(header: re.Match[str], text: str) -> Part:
    ask = header["ask"] is not None
    if header["channel"]:
        return Part("post", header["channel"].lower(), text, ask)
    if header["who"]:
        return Part("direct", re.sub(r"\s", "", header["who"]).lower(), text, ask)
    if header["memory"]:
        return Part("memory", "", text)
    return Part(header["verb"].lower(), header["ref"], text, ask)


def _said(lines: list[str]) -> str:
    return "\n".join(line.rstrip() for line in lines if not _OK_LINE.fullmatch(line)).strip()


def _spoken_to(handed: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The message that an answer to nobody in particular answers: the last of the only one who spoke to the agent."""
    direct = [
        one
        for one in handed
        if one.get("why") in ("direct", "mention") and one.get("new", True) and not one.get("own")
    ]
    wanting = [one for one in direct if one.get("intent") not in ("inform", "ack")] or direct
    authors = {one["author"] for one in wanting}
    return max(wanting, key=lambda one: int(one["seq"])) if len(authors) == 1 else None


def _sending(part: Part, agent: str, handed: Sequence[dict[str, Any]]) -> Sending | None:
    body: dict[str, Any] = {"text": part.text, "intent": ASK if part.ask else INFORM}
    if part.verb == "post":
        return Sending(agent, _channel(part.to), body, f"#{part.to}")
    if part.verb == "direct":
        who = [name.removeprefix("@") for name in part.to.split(",")]
        return Sending(agent, "/api/direct", {"to": who, **body}, ", ".join(f"@{name}" for name in who))
    found = next((one for one in handed if part.to in (str(one["seq"]), one["id"])), None)
    if found is None:
        return None
    speaker = str(found["mailbox"])
    if part.verb != "reply":
        told = {"ids": [found["id"]], "answer": part.verb}
        if note := " ".join(part.text.split())[:NOTE]:
            told["note"] = note
        return Sending(speaker, "/api/ack", told, f"order {found['seq']}: {part.verb}", counts=False)
    body["reply_to"] = found["id"]
    if found.get("channel") is None:
        return Sending(
            speaker,
            "/api/direct",
            {"to": [found["author"]], **body},
            f"@{found['author']}, to {found['seq']}",
        )
    author = str(found["author"])
    if not {author, author.partition("@")[0]} & set(
        mentions(part.text)
    ):  # else its author would not hear of it
        body["text"] = f"@{author} {part.text}"
    return Sending(speaker, _channel(found["channel"]), body, f"#{found['channel']}, to {found['seq']}")


def _channel(name: str) -> str:
    return f"/api/channels/{quote(name, safe='')}/messages"
