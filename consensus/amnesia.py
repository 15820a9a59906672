"""When a member may trust its own journal. Knows who answered what; `safety` obeys the verdict, `status` asks.

Every process begins with a question, a random token in its STATUS: what do you hold of mine? An answer counts if it
echoes the token, so nobody passes off old words for it. A member whose journal is whole votes as soon as a quorum,
itself counted, has answered (P6.6). One whose journal was lost, or is older than what it signed, is in doubt (P6.5): it
*listens* until a quorum has told its reach; R is the lowest that covers a quorum. A seal that it once held lies at R or
below, its votes at most a window above that. When it holds a seal at R + W it votes again, above that height, and in no
view below one that a quorum may have entered. A promise to leave a view that it forgot, and that comes back, it keeps.
"""

from __future__ import annotations

import msgspec

from consensus.core import Core, HeldViewChange
from consensus.messages import Body, Envelope, Status, ViewChange
from consensus.recognition import DIFFERENT, KNOWN, LOST, recognise
from consensus.recovery import Anchor, Doubted, Left, Resumed
from consensus.view_change import require_batches, require_view_change


class Answer(msgspec.Struct, frozen=True):
    """What a member said of itself when it was asked: how far it came, and the highest view it may have entered."""

    reach: int
    view: int


class Past:
    """What was heard about this member's past since its process began."""

    def __init__(self) -> None:
        self._token = 0  # of the present question; each question of a process has its own
        self._answers: dict[int, Answer] = {}

    # ── what happens ──────────────────────────────────────────────────────────────────────────────

    def begin(self, core: Core, token: int) -> None:
        """The process starts. With token 0 a member that trusts its journal asks nobody, as in a test without peers."""
        self._token = token
        if core.safety.doubtful:
            self._ask(core, max(1, token))
        elif token:
            core.safety.listening = True
            self._ask(core, token)

    def hear(self, core: Core, body: Status) -> None:
        """A STATUS that answers this very member. Who is in doubt itself cannot vouch for what a quorum did."""
        answers = body.answers == core.member and body.echo == self._token
        if self._token and answers and not (body.forgetful and core.safety.doubtful):
            entered = body.view - 1 if body.changing and body.view else body.view
            self._answers.setdefault(body.sender, Answer(body.reach, entered))

    def lose(self, core: Core, envelope: Envelope) -> None:
        """A message of this member came back that its journal should show: it counts as lost from here on, durably."""
        if not core.safety.doubtful:
            core.persist(Doubted(envelope.kind, envelope.body))
            core.safety.doubtful, core.safety.listening = True, False
            self._ask(core, self._token + 1)

    def take_back(self, core: Core, envelope: Envelope, body: ViewChange) -> None:
        """A promise that came back is kept: durable, as on the day when it was made."""
        if body.view <= core.view:
            return
        digests = [certificate.digest for certificate in body.prepared]
        require_batches(digests, [certificate.height for certificate in body.prepared], envelope.batches)
        require_view_change(core.committee, core.window, body)
        core.persist(Left(body.view, envelope))
        core.safety.promise(body.view)
        core.view_changes[core.member] = HeldViewChange(body, envelope)
        core.unrest = True

    # ── what follows ──────────────────────────────────────────────────────────────────────────────

    def token_for(self, core: Core, member: int) -> int:
        """What to ask that member: it has not answered, and its answer matters still."""
        return self._token if core.safety.unsure and member not in self._answers else 0

    def advance(self, core: Core) -> None:
        """Go on to the next stage when enough was heard."""
        if not core.safety.unsure or not self._has_quorum(core):
            return
        core.question = 0
        if core.safety.listening:
            core.safety.listening = False
            core.safety.sealed_elsewhere = core.best_sealed_height
            _wake(core)
        elif core.sealed_height >= self.target(core) and core.view >= self._agreed_view(core):
            self._resume(core)

    def target(self, core: Core) -> int:
        """The height whose seal ends the wait: a window above the reach that covers a quorum."""
        return self._covering(core, {member: answer.reach for member, answer in self._answers.items()}) + core.window

    def silence(self, core: Core) -> str:
        """Why this member does not vote, for its operator; empty where it does."""
        safety, committee = core.safety, core.committee
        heard = f"members with power {self._power(core)} of {committee.quorum} have answered"
        if safety.listening:
            return f"just started, asking the others what they hold of its votes: {heard}"
        if safety.doubtful and not self._has_quorum(core):
            return f"its vote journal was lost or set back: {heard}; {_last_resort(core)}"
        if safety.doubtful:
            return (
                f"its vote journal was lost or set back: it votes again when height {self.target(core)} is sealed, "
                f"now {core.sealed_height}, and view {self._agreed_view(core)} entered, now {core.view}; "
                f"{_last_resort(core)}"
            )
        if safety.silent:
            return (
                f"its block store ends at height {core.sealed_height}, but it voted up to {safety.floor} and above: "
                "it votes again when it has fetched the blocks between from the others"
            )
        return ""

    # ── inside ────────────────────────────────────────────────────────────────────────────────────

    def _ask(self, core: Core, token: int) -> None:
        self._token, self._answers = token, {}
        core.question, core.asking_due = token, True

    def _resume(self, core: Core) -> None:
        """The doubt is over, durably: from now on the journal has a past."""
        height, view = core.sealed_height, core.view
        core.persist(Resumed(view, height), Anchor(height))
        core.safety.floor, core.safety.view_floor = max(core.safety.floor, height), view
        core.resumed_height = height
        core.safety.doubtful = False
        _wake(core)

    def _agreed_view(self, core: Core) -> int:
        """A view that it must have entered first: judged anew with every answer, so that no liar's early word stays."""
        return self._covering(core, {member: answer.view for member, answer in self._answers.items()})

    @staticmethod
    def _covering(core: Core, values: dict[int, int]) -> int:
        """The lowest value that a quorum's do not exceed: a quorum is heard, but no liar's word is needed for it.

        This member is one of them and has nothing to say: the correct one that every other quorum meets is another.
        """
        power = core.committee.powers[core.member]
        if power >= core.committee.quorum:
            return 0
        for value, member in sorted((value, member) for member, value in values.items()):
            power += core.committee.powers[member]
            if power >= core.committee.quorum:
                return value
        raise AssertionError("asked before a quorum had answered")

    def _power(self, core: Core) -> int:
        return sum(core.committee.powers[member] for member in {*self._answers, core.member})

    def _has_quorum(self, core: Core) -> bool:
        return self._power(core) >= core.committee.quorum


def on_own(core: Core, past: Past, envelope: Envelope, body: Body) -> None:
    """A message of this member came back. Mostly an echo; else a past that was lost, or a second signer (P6.6)."""
    verdict = recognise(core.journal, core.resumed_height, envelope, body)
    if verdict == KNOWN or (verdict == LOST and core.safety.doubtful and not isinstance(body, ViewChange)):
        return
    core.require_signature(envelope, core.member)
    if verdict == DIFFERENT:
        core.halt(f"another process signs with this member's key: a {envelope.kind} differs from ours")
        return
    if verdict == LOST:
        past.lose(core, envelope)
    if isinstance(body, ViewChange):
        past.take_back(core, envelope, body)


def _wake(core: Core) -> None:
    """It may vote: every rule looks again at what was heard meanwhile."""
    core.touch_all()
    core.unrest = core.sealing_due = True


def _last_resort(core: Core) -> str:
    spare = core.committee.total - core.committee.quorum
    return f"if members with more power than {spare} lost theirs, nobody will: then operators must decide"
