"""An agent's life between two timers: its home on the disk, its pulse, its dream, its soul.

Each command is one process that begins, does one thing and ends. Whatever it is at, it may be killed: what it does is
kept in the home's ``.maw`` first, and the next one goes on from there. See docs/life.md.
"""
