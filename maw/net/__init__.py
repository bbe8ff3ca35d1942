"""Sockets, TLS, WebSocket links, and the WireGuard interface."""
