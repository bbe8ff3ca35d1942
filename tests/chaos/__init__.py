"""Five real hosts, real WireGuard, real load, and what goes wrong in a year within some minutes.

    python -m tests.chaos [--minutes 10] [--seed N] [--rate 300] [--list]      make chaos MINUTES=10  (root)

The hosts are network namespaces with a wireguard-go wg0 each (tests/e2e/lab.py), every home on a small tmpfs of
its own. Agents on all of them talk all the time; every word keeps its Idempotency-Key until it is accepted. A seed
gives the schedule of faults; the same seed gives the same schedule (what happens between real processes in the
meantime is theirs).

What is checked
  1. An accepted word is shown exactly once on every node in the end; a direct one in the recipient's mailbox.
  2. Every replica holds the same entries.
  3. Within a log the order is the author's; an agent's words are in order unless its host lost its database.
  4. Readers on every node keep their cursor through everything: it skips nothing; it repeats only where the
     database under it was put back or deleted.
  5. Every alert has a fault of this run behind it, and what healed is no longer shown.

What may be lost: a word whose only copy was on the disk that went away. At every loss of a database the heads of
all others are read; words that no other disk held, and the copy put back neither, are excused and counted.

Layout: ``schedule`` and ``verdict`` are pure; ``box`` is a host, ``faults`` what is done to it, ``talking`` the
load, ``reading`` the cursors, ``run`` one run from beginning to end.
"""
