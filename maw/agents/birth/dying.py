"""A death, from this host's side: what would be lost is told first; nothing is deleted before it is kept."""

from __future__ import annotations

import hashlib
import os
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from maw.agents.birth.engine import Engine, Helper, Outcome, Step, Told
from maw.agents.birth.far import Far, Here, Ssh
from maw.agents.birth.gcloud import Cloud
from maw.agents.birth.looking import look
from maw.agents.birth.plan import GENERAL
from maw.agents.life import durable
from maw.client.daemon import Daemon, segment
from maw.errors import BadInput, MawError, NotFound, Refused, Unavailable

HEARD_S: Final = 30.0
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Ending:
    """``host``: as ssh takes it; None: this one. ``insist``: also with unread mail, and work that is nowhere else.
    ``archive``: the file to write; None: one in the births folder. ``node``: the node's service ends too."""

    name: str
    host: str | None = None
    user: str | None = None
    insist: bool = False
    archive: Path | None = None
    delete_user: bool = False
    node: bool = False
    delete_vm: bool = False
    channel: str = GENERAL
    why: str = ""


@dataclass(slots=True)
class Death:
    """``plain``: the daemon here, asked as its administrator; ``python``: that of the maw here."""

    ending: Ending
    engine: Engine
    plain: Daemon
    folder: Path
    python: str
    connect: Callable[[str], Far] = Ssh
    cloud: Cloud | None = None
    far: Far = field(default_factory=Here)
    notes: list[str] = field(default_factory=list)
    _helper: Helper | None = None
    _found: dict[str, Any] = field(default_factory=dict)

    def run(self) -> list[Told]:
        try:
            return self.engine.run(self.steps())
        finally:
            self.far.close()

    def steps(self) -> list[Step]:
        ending = self.ending
        steps = [
            Step("look", f"what there is of {ending.name}", self._look),
            Step("quiet", "its pulse and dream", self._quiet),
            Step("goodbye", f"goodbye in #{ending.channel}", self._goodbye),
            Step("archive", "its home, kept", self._archive),
            Step("agent", "its token, mailbox and membership", self._gone),
            Step("erase", "its home, removed", self._erase),
        ]
        if ending.node:
            steps.append(Step("node", "the node's service", self._node))
        if ending.delete_vm:
            steps.append(Step("machine", "the virtual machine", self._machine))
        return steps

    # -- each of them -----------------------------------------------------------------------------------

    def _look(self) -> Outcome:
        ending = self.ending
        python: str | None = self.python
        if ending.host is not None:
            self.far = self.connect(ending.host)
            facts = look(self.far)
            python = facts.helper
            if python is None:
                raise NotFound(
                    f"no maw that knows births is on {ending.host}",
                    code="old_maw",
                    hint="is it the right host?",
                )
        # it looks, dry or not
        self._helper = Helper(self.far, python, self.engine.dry)
        found = self._helper.act(
            "look", agent=ending.name, user=ending.user, likely=self._journal().get("user")
        )
        self._found = found
        if found["address"] is None and found["home"] is None and not self._journal().get("began"):
            raise NotFound(
                f"there is no agent {ending.name} on {self.far.name}, nor a home of it", code="no_such_agent",
                hint="`maw agent list` shows where it lives; --host HOST",
            )  # fmt: skip
        journal = self.engine.journal
        if (
            journal is not None
            and journal.data.get("state") == "ended"
            and (found["address"] or found["home"])
        ):
            # one of that name was born anew; the archive of the first is not to be written over
            journal.data = {key: value for key, value in journal.data.items() if key == "asked"}
        self._refuse_loss(found)
        if not self.engine.dry and journal is not None:
            journal.note(
                began=journal.data.get("began") or time.time(), host=ending.host,
                user=found["user"] or journal.data.get("user"), address=found["address"] or journal.data.get("address"),
            )  # fmt: skip
        return Outcome(
            True, f"{found['address'] or 'no agent any more'}, {found['home'] or 'no home any more'}"
        )

    def _refuse_loss(self, found: dict[str, Any]) -> None:
        lost = [f"{found['unread']} unread"] if found["unread"] else []
        lost += found["work"]
        if not lost:
            return
        if self.ending.insist:
            self.notes.append(f"ended all the same, with {'; '.join(lost)}")
            return
        if self.engine.dry:
            self.notes.append(f"it would be refused without --force: {'; '.join(lost)}")
            return
        raise Refused(
            f"{self.ending.name} still has {'; '.join(lost)}", code="not_finished",
            hint="read it (`maw inbox --as NAME`), push it; or --force: the files are in the archive",
        )  # fmt: skip

    def _journal(self) -> dict[str, Any]:
        return {} if self.engine.journal is None else self.engine.journal.data

    def _user(self) -> str | None:
        return self._found.get("user") or self._journal().get("user")

    def _ask(self, do: str, **asked: Any) -> Outcome:
        assert self._helper is not None, "look comes first"
        return self._helper.outcome(do, do, agent=self.ending.name, **asked)

    def _quiet(self) -> Outcome:
        return self._ask("quiet")

    def _goodbye(self) -> Outcome:
        began = datetime.fromtimestamp(float(self._journal().get("began") or time.time()), UTC)
        why = f": {self.ending.why}" if self.ending.why else ""
        text = (
            f"{self.ending.name} ends here, at {began:%Y-%m-%d %H:%M} UTC{why}. What I said stays. Goodbye."
        )
        outcome = self._ask("goodbye", channel=self.ending.channel, text=text)
        if self.ending.host is not None and not self.engine.dry and not self._came_here(text):
            self.notes.append("its goodbye has not come to this host yet")
            if self.ending.node or self.ending.delete_vm:
                raise Unavailable(
                    f"what {self.ending.name} said last has not come here: with its node gone it never would",
                    code="not_heard", hint="is the link up? `maw peers`; then the same again",
                )  # fmt: skip
        return outcome

    def _came_here(self, text: str) -> bool:
        """Its words are on this host, and so all that its node said before them."""
        if self._found.get("address") is None:
            return True  # it is no agent any more: this was asked before it ended
        deadline = time.monotonic() + HEARD_S
        path = f"/api/channels/{segment(self.ending.channel)}/messages"
        while time.monotonic() < deadline:
            if any(one["text"] == text for one in self.plain.get(path, limit=200, before_seq=1 << 52).body):
                return True
            time.sleep(0.25)
        return False

    def _archive(self) -> Outcome:
        journal = self._journal()
        if (kept := journal.get("archive")) and self._found["home"] is None:
            return Outcome(True, str(kept))
        if self._found["home"] is None:
            return Outcome(True, "there is no home any more")
        target = self._target(kept)
        if self.engine.dry:
            return Outcome(False, str(target))
        count = self._fetch(target)
        if kept:
            self.notes.append(f"what was there before it was broken off is kept in {kept}")
        if self.engine.journal is not None:
            self.engine.journal.note(archive=str(target))
        return Outcome(
            False,
            f"{target}, {count} files, {target.stat().st_size / (1 << 20):.1f} MiB, read back and compared",
        )

    def _target(self, kept: str | None) -> Path:
        """Never the file in which it is ``kept`` already: where the removing was broken off there is less by now."""
        began = datetime.fromtimestamp(float(self._journal().get("began") or time.time()), UTC)
        target = self.ending.archive or self.folder / f"{self.ending.name}-{began:%Y%m%dT%H%M%SZ}.tar.gz"
        number, free = 1, target
        while kept and os.path.lexists(free):
            number += 1
            free = target.with_name(f"{target.name.removesuffix('.tar.gz')}-{number}.tar.gz")
        return free

    def _fetch(self, target: Path) -> int:
        """The archive is on this host's disk, and holds what the far one says it read; how many files. Raises."""
        assert self._helper is not None
        part = target.with_name(f"{target.name}.part")
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if target == self.ending.archive and target.exists():
                raise BadInput(
                    f"{target} is there already", code="file_exists", hint="--archive FILE: another one"
                )
            handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Refused(f"{target}: {error.strerror}", code="cannot_write", hint="--archive FILE") from None
        with os.fdopen(handle, "r+b") as packed:
            told = self._helper.act(
                "archive", into=packed, timeout=3600, agent=self.ending.name, user=self._user(),
                whole=self.ending.delete_user,
            )  # fmt: skip
            packed.flush()
            os.fsync(packed.fileno())
        verify(part, told["files"])
        os.rename(part, target)  # noqa: PTH104
        durable.sync_folder(str(target.parent))
        return len(told["files"])

    def _gone(self) -> Outcome:
        outcome = self._ask("gone")
        if not self.engine.dry:
            (self.folder / f"{self.ending.name}.birth.json").unlink(missing_ok=True)
        return outcome

    def _erase(self) -> Outcome:
        user = self._user()
        if user is None:
            return Outcome(True, "there is no home any more")
        return self._ask("erase", user=user, whole=self.ending.delete_user)

    def _node(self) -> Outcome:
        if self.ending.host is None:
            raise Refused("this is the node you speak through", code="own_node", hint="maw service remove")
        outcome = self._ask("node-off")
        node = str(self._journal().get("address") or "@?").partition("@")[2]
        self.notes.append(
            f"its key still stands: maw revoke {node} shuts it out for good, maw peers forget {node} here alone"
        )
        return outcome

    def _machine(self) -> Outcome:
        assert self.cloud is not None
        if self.engine.dry:
            return Outcome(self.cloud.look() is None, f"delete {self.cloud.host}")
        return Outcome(not self.cloud.delete(), f"{self.cloud.host} is gone")

    def report(self, told: list[Told]) -> dict[str, Any]:
        return {
            "name": self.ending.name, "address": self._journal().get("address") or self._found.get("address"),
            "host": self.ending.host, "state": "planned" if self.engine.dry else "ended",
            "archive": self._journal().get("archive"), "seconds": round(sum(one.seconds for one in told), 2),
            "steps": [one.as_json() for one in told], "notes": self.notes,
        }  # fmt: skip


def verify(path: Path, files: dict[str, str]) -> None:
    """Each file that was read over there is in the archive as it was read. Raises Unavailable."""
    held: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:gz") as packed:
            for entry in packed:
                data = packed.extractfile(entry) if entry.isreg() else None
                digest = hashlib.sha256()
                while data is not None and (piece := data.read(_PIECE)):
                    digest.update(piece)
                held[entry.name] = "" if data is None else digest.hexdigest()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _not_kept(path, str(error)) from None
    wrong = [name for name, digest in files.items() if held.get(name) != digest]
    if wrong or not files:
        raise _not_kept(
            path, f"{len(wrong)} of {len(files)} files differ, such as {wrong[0] if wrong else 'none'}"
        )


def _not_kept(path: Path, why: str) -> MawError:
    return Unavailable(
        f"{path} is not what was read over there ({why}): nothing was deleted",
        code="bad_archive",
        hint="the same again",
    )
