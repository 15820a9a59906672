"""The clients of a simulated cluster: transactions that arrive all the time, and the gossip that spreads them.

Knows no consensus. Who gets a transaction first, and who hears of it late, is the run's chance.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from consensus.simulation.prng import stream

if TYPE_CHECKING:
    from consensus.simulation.cluster import Cluster
    from consensus.simulation.node import Node

GOSSIP_RETRY_MS = 1000
BUSY_RETRY_MS = 100  # when nobody lives who could take a transaction
GOSSIP_MS_MAX = 30
STEADY_PERMILLE = 700  # of the transactions do not come at the same moments


class Load:
    """What clients submit in one run."""

    def __init__(self, cluster: Cluster) -> None:
        self.submitted: list[bytes] = []
        self._cluster = cluster
        self._chance = stream(cluster.plan.seed, "transactions")

    def plan(self) -> None:
        """Until the end of the faults, one transaction after the other, with pauses of any length."""
        plan = self._cluster.plan
        pause_ms = plan.heal_ms // max(1, plan.transactions)
        for index in range(plan.transactions):
            late_ms = self._chance.below(pause_ms + 1) if self._chance.chance(STEADY_PERMILLE) else 0
            self._cluster.at(index * pause_ms + late_ms, self._submit, self.transaction(index))

    def transaction(self, index: int) -> bytes:
        """Make one, so that it counts as submitted."""
        transaction = hashlib.sha256(b"%d transaction %d" % (self._cluster.plan.seed, index)).digest()
        self.submitted.append(transaction)
        self._cluster.agreement.on_submitted(transaction)
        return transaction

    def _submit(self, transaction: bytes) -> None:
        """A client hands it to one living member; gossip brings it to the others, in the end."""
        cluster, chance = self._cluster, self._chance
        living = [node for node in cluster.nodes if node.replica is not None and not node.frozen]
        if not living:
            cluster.at(cluster.now + BUSY_RETRY_MS, self._submit, transaction)
            return
        first = living[chance.below(len(living))]
        first.chores.learn([transaction])
        for node in cluster.processes:
            if node is not first:
                cluster.at(cluster.now + 1 + chance.below(GOSSIP_MS_MAX), self._gossip, first, node, transaction)

    def _gossip(self, source: Node, node: Node, transaction: bytes) -> None:
        cluster = self._cluster
        reached = node.replica is not None and not node.frozen and cluster.linked(source.number, node.number)
        if reached and not self._chance.chance(cluster.plan.network.loss_permille):
            node.chores.learn([transaction])
        elif not cluster.links.healed:
            cluster.at(cluster.now + GOSSIP_RETRY_MS, self._gossip, source, node, transaction)
