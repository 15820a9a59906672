"""The deterministic simulator: clusters of replicas in virtual time, under seeded faults, before independent judges.

`simulate(plan)` plays one run and raises `Violation` where a rule of the protocol was broken; `swarm(seed)` draws
plans. The same plan gives the same run, to the last action, on every machine.
"""

from consensus.simulation.checkers import Violation
from consensus.simulation.cluster import Cluster, Watcher, simulate
from consensus.simulation.plan import Disturbance, NetworkFaults, Plan
from consensus.simulation.prng import Prng
from consensus.simulation.swarm import swarm

__all__ = ["Cluster", "Disturbance", "NetworkFaults", "Plan", "Prng", "Violation", "Watcher", "simulate", "swarm"]
