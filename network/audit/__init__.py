"""The audit of a stopped node's data directory: everything on its disk is checked again, from genesis, offline.

It believes the genesis file and nothing else, writes nothing into the directory, and names the first wrong byte.
"""

from network.audit.findings import Finding
from network.audit.run import Audit, Standing, Verdict
from network.audit.shadow import Unfit

__all__ = ["Audit", "Finding", "Standing", "Unfit", "Verdict"]
