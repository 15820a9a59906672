"""VIEW-CHANGEs that a member signed before it lost its journal are void, once it said so. Knows no other message.

A member that lost its journal cannot keep a promise that it does not remember. Before it votes again a quorum has
made its fence durable (P6.5): no view is entered any more on the strength of such a VIEW-CHANGE, wherever it was.
"""

from __future__ import annotations

from consensus.core import Core
from consensus.messages import Fence, ViewChange
from consensus.recovery import Fenced


def note_fence(core: Core, member: int, fence: Fence) -> None:
    """A member's own word, durable before anything that follows. The highest one stands."""
    held = core.fences.get(member)
    if held and held.height >= fence.height:
        return
    core.fences[member] = fence
    core.persist(Fenced(member, fence))
    left = core.view_changes.get(member)
    if left and is_void(core, left.body):
        del core.view_changes[member]


def is_void(core: Core, body: ViewChange) -> bool:
    """Whether its sender signed it before its fence."""
    fence = core.fences.get(body.sender)
    return fence is not None and body.view > fence.view and (body.seal.height if body.seal else 0) < fence.height
