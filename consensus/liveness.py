"""How long to wait for a height, and for a view: one timer, "progress". Signs nothing, decides no vote.

It runs only while work waits, restarts with every height that comes to a commit, doubles with every failed view up to
a cap, and is quiet while this replica is behind: that is nobody else's fault (docs/protocol.md, section 5).
"""

from __future__ import annotations

from consensus.actions import CancelTimer, SetTimer
from consensus.core import Core
from consensus.messages import VIEW_MAX
from consensus.view_changing import left_power, suspect

PROGRESS = "progress"


def timeout_ms(core: Core) -> int:
    """The current patience: the request time-out, doubled for every view that failed in a row, capped.

    The first view after a failed one gets the same patience as that; then it doubles (Castro and Liskov, 4.5.2).
    """
    doublings = min(max(0, core.failed_views - 1), 32)
    return min(core.parameters.request_timeout_ms << doublings, core.parameters.timeout_max_ms)


def on_timer(core: Core) -> None:
    """Patience ran out. A stale firing, after the timer was cancelled, changes nothing."""
    if core.timer is not None:
        suspect(core, core.view)


def advance(core: Core) -> None:
    """Let the timer run for what is waited for now: restart it when that changed, stop it when nothing is."""
    awaited = _awaited(core)
    if awaited == core.timer:
        return
    core.out.append(CancelTimer(PROGRESS) if awaited is None else SetTimer(PROGRESS, timeout_ms(core)))
    if core.timer is None:
        core.pace.begin(core.now_ms)
    core.timer = awaited


def _awaited(core: Core) -> tuple[int, ...] | None:
    """What must happen soon: a NEW-VIEW, or a commit of the lowest height; None where there is nothing to wait for."""
    if core.safety.silent:
        return None
    if core.changing:  # nothing can come before a quorum has left; who went further has left as well (P5.2)
        return (core.view,) if left_power(core, VIEW_MAX) >= core.committee.quorum else None
    lowest = core.delivered_height + 1
    if lowest > core.sealed_height + core.window or core.best_sealed_height >= lowest:
        return None
    return (core.view, lowest) if core.waiting or _in_flight(core) else None


def _in_flight(core: Core) -> bool:
    """Whether the primary of this view has proposed a height that is not delivered."""
    for height, slot in core.slots.items():
        if height > core.delivered_height and (found := slot.rounds.get(core.view)) and found.proposal:
            return True
    return False
