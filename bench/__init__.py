"""How fast, how small: figures of real daemons on this machine, each beside the floor it is compared to.

    python -m bench [NAME…] [--size tiny|quick|full] [--json] [--write]

NAME is any of hop, posts, catchup, memory, cli, idle; none means all. ``--write`` makes docs/benchmarks.md
anew. Everything runs on loopback and in one temporary directory, and ends with the processes it started.

How it measures
  1. What counts is a ratio within one run: maw and its floor take turns on the same disk, and the middle
     value of the turns is shown. Absolute figures belong to one machine and one minute.
  2. Daemons are real processes with real sockets and a real disk; the load comes from this process.
  3. A floor is the least that could do the same work: ``prototype`` for a post, ``floor_rows`` for a replica.

Layout: a module a benchmark, whose docstring says what bounds it (``report`` puts that into the docs);
``house`` starts daemons, ``stage`` keeps the big Colony that two benchmarks share, ``load`` is the client,
``sizes`` says how much, ``figure`` what a result is. Many daemons together are another matter: ``bench.fleet``.
"""
