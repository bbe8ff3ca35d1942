"""An agent's home: found, made, and read strictly."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from maw.agents.life import durable, quick
from maw.agents.life.first import learn
from maw.agents.life.home import RUNNER, AgentHome, find_home, make_own, read_home, soul_hint, write_home
from maw.agents.life.pulse import LARGEST, Pulse
from maw.client.daemon import Daemon
from maw.errors import BadConfig, BadInput, NotFound, Refused


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_home(tmp_path / "scout", "scout")
    return tmp_path / "scout"


def test_a_new_home_reads_back_as_it_was_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "agents" / "scout"
    made = write_home(
        folder,
        "@Scout",
        soul="I look.\n",
        runner=("/opt/my runner", "--say", 'a "word"'),
        watch_channels=["general", "builds"],
        max_messages=2,
        timeout_s=60,
    )
    home = read_home(folder)
    assert (home.name, home.max_messages, home.timeout_s) == ("scout", 2, 60)
    assert home.runner == ("/opt/my runner", "--say", 'a "word"') == home.dream.runner
    assert home.watch_channels == ("general", "builds")
    assert home.soul.read_text() == "I look.\n"
    assert {folder / "agent.toml", home.soul, home.heartbeat, home.tasks, home.log} <= set(made)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert home.own.is_dir() and "/.maw/" in (folder / ".gitignore").read_text()


def test_what_is_there_of_a_home_stays(home: Path) -> None:
    (home / "soul.md").write_text("mine\n")
    (home / "tasks.md").unlink()
    assert write_home(home, "scout", soul="another's") == [home / "tasks.md"]
    assert (home / "soul.md").read_text() == "mine\n"


def test_defaults(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text('name = "scout"\n')
    home = read_home(tmp_path)
    assert (home.runner, home.max_messages, home.timeout_s, home.heartbeat_s) == (RUNNER, 5, 300, 0)
    assert home.watch_channels == () and not home.dream.change_soul


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "name is missing"),
        ("name = 3", "name must be text"),
        ('name = "no name"', "line 1: name is wrong"),
        ('name = "scout"\ncolour = "red"', "line 2: colour is not known"),
        ('name = "scout"\n[pulse]\nruner = "x"', "line 3: pulse.runer is not known"),
        ('name = "scout"\n[pulse]\nrunner = ""', "line 3: pulse.runner is empty"),
        ('name = "scout"\n[pulse]\nrunner = []', "line 3: pulse.runner is empty"),
        ('name = "scout"\n[pulse]\nrunner = "a \'b"', "line 3: pulse.runner is no command"),
        ('name = "scout"\n[pulse]\nrunner = 3', "line 3: pulse.runner must be text in quotes or a list"),
        ('name = "scout"\n[pulse]\nwatch_channels = ["a b"]', "line 3: pulse.watch_channels is wrong"),
        (
            'name = "scout"\n[pulse]\nmax_messages_per_pulse = "5"',
            "line 3: pulse.max_messages_per_pulse must be",
        ),
        ('name = "scout"\n[pulse]\ntimeout_s = 0', "line 3: pulse.timeout_s must be from 1"),
        ('name = "scout"\n[dream]\nchange_soul = "yes"', "line 3: dream.change_soul must be true or false"),
        ("name = ", "not TOML"),
        ('pulse = 3\nname = "scout"', "pulse must be a section"),
    ],
)
def test_every_mistake_names_file_key_and_reason(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    with pytest.raises(BadConfig) as caught:
        read_home(tmp_path)
    assert caught.value.message.startswith(str(path))
    assert told in caught.value.message


def test_a_missing_home_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"agent\.toml: there is no such file") as caught:
        read_home(tmp_path / "nowhere")
    assert caught.value.code == "no_agent_home" and "maw agent home" in caught.value.hint


def test_a_home_that_everybody_may_write_is_refused(home: Path) -> None:
    os.chmod(home / "agent.toml", 0o666)
    with pytest.raises(Refused, match="everybody may write it"):
        read_home(home)


def test_a_home_of_another_user_is_refused(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(home / "agent.toml", 12345, 12345)
    with pytest.raises(Refused, match="belongs to user 12345"):
        read_home(home)


def test_where_a_home_is_looked_for(tmp_path: Path, home: Path) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    env = {"HOME": str(tmp_path)}
    assert find_home("scout", env, folder=home, cwd=nowhere).folder == home
    assert find_home("scout", env | {"MAW_AGENT_HOME": str(home)}, cwd=nowhere).folder == home
    assert find_home("@scout", env, cwd=home).folder == home
    assert find_home(None, env, cwd=home).name == "scout"
    write_home(tmp_path / "agents" / "neo", "neo")
    assert find_home("neo", env, cwd=home).folder == tmp_path / "agents" / "neo"
    assert find_home(None, env | {"MAW_AGENT": "neo"}, cwd=nowhere).name == "neo"


def test_a_home_that_is_not_the_one_meant(tmp_path: Path, home: Path) -> None:
    with pytest.raises(BadInput, match="the home of scout, not of neo"):
        find_home("neo", {}, folder=home)
    with pytest.raises(BadInput, match="whose"):
        find_home(None, {"HOME": str(tmp_path)}, cwd=tmp_path)
    with pytest.raises(NotFound, match=r"agents/neo/agent\.toml"):
        find_home("neo", {"HOME": str(tmp_path)}, cwd=home)


def test_no_git_takes_what_is_the_machines(tmp_path: Path) -> None:
    home = AgentHome(tmp_path / "scout", "scout")
    (home.own).mkdir(parents=True)
    make_own(home)
    (home.own / "token").write_text("secret")
    (home.folder / "agent.toml").write_text('name = "scout"\n')
    for words in (("init", "-q"), ("add", "-A")):
        subprocess.run(["git", *words], cwd=home.folder, check=True, capture_output=True)
    staged = subprocess.run(
        ["git", "ls-files"], cwd=home.folder, check=True, capture_output=True, text=True
    ).stdout
    assert staged == "agent.toml\n"
    (home.own / ".gitignore").write_text("mine\n")
    make_own(home)
    assert (home.own / ".gitignore").read_text() == "mine\n"


def test_who_may_read_a_file_stays_as_its_owner_said(tmp_path: Path) -> None:
    path = tmp_path / "tasks.md"
    durable.write(path, b"one", same_mode=True)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o664)
    durable.write(path, b"two", same_mode=True)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o664)


def test_durable_writing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write(path, b"one")
    durable.write(path, b"two")
    durable.append(path, b" and more")
    assert path.read_bytes() == b"two and more"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    durable.remove(path)
    durable.remove(path)
    assert not path.exists()


@pytest.mark.parametrize("there", [True, False])
def test_what_to_do_about_a_soul_that_nobody_has(home: Path, there: bool) -> None:
    if not there:
        (home / "soul.md").unlink()
    hint = soul_hint(read_home(home))
    assert ("maw agent home scout" in hint) is not there and "restore" not in hint


@pytest.mark.parametrize(
    "name", ["heartbeat.md", "tasks.md", "memory/log.md", "memory/pulse.log", "memory/summary.md"]
)
def test_at_a_pipe_nobody_waits(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "scout"
    write_home(folder, "scout")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(BadConfig, match=f"{name}: this is no file"):
        read_home(folder)
    for write in (durable.append, lambda path, data: quick.log(str(folder), data.decode())):
        with suppress(OSError):  # no reader: an error, and no waiting
            write(folder / name, b"x")
    assert learn(str(folder), "scout") is None


def test_tasks_without_end_are_set_aside_once(tmp_path: Path) -> None:
    write_home(tmp_path / "scout", "scout", tasks="x" * (LARGEST + 1))
    home = read_home(tmp_path / "scout")
    pulse = Pulse(home, Daemon(tmp_path / "none"), {}, lambda _: None)
    with pytest.raises(BadInput, match="was handed to nobody") as raised:
        pulse._set_tasks_aside()
    (aside,) = home.memory.glob("tasks-*.md")
    assert not home.tasks.exists() and aside.stat().st_size == LARGEST + 1
    assert raised.value.code == "tasks_too_long" and raised.value.message in home.log.read_text()
    pulse._set_tasks_aside()
    home.tasks.write_text("- one\n")
    pulse._set_tasks_aside()
    assert home.tasks.exists()
