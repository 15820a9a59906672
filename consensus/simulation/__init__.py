"""The deterministic simulator: clusters of replicas in virtual time, under seeded faults, before independent judges.

`simulate(plan)` plays one run and raises `Violation` where a rule of the protocol was broken;
`swarm(seed)` draws plans.
"""

from consensus.simulation.checkers import Violation
from consensus.simulation.cluster import Cluster, simulate
from consensus.simulation.plan import NetworkFaults, Plan, swarm
from consensus.simulation.prng import Prng

__all__ = ["Cluster", "NetworkFaults", "Plan", "Prng", "Violation", "simulate", "swarm"]
