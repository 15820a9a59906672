"""What auditing a chain of token transfers costs, a transaction and a core.

    python -m scripts.bench_audit [--transfers 20000] [--block 150] [--accounts 1000] [--jobs 1]

Makes a node's directory with that many signed transfers, then audits it as `quorate verify --data` does: every hash,
seal, signature, receipt, index and, by execution, every state root. With one job the figure is the processor's time of
this one process, the database's threads among it, so a busy machine changes it little; with more, children count too.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from network.audit import Audit
from scripts.paper_node import PaperNode


def cpu_seconds() -> float:
    """The processor's time of this process and of those that have ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    """Make, audit, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--transfers", type=int, default=20_000)
    parser.add_argument("--block", type=int, default=150, help="transfers in a block")
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        node = PaperNode(Path(folder) / "node", options.accounts)
        for first in range(0, options.transfers, options.block):
            node.block([node.transfer() for _ in range(min(options.block, options.transfers - first))])
        node.close()
        cpu, wall = cpu_seconds(), time.monotonic()
        verdict = Audit(node.directory, node.genesis, jobs=options.jobs).run()
        cpu, wall = cpu_seconds() - cpu, time.monotonic() - wall
    assert verdict.finding is None, verdict.finding
    count = verdict.transactions
    print(f"{count} transactions in {verdict.height} blocks, {verdict.journal_records} journal records: all holds")
    print(f"{1e6 * cpu / count:.1f} us a transaction, {count / cpu:.0f} tx/s a core")
    print(f"{wall:.1f} s by the clock, {count / wall:.0f} tx/s with {options.jobs} jobs on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
