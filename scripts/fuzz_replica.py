"""Bad input by the million: whatever bytes arrive, `step` raises nothing, memory stays bounded, votes stay right.

    python -m scripts.fuzz_replica [--inputs 1000000] [--seed 1] [--episode N]

An episode is a small cluster in virtual time (`small_world`) with its own size, window, load, restarts, cut links and
primaries that are held back, so that replicas are met in every state. Between its true messages an attacker
(`fuzz_inputs`) throws bytes at correct members. In most episodes it signs for members of up to the power that may be
faulty: then everything is judged (`witness`), nobody may halt, and at the end all that was submitted must come to a
seal. In the others it signs for everybody but its target ("lawless"): no exception, bounded memory, and never a vote
without its preconditions. Everything follows from the seed. A failure is written to a file, with the command that
repeats it. Exit code 0 only without a failure, and with every reason for a refusal and every state met.
"""

from __future__ import annotations

import argparse
import ast
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import msgspec

import consensus
from consensus.replica import Replica
from consensus.simulation.prng import Prng
from ledger.quorum import faulty_power_max
from ledger.types import Parameters
from scripts.cast import Cast
from scripts.fuzz_inputs import TOO_LARGE, Attacker
from scripts.replica_state import core_of, require_bounded, require_bounded_at_the_top
from scripts.small_world import Node, World

EPISODE_INPUTS = 400
DEEP_CHECK_EVERY = 64  # inputs between two looks into every corner of the memory
FINISH_MS = 300_000
SUBMITTED_MAX = 40
HALTED_INPUTS_MAX = 20  # inputs for a target that stopped: enough to see that it stays so
JUDGED_FROM = 100_000  # inputs that must have met every state and every reason
STATES = ("primary", "backup", "changing view", "behind", "doubtful", "just restarted", "halted")
LOG_EVERY_S = 60
TRACE_LINES = 12  # places of a traceback that are kept
_EPISODE_STRIDE = 0x9E3779B97F4A7C15


class Failure(msgspec.Struct, frozen=True):
    """What went wrong, and how to have it again."""

    seed: int
    episode: int
    inputs: int  # of this episode, the last one included
    error: str
    where: list[str]
    last_input: str  # hex
    command: str


