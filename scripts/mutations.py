"""Every single-field mutation of every message of one faulty member, to every subset of receivers, one at a time.

The course that is bent (`rounds`) is the same each time: two heights in view 0, the second held up before its seal
and missed by one member; a view change that has to carry its certificate; three heights in view 1, one of them missed
by the faulty member; STATUS all along. Four members, one of them
faulty, each in turn. A case replaces one message that this member sends, for some of its receivers: by a bent form
(`bend`), by nothing, or by an older message of its kind. From then on the run goes its own way, timers included,
until all that was submitted is sealed everywhere. Judges: `witness`, `replica_state.require_bounded`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import msgspec

from consensus.messages import CHECKPOINT, open_envelope
from consensus.simulation.checkers import Violation
from ledger.types import Parameters, Seal, SealSignature
from scripts.bend import Bender
from scripts.cast import Cast
from scripts.replica_state import require_bounded
from scripts.small_world import World

MEMBERS = 4
PARAMETERS = Parameters(window=4, block_transactions_max=4, request_timeout_ms=500, timeout_max_ms=4_000)
FINISH_MS = 10 * PARAMETERS.timeout_max_ms

Sent = tuple[tuple[int, ...], bytes]  # (receivers, message)


class Case(msgspec.Struct, frozen=True):
    """One disturbance: the faulty member's message of that number, and what some receivers get instead (or nothing)."""

    faulty: int
    message: int
    what: str
    receivers: tuple[int, ...]
    instead: bytes | None

    def __str__(self) -> str:
        return f"member {self.faulty}, its message {self.message}, to {list(self.receivers)}: {self.what}"


def rounds(world: World) -> None:
    """The course: what happens outside of the replicas. Raises `Violation` when it does not end well."""
    (faulty,) = world.faulty
    straggler = MEMBERS - 1 if faulty != MEMBERS - 1 else MEMBERS - 2
    world.start()
    world.run_to(10)
    world.submit("a")
    world.run_to(30)
    world.set_executes(go=False)  # height 2 is final, and not sealed: the view change has to carry it
    world.cut = lambda _, receiver: receiver == straggler  # who has to be handed what is final
    world.submit("b")
    world.run_to(60)
    world.cut = None
    world.set_pens(move=False)  # nobody proposes: the view has to be left
    world.submit("c")
    world.run_to(700)
    world.set_pens(move=True)
    world.set_executes(go=True)
    world.run_to(900)
    primary = world.nodes[straggler].primary
    world.cut = lambda sender, receiver: receiver == faulty and sender != primary  # it has to tell how far it came
    world.submit("d")
    world.run_to(1_200)
    world.cut = None
    world.submit("e")
    world.finish(FINISH_MS)


def sent_by(faulty: int) -> list[Sent]:
    """What that member sends in the undisturbed course, in order."""
    sent: list[Sent] = []

    def record(_: int, receivers: tuple[int, ...], data: bytes) -> list[tuple[int, bytes]]:
        sent.append((receivers, data))
        return [(each, data) for each in receivers]

    world = World(Cast((1,) * MEMBERS, PARAMETERS), frozenset({faulty}))
    world.bend = record
    rounds(world)
    return sent


def cases(faulty: int) -> Iterator[Case]:
    """Every case of one faulty member, in a fixed order."""
    cast = Cast((1,) * MEMBERS, PARAMETERS)
    bender = Bender(faulty, lambda kind, body: cast.sign(kind, faulty, body), _some_seal(cast))
    sent = sent_by(faulty)
    for number, (receivers, data) in enumerate(sent):
        instead: list[tuple[str, bytes | None]] = [("omitted", None)]
        instead += [("an older one again", old) for old in _older(sent, number)]
        instead += bender.bend(data)
        for what, message in instead:
            for subset in _subsets(receivers):
                yield Case(faulty, number, what, subset, message)


def play(case: Case) -> None:
    """One run. Raises `Violation`, or whatever a replica let escape."""
    count = -1

    def bend(_: int, receivers: tuple[int, ...], data: bytes) -> list[tuple[int, bytes]]:
        nonlocal count
        count += 1
        if count != case.message:
            return [(each, data) for each in receivers]
        outgoing = [(each, data if each not in case.receivers else case.instead) for each in receivers]
        return [(each, message) for each, message in outgoing if message is not None]

    world = World(Cast((1,) * MEMBERS, PARAMETERS), frozenset({case.faulty}))
    world.bend = bend
    rounds(world)
    if count < case.message:
        raise Violation("the case did not come about: the course is not the same each time")
    for node in world.correct:
        assert node.replica is not None
        require_bounded(node.replica)


def _subsets(receivers: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every subset but the empty one."""
    for size in range(1, len(receivers) + 1):
        yield from combinations(receivers, size)


def _older(sent: Sequence[Sent], number: int) -> list[bytes]:
    """The last message before that one of the same kind that says something else."""
    kind = open_envelope(sent[number][1])[0].kind
    older = [data for _, data in sent[:number] if open_envelope(data)[0].kind == kind and data != sent[number][1]]
    return older[-1:]


def _some_seal(cast: Cast) -> Seal:
    """A seal with one signature, which seals nothing, for messages that have none."""
    return Seal(0, 1, bytes(32), (SealSignature(0, cast.sign(CHECKPOINT, 0, b"")),))
