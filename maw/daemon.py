"""The one place where everything is put together: a node, its doors, signals, systemd.

Ready means serving: READY=1 is said when both doors are open and it is decided where the mesh listens.
Stopping means nothing accepted is lost: doors close first, then links, then the writer empties its queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import grp
import logging
import os
import pwd
import resource
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from maw.api.doors import Doors, DoorSettings
from maw.api.limits import door_shares
from maw.api.service import Service, reload_peers
from maw.config import Config, load_config
from maw.core.identity import Signer
from maw.errors import BadConfig, MawError
from maw.node.descriptors import USED_UP
from maw.node.home import NodeHome, hold_lock, read_key
from maw.node.node import Node, open_node
from maw.node.restoring import check_finished
from maw.node.sdnotify import Notifier, watchdog_interval
from maw.ops.logbook import Logbook

log = logging.getLogger(__name__)

MAX_DESCRIPTORS: Final = 16_384
LOOK_S: Final = 5.0
"""How often the node's loops are looked at."""


def run(home: Path) -> int:
    """``maw up``: serves until SIGTERM or SIGINT. Raises MawError when it cannot begin."""
    _hold_standard_descriptors()
    logbook = Logbook(2)
    logging.basicConfig(
        level=os.environ.get("MAW_LOG", "INFO").upper(),
        handlers=[logbook],
        format="%(levelname)s %(message)s",
    )
    faulthandler.enable(file=2)  # a watchdog that ends a hung daemon leaves the stacks in the journal
    place = NodeHome(home)
    check_finished(place)
    config = load_config(place.config)
    signer = read_key(place.key)
    os.umask(0o077)
    _raise_descriptor_limit()
    with hold_lock(place):
        try:
            asyncio.run(_serve(place, config, signer))
        except* MawError as several:
            raise _first_of(several) from None
        finally:
            logbook.close()
    return 0


def _hold_standard_descriptors() -> None:
    """Were standard error closed, the next file opened would take its number: the log would go into the database."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


def _raise_descriptor_limit() -> None:
    """Both doors full, and links beside them, take more than the 1,024 that many systems begin with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _descriptor_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def _first_of(group: ExceptionGroup[MawError]) -> MawError:
    """What stopped the daemon: the first of the errors that its tasks ended with."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, MawError)
    return error


async def _serve(home: NodeHome, config: Config, signer: Signer) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # too early to read peers.toml again: it is read yet
    notifier = Notifier.from_environment()
    async with open_node(home, config, signer) as node, asyncio.TaskGroup() as tasks:
        loop.set_exception_handler(lambda its_loop, context: _tell(node, its_loop, context))
        doors_closed = asyncio.Event()
        started = asyncio.Event()
        running = tasks.create_task(node.run(doors_closed, started.set), name="node")
        running.add_done_callback(lambda _: started.set())
        await started.wait()
        if running.done():
            return
        try:
            async with _doors(node, config) as doors:
                loop.add_signal_handler(signal.SIGHUP, lambda: tasks.create_task(_reload(node, notifier)))
                notifier.ready(_summary(node, doors))
                log.info("%s is up: %s", config.name, _summary(node, doors))
                beating = tasks.create_task(_beat(notifier, node), name="watchdog")
                running.add_done_callback(lambda _: stop.set())
                await stop.wait()
                loop.add_signal_handler(signal.SIGHUP, lambda: None)  # too late: no task is begun any more
                beating.cancel()
                notifier.stopping("finishing what was accepted")
                log.info("stopping: finishing what was accepted")
        finally:
            doors_closed.set()
    log.info("stopped")


@contextlib.asynccontextmanager
async def _doors(node: Node, config: Config) -> AsyncIterator[Doors]:
    group = _group_id(config, "group", config.socket.group)
    users = _group_id(config, "users", config.socket.users)
    if group is not None or users is not None:
        open_way(node.home.path)
    service = Service(node, admins=_admins(group))
    rest = config.rest.listen
    settings = DoorSettings(
        node.home.socket,
        group=group if users is None else users,
        rest=(rest.host, rest.port),
        anonymous=config.rest.anonymous,
        hosts=config.rest.hosts,
        most=door_shares(_descriptor_limit()),
    )
    doors = Doors(service, settings)
    await doors.start()
    service.rest = doors.rest_address
    try:
        yield doors
    finally:
        await doors.stop()


def open_way(home: Path) -> None:
    """Lets others pass through the directory to the socket, whose own mode says who may open it."""
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & 0o011 != 0o011:
        home.chmod(mode | 0o011)
        log.info("%s may be passed through now (mode %04o): the socket is for a group", home, mode | 0o011)


def _group_id(config: Config, key: str, name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise BadConfig(
            f"{config.path}: [socket] {key}: there is no group {name!r} on this host",
            hint=f"groupadd {name}, or remove the line",
        ) from None


def _admins(group: int | None) -> frozenset[int]:
    """The daemon's own uid, root, and who is in the configured group."""
    uids = {0, os.getuid()}
    if group is not None:
        for member in grp.getgrgid(group).gr_mem:
            with contextlib.suppress(KeyError):
                uids.add(pwd.getpwnam(member).pw_uid)
        uids |= {user.pw_uid for user in pwd.getpwall() if user.pw_gid == group}
    return frozenset(uids)


async def _beat(notifier: Notifier, node: Node) -> None:
    """Pings the watchdog from the loop that does the work: a loop that hangs stops pinging. Also looks after the
    node's own loops, and falls silent while one that it cannot do without stands still."""
    interval = watchdog_interval()
    while True:
        if node.loops.look() and interval is not None:
            notifier.watchdog()
        await asyncio.sleep(LOOK_S if interval is None else min(interval, LOOK_S))


def _tell(node: Node, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What was raised where nobody could catch it: a callback of the event loop, a task that nobody waits for."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in USED_UP:
        return  # a door that could not accept tries again by itself, and housekeeping tells of it
    if isinstance(error, Exception) and not isinstance(error, OSError):
        node.alerts.bug("a callback", error)
    loop.default_exception_handler(context)


async def _reload(node: Node, notifier: Notifier) -> None:
    notifier.reloading()
    try:
        told = await reload_peers(node)
        log.info("peers.toml was read again: %s", told)
    except MawError as error:
        log.error("peers.toml was not taken, the old peers stay: %s", error.message)
    except Exception as error:  # a file read again is no reason to end a daemon that runs
        node.alerts.bug("reading peers.toml again", error)
    notifier.ready()


def _summary(node: Node, doors: Doors) -> str:
    mesh = ", ".join(item.address for item in node.mesh.bindings if item.listening)
    waiting = (
        node.mesh.interface.describe() if node.mesh.interface and not mesh else "no address could be bound"
    )
    return f"mesh {mesh or waiting}, REST {doors.rest_address}"