class Episode:
    """One run under attack."""

    def __init__(self, seed: int, number: int) -> None:
        self.inputs = 0
        self.refused: Counter[str] = Counter()
        self.states: Counter[str] = Counter()
        self.last_input = b""
        self._prng = Prng(seed * _EPISODE_STRIDE + number)
        self._number = number
        powers = ((1,) * 4, (1,) * 4, (1,) * 7, (3, 1, 2, 2, 1))[self._prng.below(4)]
        window = (1, 2, 4, 4, 8)[self._prng.below(5)]
        parameters = Parameters(window=window, block_transactions_max=4, request_timeout_ms=400, timeout_max_ms=4_000)
        self._cast = Cast(powers, parameters)
        self.lawful = self._prng.chance(800)
        self._forgetful, self._colluders = self._draw_faulty()
        faulty = frozenset((*self._forgetful, *self._colluders))
        self._world = World(self._cast, faulty, lawful=self.lawful)
        self._targets = [node for node in self._world.nodes if node.member not in self._colluders]
        self._attacker = Attacker(self._cast, self._colluders, self._prng)
        self._world.tap = self._attacker.overhear
        self._restarted_at: dict[int, int] = {}
        self._halted_inputs = 0

    def _draw_faulty(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(members that lost their journal, members that the attacker signs for)."""
        members = list(range(self._cast.size))
        for at in range(len(members)):
            other = self._prng.below(len(members))
            members[at], members[other] = members[other], members[at]
        if not self.lawful:
            return (), tuple(sorted(members[1:]))
        budget = faulty_power_max(sum(self._cast.powers))
        forgetful: list[int] = []
        colluders: list[int] = []
        for member in members:
            if self._cast.powers[member] <= budget:
                budget -= self._cast.powers[member]
                (forgetful if self._prng.chance(150) else colluders).append(member)
        return tuple(forgetful), tuple(sorted(colluders))

    # ── a run ─────────────────────────────────────────────────────────────────────────────────────

    def run(self, inputs_max: int) -> None:
        """Play. Raises `Violation`, or whatever escaped."""
        for member in self._forgetful:
            self._world.nodes[member].journal = []
        self._world.start()
        self._world.submit(f"{self._number} first")
        while self.inputs < inputs_max and self._halted_inputs < HALTED_INPUTS_MAX:
            luck = self._prng.below(1000)
            if luck < 550:
                self._attack()
            elif luck < 960 or not self._disturb(luck):
                self._world.tick()
        for node in self._targets:
            self._count_refusals(node)
            if node.replica:
                require_bounded(node.replica)
        if self.lawful:
            self._end_well()

    def _attack(self) -> None:
        """One input."""
        living = [node for node in self._targets if node.replica]
        if not living:
            return
        node = living[self._prng.below(len(living))]
        assert node.replica is not None
        self._note_state(node, node.replica)
        self.last_input = self._attacker.next(node.replica)
        if self._number % 500 == 0 and self.inputs == 0:
            self.last_input = TOO_LARGE
        self.inputs += 1
        node.receive(self.last_input)
        self._halted_inputs += bool(node.replica.halted)
        require_bounded_at_the_top(node.replica)
        if self.inputs % DEEP_CHECK_EVERY == 0:
            require_bounded(node.replica)

    def _disturb(self, luck: int) -> bool:
        """Load, or trouble that is nobody's lie. Whether something was done."""
        world = self._world
        if luck < 977 and len(world.submitted) < SUBMITTED_MAX:
            world.submit(f"{self._number} {len(world.submitted)}")
        elif luck < 985:
            world.set_pens(move=not world.pens_move)
        elif luck < 988:
            world.set_executes(go=not world.executes)
        elif luck < 991:
            self._cut()
        elif luck < 994:
            world.cut = None
        elif luck < 997:
            self._restart(world.nodes[self._prng.below(self._cast.size)])
        elif luck < 998:
            self._stop(world.nodes[self._prng.below(self._cast.size)])
        else:
            self._start_all()
        return True

    def _cut(self) -> None:
        """Links in one direction between some members carry nothing."""
        dead = {(self._prng.below(self._cast.size), self._prng.below(self._cast.size)) for _ in range(6)}
        self._world.cut = lambda sender, receiver: (sender, receiver) in dead

    def _stop(self, node: Node) -> None:
        self._count_refusals(node)
        node.stop()

    def _restart(self, node: Node) -> None:
        """Again with the same disk; now and then with the journal rewritten before, or the last seals not synced."""
        if node.replica and not node.halted:
            if self._prng.chance(300):
                node.journal = node.replica.journal_snapshot()
            self._stop(node)
            for _ in range(self._prng.below(self._cast.parameters.window + 1)):
                node.blocks.pop(max(node.blocks, default=0), None)
            node.start()
            self._restarted_at[node.member] = self.inputs

    def _start_all(self) -> None:
        for node in self._world.nodes:
            if node.replica is None:
                node.start()
                self._restarted_at[node.member] = self.inputs

    def _end_well(self) -> None:
        """The attack is over, links and pens work: everything submitted comes to a seal."""
        self._world.cut = None
        self._start_all()
        self._world.set_pens(move=True)
        self._world.set_executes(go=True)
        for transaction in self._world.submitted:
            for node in self._world.nodes:
                node.learn(transaction)
        self._world.finish(FINISH_MS)

    # ── what was met ──────────────────────────────────────────────────────────────────────────────

    def _count_refusals(self, node: Node) -> None:
        if node.replica:
            self.refused.update(node.replica.refused)

    def _note_state(self, node: Node, replica: Replica) -> None:
        core = core_of(replica)
        self.states["primary" if replica.primary == node.member else "backup"] += 1
        self.states["changing view"] += replica.changing_view
        self.states["behind"] += core.best_sealed_height > replica.sealed_height + 1
        self.states["doubtful"] += core.safety.doubtful
        self.states["just restarted"] += self.inputs - self._restarted_at.get(node.member, -1_000) < 20
        self.states["halted"] += bool(replica.halted)


# ── many episodes ─────────────────────────────────────────────────────────────────────────────────


def reasons() -> set[str]:
    """Every word that a message can be refused with, read from the source."""
    found: set[str] = set()
    for path in Path(consensus.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "MessageRefused":
                found.update(str(each.value) for each in node.args if isinstance(each, ast.Constant))
    return found


class Fuzz:
    """The sum of many episodes."""

    def __init__(self, seed: int, inputs: int) -> None:
        self.seed, self.wanted = seed, inputs
        self.inputs = self.episodes = 0
        self.refused: Counter[str] = Counter()
        self.states: Counter[str] = Counter()
        self.began = self._told = time.monotonic()

    def run(self) -> Failure | None:
        """Episode after episode; the first failure."""
        while self.inputs < self.wanted:
            failure = self.play(self.episodes)
            if failure:
                return failure
            self.tell_progress()
        return None

    def play(self, number: int) -> Failure | None:
        """One episode."""
        episode = Episode(self.seed, number)
        try:
            episode.run(EPISODE_INPUTS)
        except Exception as error:  # noqa: BLE001 - whatever escapes from `step` is what is looked for
            command = f"python -m scripts.fuzz_replica --seed {self.seed} --episode {number}"
            where = traceback.format_exc().splitlines()[-2 * TRACE_LINES :]
            text = f"{type(error).__name__}: {error}"
            return Failure(self.seed, number, episode.inputs, text, where, episode.last_input.hex(), command)
        finally:
            self.inputs += episode.inputs
            self.episodes += 1
            self.refused += episode.refused
            self.states += episode.states
        return None

    @property
    def rate(self) -> float:
        """Inputs a second."""
        return self.inputs / max(0.001, time.monotonic() - self.began)

    def tell_progress(self) -> None:
        """One line, over and over, for a person who waits; now and then a new one, for a log."""
        now, tty = time.monotonic(), sys.stderr.isatty()
        if tty or now - self._told > LOG_EVERY_S:
            self._told = now
            left = (self.wanted - self.inputs) / self.rate
            line = f"{self.inputs} inputs, {self.rate:.0f} a second, {left:.0f} s left "
            print(f"\r{line}" if tty else line, end="" if tty else "\n", file=sys.stderr, flush=True)

    def unmet(self) -> list[str]:
        """Reasons for a refusal and states of a replica that no input met."""
        missing = [f"reason {each}" for each in sorted(reasons() - self.refused.keys())]
        return missing + [f"state {each}" for each in STATES if not self.states[each]]

    def summary(self) -> str:
        """How often what was met; the last line is the verdict so far."""
        lines = [f"{count:>9}  refused: {reason}" for reason, count in self.refused.most_common()]
        lines += [f"{self.states[each]:>9}  target: {each}" for each in STATES]
        lines += [f"    never  {each}" for each in self.unmet()]
        seconds = time.monotonic() - self.began
        lines.append(f"{self.inputs} inputs in {self.episodes} episodes, {seconds:.0f} s, {self.rate:.0f} a second")
        return "\n".join(lines)


def main() -> int:
    """Parse, run, and say how it went."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--episode", type=int, default=None, help="one episode alone")
    parser.add_argument("--failure", type=Path, default=Path("fuzz-failure.json"), help="where a failure is written")
    options = parser.parse_args()
    fuzz = Fuzz(options.seed, options.inputs)
    failure = fuzz.run() if options.episode is None else fuzz.play(options.episode)
    print(fuzz.summary())
    if failure:
        options.failure.write_bytes(msgspec.json.format(msgspec.json.encode(failure)) + b"\n")
        print(f"FAILED: {failure.error}\n{failure.command}\nwritten to {options.failure}")
        return 1
    if fuzz.inputs >= JUDGED_FROM and fuzz.unmet():
        print("FAILED: not everything was met")
        return 1
    print("0 exceptions, 0 violations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
