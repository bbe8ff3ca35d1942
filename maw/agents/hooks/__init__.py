"""What Claude Code runs at its events: `maw hook run EVENT`. The light path: it starts with every tool of an agent.

Only the smallest parts of the standard library are imported here, and nothing of maw but this package: no typing,
dataclasses, pathlib, http. Whatever happens, a session goes on: nothing to say, no daemon, no agent and every fault end
with exit code 0 and no word; faults are in a small log that `maw doctor` shows.
"""
