"""An hour of agents: real daemons, keepers, hooks and tmux; sessions that are stand-ins; what all of it costs them.

``python -m tests.hour --minutes 60 --messages 500 --agents 13`` prints wakes, digests, nudges and the bytes that
entered contexts, and fails where a message was not heard of, or twice.
"""
