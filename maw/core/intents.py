"""What the author of a message wants of who reads it, and how urgently."""

from __future__ import annotations

from typing import Final

CHAT: Final = "chat"
ASK: Final = "ask"
INFORM: Final = "inform"
ACK: Final = "ack"
INTENTS: Final = (CHAT, ASK, INFORM, ACK)
"""Nothing in particular; an answer; that it is known; that it is known that he has read. The last two wake nobody."""

LOW: Final = "low"
NORMAL: Final = "normal"
HIGH: Final = "high"
PRIORITIES: Final = (LOW, NORMAL, HIGH)
"""How urgent it is: a low one wakes nobody, a high one stands before others."""
