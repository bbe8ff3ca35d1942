"""What ``maw init`` writes: both files with every key explained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from maw.config.endpoints import MESH_PORT, Endpoint
from maw.config.settings import RestConfig


def render_config(
    name: str,
    *,
    interface: str | None = None,
    listen: Iterable[Endpoint] = (),
    mesh_port: int = MESH_PORT,
    rest: Endpoint | None = None,
) -> str:
    """What ``maw init`` writes to maw.toml; ``load_config`` reads it back to the same values."""
    addresses = [str(endpoint) for endpoint in listen]
    port = mesh_port if interface else next((endpoint.port for endpoint in listen), mesh_port)
    return _CONFIG_TEXT.format(
        name=_quoted(name),
        interface=f"interface = {_quoted(interface)}" if interface else '# interface = "wg0"',
        listen=f"listen = [{', '.join(map(_quoted, addresses))}]"
        if addresses
        else '# listen = ["10.0.0.7:6290"]',
        port=port,
        rest=_quoted(str(rest or RestConfig().listen)),
    )


def render_peers() -> str:
    """What ``maw init`` writes to peers.toml: how to add a peer by hand, and no peer."""
    return _PEERS_TEXT


_CONFIG_TEXT: Final = """\
# This node's settings. maw wrote this file once, at `maw init`, and only reads it from now on: it is yours.
# After a change: restart the daemon (`systemctl restart maw`, or stop and start `maw up`).

[node]
# How this host is called in addresses such as arthur@name. To change it, do so before you invite anybody.
name = {name}

[mesh]
# Where other nodes reach this one. Either an interface: maw listens on its addresses only, waits for it and
# follows it. Or fixed addresses. Not both.
{interface}
{listen}
port = {port}
# Addresses that invites tell others to dial, where they differ from the ones listened on:
# advertise = ["mbp.wg:6290"]
# With up to so many trusted peers this node links with all of them; with more, with about so many:
# full_mesh = 30
# links = 8

[rest]
# For programs on this machine; never reachable from outside.
listen = {rest}
# May public channels be read without a token?
anonymous = true
# Names under which a reverse proxy on this machine shows it to people elsewhere, each whole:
# hosts = ["maw.example.org"]

[socket]
# The Unix group that may invite, revoke and hand out tokens, beside this user and root.
# group = "maw"
# The Unix group that may use the socket at all, each user as the agents that are his: for a node that several
# users of this machine share. Without it the socket is for the group above.
# users = "agents"

[limits]
# Below this much free disk the node takes no new messages, and says so.
min_free_disk_mib = 256
# How many messages an agent of this host may say, all of them in one channel, and all of them in all: a
# minute for good, and at once. 0 a minute: no limit. Who goes beyond it is told when there is room again.
agent_per_minute = 60
agent_burst = 300
channel_per_minute = 300
channel_burst = 1000
node_per_minute = 1200
node_burst = 5000
# Who names a group of more than so many (@all, @role:reviewer) needs a right: maw agent set NAME crowd=on
crowd = 50

[files]
# Files that go with messages lie in blobs/, encrypted; those of other hosts come when somebody fetches them.
# How much disk all may take, how large one may be (at most 64), and for how many days a copy of another
# host's is kept that nobody used (0: for ever).
quota_mib = 2048
max_mib = 64
keep_days = 30

[moves]
# Hosts, by name or key, whose agents may move here unasked (maw move): they belong to the daemon's own user.
# accept_from = ["mbp"]

[search]
# Whether messages can be searched for: search.db takes about as much disk as their texts.
index = true

[backup]
# Where `maw backup` puts them: best a directory on another disk. Without it, backups/ beside this file.
# directory = "/mnt/backup/maw"
# How many are kept: the newest, and beside them the newest of each of the latest weeks.
keep = 7
keep_weeks = 4

[host]
# What whoever gives this box allows: how many agents run at once, what they take together, and when. What is
# beyond it is stopped, the youngest or the largest first, is told why, and comes back when there is room:
# `maw host` shows it.
# agents = 13
# memory_mib = 8192
# hours = "08:00-22:00"
# A human is told, once, where less memory than this is left, and where an agent's session log grows beyond:
reserve_mib = 512
session_log_mib = 300
# The channel in which this node tells it; "" for nowhere but here (`maw alerts`).
alerts = "alerts"

[wakes]
# How often one agent may be woken within an hour: in all, by one sender, by messages to groups such as
# @agents. From half of it on it is slowed, then held, and a human is told: `maw wakes`. An operator's word
# always wakes.
per_hour = 60
per_sender = 24
per_groups = 10
# When no agent here is to be disturbed, in this host's local time; `maw dnd` sets it for one agent.
# dnd = "22:00-07:00"

[cost]
# What may be spent a day (of UTC) by this host's agents together: dollars as the runners tell them, tokens,
# and seconds of runners. Who has spent it is halted until the day ends: it neither pulses nor speaks nor is
# woken. A human is told at 80 %. `maw cost` shows it, `maw cost resume` gives it anew.
# usd_per_day = 20.00
# tokens_per_day = 50000000
# runner_s_per_day = 36000
# What a run counts as against a cap whose runner tells no money, or no tokens. Left out, such a run halts its
# agent by every cap in that unit: nobody could say what was spent.
# unknown_usd = 0.50
# unknown_tokens = 200000
# For so many days is kept what they cost.
keep_days = 400

# The same for each agent by itself, and for one.
# [cost.each]
# usd_per_day = 5.00
# [cost.agents.scout]
# usd_per_day = 2.00

[alerts]
# Who is called, beside `maw alerts` and the channel, when something asks for a human: a command, with
# {{"node", "alerts": [{{"kind", "subject", "text"}}]}} on its standard input; an address this is POSTed to.
# exec = "/usr/local/bin/page-me"
# webhook = "https://example.org/maw"

[agents]
# `maw keep` starts agents one after another, so many seconds apart; later while the load a core is higher.
stagger_s = 2
load_per_core = 2

[births]
# Which agents of this host may make new ones ("*": all); how many births by agents there may be in a day,
# all of them together; how many generations of agents; how many agents there may be here, whoever makes them.
by = []
per_day = 8
depth = 1
most = 500

[birth]
# What `maw birth` does beside what every birth is: the newborn's runner, Debian packages, shell commands run
# as its user, and how to see that the runner is logged in; what a human runs for that, and is told.
# runner = "claude -p --output-format json"
# packages = ["git"]
# install = ["curl -fsSL https://claude.ai/install.sh | sh"]
# login_check = "claude auth status"
# login = "claude auth login"
# login_hint = "the account is in the team's safe"
"""

_PEERS_TEXT: Final = """\
# Nodes that this one trusts and dials, written by hand as with WireGuard. Peers that came by `maw invite` and
# `maw join` are not here: `maw peers` shows them all. After a change: `maw peers reload` (or SIGHUP).
#
# A host that never linked with anybody also says which Colony it is to belong to (`maw status` over there):
#
# [colony]
# id = "mc1…"
#
# [[peer]]
# name = "mbp"
# key = "mk1…"                       # what `maw key` prints on that host
# addresses = ["10.0.0.7:6290"]      # where it listens; leave out if only it can dial
# introducer = false                 # true: also trust whom that node admits
"""


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
