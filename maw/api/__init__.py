"""The two doors, REST and the local socket: one handler each, the same answers."""
