"""Many real daemons on one machine that joined through introducers: what grows with their number.

    python -m bench.fleet [--nodes 5,10,30] [--messages 150] [--idle 60] [--write]      make fleet N=30

Every node is a process of its own (``maw up``) with its own home, key, ports and database, linked over TLS on
loopback. Nobody pairs with everybody: a few *introducers* pair with the first of them, each of the others follows
one invite of one introducer, and all know all by what introducers say.

How it measures
  1. Knowing: from the first invite until every node trusts every other and holds the agents of all.
  2. A message to all: from the first byte of the POST on one node until the stream of the last one shows it.
  3. Idle: nothing is asked for a minute; processor time from the kernel's per-thread counters (so a busy
     neighbour does not count), memory from smaps, bytes from the kernel's TCP counters.

All nodes share the cores of one machine, and a message to all is N commits: its latency is mostly waiting for
a core. The processor time of one message on one node, beside it, is what a host of its own would spend.

Layout: ``crowd`` starts, joins and ends the nodes; ``sounding`` reads what the kernel knows of a process;
``measures`` takes the figures of one size; ``page`` puts several sizes into docs/benchmarks.md, ``plot`` draws
them.
"""
