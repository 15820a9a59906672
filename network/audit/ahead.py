"""The audit of the vote journal in a process of its own, while the chain is executed: it needs nothing of that.

Its verdict is asked for when the chain holds, so what is reported does not depend on who was sooner. With one job the
journal is read by then, in this process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import mkdtemp
from threading import Thread
from typing import Protocol

from ledger.errors import LedgerError
from ledger.types import Genesis
from network.audit.findings import Wrong
from network.audit.journal import JournalAudit
from network.audit.rows import BlockRows
from network.audit.shadow import Unfit, make_shadow


class JournalVerdict(Protocol):
    """How many records the journal has, all of which hold. Raises `Wrong`, `LedgerError`, `Unfit`."""

    def __call__(self) -> int:
        """Wait for it."""


@contextmanager
def journal_ahead(
    journal: Path, genesis: Genesis, rows: BlockRows, database: Path, scratch: Path, jobs: int
) -> Iterator[JournalVerdict]:
    """Begin, and end whatever is under way when it is left."""
    if jobs == 1:
        yield lambda: JournalAudit(journal, genesis, rows.header_at).run()
        return
    anew = get_context("spawn")  # a fork would lack the thread that LevelDB believes it has
    verdict, told = anew.Pipe(duplex=False)
    process = anew.Process(target=_audit, args=(journal, genesis, database, scratch, told), daemon=True)
    process.start()
    told.close()  # now a process that dies ends the pipe

    def wait() -> int:
        try:
            found = verdict.recv()
        except EOFError:
            raise Unfit("the process that reads the vote journal died: nothing is said; try --jobs 1") from None
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, int)
        return found

    try:
        yield wait
    finally:
        process.terminate()
        process.join()
        verdict.close()


def _audit(journal: Path, genesis: Genesis, database: Path, scratch: Path, told: Connection) -> None:
    """Interrupts are for the parent alone, whose end ends this process, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=end_with_parent, name="follow-parent", daemon=True).start()
    shadow = Path(mkdtemp(dir=scratch)) / "blocks"
    make_shadow(database, shadow)
    rows = BlockRows(shadow)
    try:
        told.send(JournalAudit(journal, genesis, rows.header_at).run())
    except (Wrong, LedgerError) as error:
        told.send(error)
    finally:
        rows.close()


def end_with_parent() -> None:
    """A parent that was killed ends nobody who waits for it: they would wait for ever."""
    parent = parent_process()
    assert parent is not None, "whoever is started beside an audit has a parent"
    parent.join()
    os._exit(1)
