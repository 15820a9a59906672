"""The quick checks of many heights, spread over processes, their answers in the order of the heights.

Each process reads through a shadow of its own and is told nothing but heights, so nothing large goes between them.
With one job all is done in this process, and at the same moments.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp
from threading import Thread

from ledger.types import Genesis
from network.audit.ahead import end_with_parent
from network.audit.check import Checked, Checker
from network.audit.rows import BlockRows
from network.audit.shadow import Unfit, make_shadow

HEIGHTS_A_JOB = 16
JOBS_AHEAD = 3  # of each process

Answer = tuple[int, int, Checked]

_checker: Checker | None = None


def answers(
    checker: Checker, database: Path, scratch: Path, genesis: Genesis, first: int, jobs: int
) -> Iterator[Answer]:
    """(first, last, verdict) of ranges of heights from `first` up to the checker's last, in order."""
    ranges = [
        (begin, min(begin + HEIGHTS_A_JOB - 1, checker.height))
        for begin in range(first, checker.height + 1, HEIGHTS_A_JOB)
    ]
    if jobs == 1 or len(ranges) <= 1:
        yield from ((begin, end, checker.check_range(begin, end)) for begin, end in ranges)
        return
    arguments = (database, scratch, genesis, checker.sealed_height)
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _begin, arguments)
    try:
        waiting: deque[tuple[int, int, Future[Checked]]] = deque()
        for begin, end in ranges:
            waiting.append((begin, end, pool.submit(_check, begin, end)))
            if len(waiting) > jobs * JOBS_AHEAD:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _next(waiting: deque[tuple[int, int, Future[Checked]]]) -> Answer:
    begin, end, future = waiting.popleft()
    try:
        return begin, end, future.result()
    except BrokenProcessPool:
        raise Unfit(
            "a process of the audit died (was it killed for its memory?): nothing is said; try --jobs 1"
        ) from None


def _begin(database: Path, scratch: Path, genesis: Genesis, sealed_height: int) -> None:
    """A worker's first act. Interrupts are for the parent alone."""
    global _checker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=end_with_parent, name="follow-parent", daemon=True).start()
    shadow = Path(mkdtemp(dir=scratch)) / "blocks"
    make_shadow(database, shadow)
    _checker = Checker(BlockRows(shadow), genesis, sealed_height)


def _check(first: int, last: int) -> Checked:
    assert _checker is not None
    return _checker.check_range(first, last)
