"""SQLite: the local replica and everything that must survive."""
