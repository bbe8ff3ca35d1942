"""``from maw.client import Colony``: a script's day with a real daemon, waiting and awaited, over socket and REST."""

from __future__ import annotations

import asyncio
import queue
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from maw.client import AsyncColony, Colony, Message
from maw.errors import NotFound, NotRunning, NotSignedIn, Refused
from tests.e2e.daemons import Daemon, MakeDaemon
from tests.e2e.lab import wait_until

WAIT_S = 30


@pytest.fixture
def node(daemon: MakeDaemon, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    for name in ("MAW_SOCKET", "MAW_AGENT", "TMUX", "TMUX_PANE"):
        monkeypatch.delenv(name, raising=False)
    running = daemon("mbp")
    monkeypatch.setenv("MAW_HOME", str(running.home))
    for name in ("neo", "arthur"):
        running.ask("POST", "/api/users", {"username": name}, agent="~")
    return running


def rest_of(node: Daemon) -> str:
    text = (node.home / "maw.toml").read_text()
    section = text[text.index("[rest]") :]
    return "http://" + section.split('listen = "')[1].split('"')[0]


def test_a_day_of_a_script(node: Daemon) -> None:
    neo, arthur = Colony(agent="neo"), Colony("@arthur")
    assert neo.whoami()["agent"] == "neo@mbp"
    receipt = neo.send("@arthur", "is it green?", intent="ask", wait="replicated")
    assert receipt.state == "replicated"
    (asked,) = arthur.inbox()
    assert (asked.text, asked.author, asked.intent, asked.to) == (
        "is it green?",
        "neo@mbp",
        "ask",
        ("arthur@mbp",),
    )
    assert arthur.inbox(limit=1) == [asked]
    arthur.post("#general", "it is, @neo", reply_to=asked.id)
    (named,) = neo.mentions("neo")
    assert (named.channel, named.mentions, named.reply_to) == ("general", ("neo",), asked.id)
    assert neo.messages("general", after_seq=named.seq - 1) == [named] == [neo.message(str(named.seq))]
    assert arthur.ack(asked) == [asked.id]
    assert arthur.inbox() == [] == arthur.ack_all()
    wait_until(lambda: [one.id for one in neo.search("green from:neo")] == [asked.id], "it is found")
    assert {"neo", "arthur"} <= {one["username"] for one in neo.users()}
    with pytest.raises(NotFound):
        neo.send("@zaphod", "hello?")


def test_over_rest_with_a_token_and_without(node: Daemon) -> None:
    url = rest_of(node)
    token = node.ask("POST", "/api/users/neo/token", {}, agent="~")[1]["token"]
    Colony(url=url, token=token).post("general", "over REST")
    stranger = Colony(url=url)
    assert [one.text for one in stranger.messages("general")] == ["over REST"]
    with pytest.raises(NotSignedIn):
        stranger.inbox()
    with pytest.raises((NotSignedIn, Refused)):
        Colony(url=url, token="wrong").inbox()
    with pytest.raises(NotRunning):
        Colony(url="http://127.0.0.1:1").channels()


def test_who_listens_hears_each_once_over_a_kill(node: Daemon) -> None:
    heard: queue.Queue[Message] = queue.Queue()
    colony = Colony(agent="arthur")
    neo = Colony(agent="neo")
    after = colony._newest()

    def listen() -> None:
        for message in colony.listen(after_seq=after, channel="general"):
            heard.put(message)
            if message.text == "the end":
                return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    neo.post("general", "one")
    assert heard.get(timeout=WAIT_S).text == "one"
    node.kill()
    node.start()
    for text in ("two", "the end"):
        neo.post("general", text)
    assert [heard.get(timeout=WAIT_S).text for _ in range(2)] == ["two", "the end"]
    thread.join(WAIT_S)
    assert heard.empty()


async def test_awaited_it_is_the_same(node: Daemon) -> None:
    async with AsyncColony("neo") as neo, AsyncColony("arthur") as arthur:
        after = (await neo.post("general", "zero")).seq
        stream = arthur.listen(after_seq=after, channel="general")

        async def next_one() -> Message:
            return await asyncio.wait_for(anext(stream), WAIT_S)

        await neo.post("general", "one")
        assert (await next_one()).text == "one"
        await asyncio.to_thread(node.kill)
        waiting = asyncio.create_task(next_one())
        await asyncio.to_thread(node.start)
        await neo.post("general", "two @arthur")
        assert (await waiting).text == "two @arthur"
        receipt = await neo.send(["@arthur", "neo@mbp"], "to both", wait="replicated")
        assert receipt.state == "replicated"
        found = await arthur.inbox()
        assert [one.text for one in found] == ["two @arthur", "to both"]
        assert set(await arthur.ack(*found)) == {one.id for one in found}
        with pytest.raises(NotFound):
            await neo.send("@zaphod", "hello?")
        await asyncio.to_thread(node.stop)
        with pytest.raises(NotRunning):
            await neo.channels()


def test_importing_it_is_light(tmp_path: Path) -> None:
    heavy = "{'aiohttp', 'asyncio', 'typer'}"
    program = f"import sys, maw.client; maw.client.Colony; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
