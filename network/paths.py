"""Where things lie in a node's data directory. Names only; nothing is opened here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NodePaths:
    """The layout of one data directory."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by the validator while it runs."""
        return self.root / "LOCK"

    @property
    def blocks(self) -> Path:
        """The block store (LevelDB)."""
        return self.root / "blocks"

    @property
    def state(self) -> Path:
        """The executor's state (LevelDB): derived, may be deleted while the node is down."""
        return self.root / "state"

    @property
    def journal(self) -> Path:
        """The vote journal: never delete it, never restore it from a copy."""
        return self.root / "votes.journal"

    @property
    def run(self) -> Path:
        """The sockets of the running processes."""
        return self.root / "run"

    @property
    def validator_socket(self) -> Path:
        """Where the validator answers gateways."""
        return self.run / "validator.sock"

    @property
    def executor_socket(self) -> Path:
        """Where the executor answers the validator and gateways."""
        return self.run / "executor.sock"

    @property
    def snapshots(self) -> Path:
        """Snapshots kept for others, `HEIGHT.snapshot` each: derived, may be deleted."""
        return self.root / "snapshots"

    @property
    def last_words(self) -> Path:
        """Empty, unless a signal ended the process before: then where it was."""
        return self.root / "last-words"

    @property
    def evidence(self) -> Path:
        """Conflicting messages that members signed, one file a finding."""
        return self.root / "evidence"
