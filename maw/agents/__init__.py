"""What lives with agents, outside the daemon: hooks of their programs, tmux, the keeper that brings them back, MCP.

All of it runs as the agent's own Unix user, and asks the daemon over its socket as any program would.
"""
