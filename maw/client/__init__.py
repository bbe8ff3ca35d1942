"""Asking this host's daemon from a script or a command: the standard library only, so that it starts fast."""
