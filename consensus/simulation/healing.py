"""The end of a run: everything works again, and what must then come true, how soon. Judges; changes no message.

The recovery is the time from healing to the first commit: the first delivery, at any correct member, of a batch with
transactions at a height that no correct member had delivered before. Work waits all that time, as one more transaction
is handed to everybody at the moment of healing. It is measured in the longest time-out (P5.3, so at most the capped
one) that a correct member has in force from healing on until that commit; ten of them are a broken rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.liveness import timeout_ms
from consensus.simulation.checkers import Violation
from consensus.simulation.conduct import SKIPPED_VIEWS_MAX
from ledger.types import Batch

if TYPE_CHECKING:
    from consensus.simulation.cluster import Cluster

RECOVERY_TIMEOUTS_MAX = 10
LOOK_MS = 50  # how often a healed cluster is asked whether it is done
IDLE_TIMEOUTS = 2  # so long a cluster that has done everything is watched doing nothing


class Healing:
    """From healing to the end."""

    def __init__(self, cluster: Cluster) -> None:
        self.recovery_ms: int | None = None
        self.patience_ms = cluster.plan.request_timeout_ms
        self.over = False
        self._height_before = 0
        self._cluster = cluster

    def begin(self) -> None:
        """Everything works again; and every node learns of every transaction, as anti-entropy would see to.

        One more transaction is handed to everybody, so that work waits from here on: the time to the first commit
        counts from now.
        """
        cluster, plan = self._cluster, self._cluster.plan
        self._measure_patience()
        self._height_before = cluster.agreement.height
        cluster.links.heal()
        cluster.tell_all("everything works again")
        cluster.load.transaction(plan.transactions)
        for node in cluster.processes:
            node.heal()
            node.chores.learn(cluster.load.submitted)
        cluster.at(cluster.now + LOOK_MS, self._look)

    def on_delivered(self, height: int, batch: Batch) -> None:
        """A correct node delivered. The first new batch with something in it ends the recovery."""
        cluster = self._cluster
        if self.recovery_ms is None and cluster.links.healed and height > self._height_before and batch.hashes:
            self.recovery_ms = cluster.now - cluster.plan.heal_ms

    def _measure_patience(self) -> None:
        """The longest time-out in force so far."""
        cores = [node.replica._core for node in self._cluster.correct if node.replica]  # noqa: SLF001 - a judge may look
        self.patience_ms = max([self.patience_ms, *(timeout_ms(core) for core in cores)])

    def _look(self) -> None:
        """Whether every transaction is sealed at every correct node."""
        cluster, plan = self._cluster, self._cluster.plan
        if self.recovery_ms is None:
            self._measure_patience()
        within_ms = RECOVERY_TIMEOUTS_MAX * self.patience_ms
        if self.recovery_ms is None and cluster.now > plan.heal_ms + within_ms:
            raise Violation(f"no commit within {within_ms} ms after healing: {self._cluster.standing()}")
        if self._everything_sealed():
            cluster.at(cluster.now + IDLE_TIMEOUTS * plan.request_timeout_ms, self._end, self._views())
        else:
            cluster.at(cluster.now + LOOK_MS, self._look)

    def _everything_sealed(self) -> bool:
        """Every transaction, at every correct node, with nothing under way."""
        correct, submitted = self._cluster.correct, set(self._cluster.load.submitted)
        heights = {height for node in correct for height in (node.disk.sealed_height, max(node.disk.blocks, default=0))}
        if len(heights) != 1 or any(node.chores.pool or not node.replica for node in correct):
            return False
        return all(submitted <= node.disk.done for node in correct)

    def _views(self) -> int:
        return max(node.replica.view for node in self._cluster.correct if node.replica)

    def _end(self, view: int) -> None:
        """A healed cluster without work was left alone for a while: it leaves no view, but for one that was doubted.

        From there it goes to the next, or to the one after that if the member that is blamed would start it (P5.4).
        """
        if self._views() > view + 1 + SKIPPED_VIEWS_MAX:
            raise Violation(
                f"an idle cluster went from view {view} on to view {self._views()}: {self._cluster.standing()}"
            )
        self.over = True

    def judge(self) -> None:
        """No correct node stopped, none ran a transaction twice, none lost what clients were told."""
        for node in self._cluster.correct:
            if node.halted:
                raise Violation(f"member {node.member} halted: {node.halted}")
            runs = [each for block in node.disk.blocks.values() for each in block.fresh]
            if len(runs) != len(set(runs)):
                raise Violation(f"member {node.member} ran a transaction twice")
            sealed = {height: block.header.hash for height, block in node.disk.blocks.items() if block.seal}
            self._cluster.durability.judge(node.member, sealed)
