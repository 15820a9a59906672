"""Why a message, or a journal, was refused.

ConsensusError
├── MessageRefused           a message is not counted; `reason` is a stable word for the counters
└── JournalDamaged           a vote journal holds a record that this program never writes
"""

from __future__ import annotations


class ConsensusError(Exception):
    """Root of every error raised by `consensus`."""


class MessageRefused(ConsensusError):
    """A message is dropped, counted under `reason`, and nothing else happens. Never leaves `Replica.step`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class JournalDamaged(ConsensusError):
    """A record of the vote journal does not decode. The node must not vote with what is left of it."""
