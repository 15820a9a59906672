"""Simulated runs spread over processes: a seed goes out, its outcome comes back, and a process that dies is missed.

Knows processes and pipes; what a run is, `consensus.simulation` knows. Each process holds one seed at a time, so that
a death has a name. Interrupts are for the parent alone: it ends the others.
"""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from consensus.simulation.campaign import Outcome, plan_of, play

_SPAWN = get_context("spawn")  # a fork would take this process's threads and locks along
_END_SECONDS_MAX = 5.0
_COLLECT = (50_000, 20, 20)  # a run makes few cycles and ends soon: a sixth faster than with Python's own thresholds


class Played(NamedTuple):
    """A run that ended, and the processor's time that it took."""

    outcome: Outcome
    cpu_seconds: float


class Lost(NamedTuple):
    """A run whose process died."""

    seed: int
    why: str


def spread(seeds: Iterable[int], sizes: Sequence[int], jobs: int) -> Generator[Played | Lost]:
    """Play every seed, in as many processes (one: in this one), and give the outcomes as they come."""
    if jobs == 1:
        before = gc.get_threshold()
        gc.set_threshold(*_COLLECT)
        try:
            yield from (_played(seed, sizes) for seed in seeds)
        finally:
            gc.set_threshold(*before)
        return
    crew = _Crew(sizes)
    try:
        yield from crew.play(iter(seeds), jobs)
    finally:
        crew.end()


def _played(seed: int, sizes: Sequence[int]) -> Played:
    before = time.process_time()
    outcome = play(plan_of(seed, sizes))
    return Played(outcome, time.process_time() - before)


def _work(pipe: Connection, sizes: Sequence[int]) -> None:
    """A worker's life: until its pipe closes, or says None."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # blocked while it was being started
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    try:
        while (seed := pipe.recv()) is not None:
            pipe.send(_played(seed, sizes))
    except EOFError:
        pass  # the parent has gone


class _Worker:
    """A process, its pipe, and the seed that it holds."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_work, args=(theirs, tuple(sizes)), daemon=True)
        resource_tracker.ensure_running()  # with the first worker it would be started, and would unblock both signals
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # inherited from the first
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)  # what came meanwhile comes now
        theirs.close()
        self.seed: int | None = None

    def take(self, seed: int | None) -> None:
        self.seed = seed
        with suppress(OSError):  # it died: the pipe's end says so when we listen
            self.pipe.send(seed)


class _Crew:
    """The workers of one campaign."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = sizes
        self._workers: list[_Worker] = []

    def play(self, seeds: Iterator[int], jobs: int) -> Generator[Played | Lost]:
        for seed in islice(seeds, jobs):
            self._hire(seed)
        while self._workers:
            ready = wait([worker.pipe for worker in self._workers])
            for worker in [worker for worker in self._workers if worker.pipe in ready]:
                try:
                    played = worker.pipe.recv()
                except (EOFError, OSError):
                    yield self._bury(worker)
                    for seed in islice(seeds, 1):
                        self._hire(seed)
                    continue
                worker.take(next(seeds, None))
                if worker.seed is None:
                    self._workers.remove(worker)
                    worker.process.join()
                yield played

    def _hire(self, seed: int) -> None:
        worker = _Worker(self._sizes)
        self._workers.append(worker)
        worker.take(seed)

    def _bury(self, worker: _Worker) -> Lost:
        self._workers.remove(worker)
        worker.process.join()
        code = worker.process.exitcode or 0
        why = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        assert worker.seed is not None
        return Lost(worker.seed, why)

    def end(self) -> None:
        """Nobody is left behind."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_END_SECONDS_MAX)
            if worker.process.is_alive():
                worker.process.kill()
