"""In what order: PBFT as a pure state machine. One event in, a list of actions out.

Imports only `ledger`. No I/O, no clock, no randomness, no iteration over sets, integers only.
"""

from consensus import actions, events
from consensus.recovery import first_journal
from consensus.replica import Replica
from consensus.standing import PeerView, Tip, Turn
from consensus.turns import memory_heights

__all__ = ["PeerView", "Replica", "Tip", "Turn", "actions", "events", "first_journal", "memory_heights"]
