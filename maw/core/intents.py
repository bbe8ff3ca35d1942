"""What the author of a message wants of who reads it."""

from __future__ import annotations

from typing import Final

CHAT: Final = "chat"
ASK: Final = "ask"
INFORM: Final = "inform"
ACK: Final = "ack"
INTENTS: Final = (CHAT, ASK, INFORM, ACK)
"""Nothing in particular; an answer; that it is known; that it is known that he has read. The last two wake nobody."""
