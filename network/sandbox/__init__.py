"""What the executor gives up before it runs a line of a contract, in three steps, and what of it is in force.

`drop` comes first of all, `confine` before the state is opened, `seal` when everything is open. Each protection is
tried and named; where the platform lacks one, the reason is kept beside its name, and the node's status shows both. The
contract language needs none of this to be safe: it is the second wall.
"""

from __future__ import annotations

from network.sandbox.calls import seal
from network.sandbox.dropping import drop
from network.sandbox.files import confine
from network.sandbox.protection import Protection

__all__ = ["Protection", "confine", "drop", "seal"]
