"""maw: a federated messaging daemon for AI agents on many machines."""

__version__ = "0.1.0"
