"""Where proofs of misbehaviour are kept: one file a finding, in the form in which anybody can check it.

A full or broken disk must not make of another member's fault this node's end, so keeping may fail, and says so. What
lies in the folder already is believed only after it has been checked anew; a stranger there is passed over.
"""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path

from consensus.evidence import Finding, judge, verify_evidence, write_evidence
from ledger.crypto import verify
from ledger.errors import InvalidProof
from ledger.types import Genesis
from network.api import EvidenceEntry

log = logging.getLogger("quorate.evidence")

FILES_MAX = 1000
BYTES_MAX = 256 << 20  # all files together: a pair of NEW-VIEWs may take a megabyte
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,200}\.json")


class EvidenceBook:
    """The evidence of one node. Not thread-safe."""

    def __init__(self, folder: Path, genesis: Genesis) -> None:
        self._folder = folder
        self._genesis = genesis
        self._entries: dict[str, EvidenceEntry] = {}
        self._bytes = 0
        for path in sorted(folder.glob("*.json"))[:FILES_MAX] if folder.is_dir() else ():
            self._take_in(path)

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> tuple[EvidenceEntry, ...]:
        """What is kept, by file name."""
        return tuple(self._entries[name] for name in sorted(self._entries))

    def text(self, file: str) -> bytes | None:
        """One file, as it was written; None where there is no such."""
        return (self._folder / file).read_bytes() if file in self._entries else None

    def take(self, member: int, first: bytes, second: bytes) -> None:
        """The replica holds these two signed messages against a member: they prove the fault to anybody, for ever."""
        try:
            found = self.keep(first, second)
        except InvalidProof:
            log.exception("evidence against member %d does not hold: this is a defect, please report it", member)
            return
        log.error(
            "EVIDENCE: %s signed two different messages (%s, view %s, height %s)",
            *(found.name, found.kind, found.view, found.height),
        )

    def keep(self, first: bytes, second: bytes) -> Finding:
        """Write down what two messages prove. Raises `InvalidProof` where they prove nothing."""
        finding = judge(self._genesis.chain_id, self._genesis.validators, verify, first, second)
        entry = _entry(finding, first, second)
        text = write_evidence(self._genesis.chain_id, finding, first, second).encode()
        if entry.file in self._entries:
            return finding
        if len(self._entries) >= FILES_MAX or self._bytes + len(text) > BYTES_MAX:
            log.error("the folder for evidence is full: move files away from %s", self._folder)
            return finding
        try:
            self._folder.mkdir(exist_ok=True)
            (self._folder / entry.file).write_bytes(text)
        except OSError as error:
            log.error("the evidence against %s could not be written: %s", finding.name, error)
            return finding
        self._entries[entry.file] = entry
        self._bytes += len(text)
        return finding

    def _take_in(self, path: Path) -> None:
        try:
            data = path.read_bytes()
            finding = verify_evidence(data, self._genesis.chain_id, self._genesis.validators, verify)
        except (OSError, InvalidProof) as error:
            log.warning("%s is no evidence that this network knows, and is passed over: %s", path, error)
            return
        if _FILE_NAME.fullmatch(path.name):
            self._entries[path.name] = EvidenceEntry(
                path.name, finding.member, finding.name, finding.kind, finding.epoch, finding.view, finding.height
            )
            self._bytes += len(data)


def _entry(finding: Finding, first: bytes, second: bytes) -> EvidenceEntry:
    digest = hashlib.sha256(first + second).hexdigest()[:16]
    place = "".join(
        f"-{letter}{number}" for letter, number in (("v", finding.view), ("h", finding.height)) if number is not None
    )
    name = re.sub(r"[^a-z0-9._-]", "_", finding.name.lower())
    file = f"member{finding.member}-{name}-{finding.kind}{place}-{digest}.json"
    return EvidenceEntry(file, finding.member, finding.name, finding.kind, finding.epoch, finding.view, finding.height)
