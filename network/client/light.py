"""The light client: which sealed headers hold, judged from the genesis alone; and that they make one chain.

Inside an epoch it needs no blocks below a header to judge it: one epoch has one validator set, so any of its sealed
headers is checked by that set, however far it lies from the last one. Where the set changes, the epoch's closing header
names the next; these come in proof files, from any node, and each is verified by the set that it closes. Who was once
verified is trusted for good: no other closing of that epoch is believed later, as the keys of members that left may
have leaked. What it has judged it remembers, up to a bound: two sealed headers of one height, or two neighbours that do
not follow one another, prove that more members are faulty than may be. It knows no nodes, no files and no clock.
"""

from __future__ import annotations

from ledger import blocks, seals
from ledger.errors import LedgerError
from ledger.proofs import Closing, VerifiedProof, Way, prove_sealed, verify_proof
from ledger.types import BlockRecord, Genesis, Header, Seal, ValidatorSet
from network.client.checks import read_light
from network.client.errors import Forked, ProofInvalid, SealedHeader, UnknownEpoch

REMEMBERED_MAX = 1024


class LightClient:
    """The verified headers of one chain. `height` is that of the highest one, `header` is it; `epoch` is the newest."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self._closings: list[Closing] = []  # of the epochs 0, 1, 2 and so on
        self._highest: SealedHeader | None = None
        self._seen: dict[int, SealedHeader] = {}  # by height, oldest first
        self._closed: dict[int, SealedHeader] = {}  # the same for closing headers, which are never forgotten

    # ── what it trusts ────────────────────────────────────────────────────────────────────────────

    @property
    def header(self) -> Header | None:
        """The highest verified header, None before the first."""
        return None if self._highest is None else self._highest.header

    @property
    def height(self) -> int:
        """The highest height whose sealed header was verified, -1 before the first."""
        return -1 if self.header is None else self.header.height

    @property
    def epoch(self) -> int:
        """The newest epoch whose validators are known."""
        return len(self._closings)

    @property
    def begin(self) -> bytes | None:
        """The hash of the newest closing header, where a proof of what came later may begin. None: at the genesis."""
        return self._closings[-1].header.hash if self._closings else None

    def validators(self, epoch: int | None = None) -> ValidatorSet:
        """The set of an epoch up to the newest, or that of the newest."""
        at = self.epoch if epoch is None else epoch
        return self._closings[at - 1].validators if at else self.genesis.validators

    def sealed(self, height: int) -> SealedHeader | None:
        """The verified header of a height with its seal, as far as it is remembered."""
        return self._closed.get(height) or self._seen.get(height)

    def known(self, height: int) -> Header | None:
        """The same, without the seal."""
        found = self.sealed(height)
        return None if found is None else found.header

    def to_proof(self) -> str | None:
        """The proof file of the highest header: what is trusted, to be learned again. None while there is none."""
        if self._highest is None or self._highest.seal is None:
            return None
        epoch = self._highest.header.epoch
        return prove_sealed(self._highest.header, self._highest.seal, Way(None, tuple(self._closings[:epoch])))

    # ── what it is shown ──────────────────────────────────────────────────────────────────────────

    def accept(self, data: bytes, height: int | None = None) -> Header:
        """The header in a block's bytes (GET /v1/blocks/H?format=light), if it is sealed and of this height.

        Raises `ProofInvalid` for one that does not hold (`UnknownEpoch`, where its epoch's validators are to be learned
        first), and `Forked`, with both, for two that cannot both be.
        """
        record = read_light(data)
        header = record.block.header
        if height is not None and header.height != height:
            raise ProofInvalid(f"the node gave block {header.height}, asked was {height}")
        self.judge(record)
        return header

    def judge(self, record: BlockRecord) -> None:
        """That a block's header is sealed, and of the one chain. Its parts are not looked at. Raises as `accept`."""
        header = record.block.header
        if header.chain_id != self.genesis.chain_id:
            raise ProofInvalid(f"block {header.height} is of chain {header.chain_id.hex()}, not of this genesis")
        if header.height == blocks.GENESIS_HEIGHT:
            self._judge_genesis(header)
            return
        if record.seal is None:
            raise ProofInvalid(f"block {header.height} came without a seal")
        self._check_epoch(header)
        try:
            seals.verify_sealed_header(header, record.seal, self.validators(header.epoch))
        except LedgerError as error:
            raise ProofInvalid(f"block {header.height} does not hold: {error}") from None
        self._note(header, record.seal)

    def learn(self, data: bytes | str, begin: bytes | None = None) -> VerifiedProof:
        """What a proof file proves, from the genesis or from the header with the hash `begin` on; its header and the
        changes of the set on its way are then known. Raises `ProofInvalid`, or `Forked` as `accept` does."""
        try:
            found = verify_proof(data, begin or self.genesis)
        except LedgerError as error:
            raise ProofInvalid(f"the proof does not hold: {error}") from None
        for closing in found.closings:
            self._close(closing)
        self._check_epoch(found.header)
        self._note(found.header, found.seal)
        return found

    # ── its rules ─────────────────────────────────────────────────────────────────────────────────

    def _judge_genesis(self, header: Header) -> None:
        """It has no seal, and its state root is not in the genesis: the block above it vouches for it."""
        if header != blocks.genesis_header(self.genesis, header.state_root):
            raise ProofInvalid("block 0 is not the one that this genesis makes")
        first = self.sealed(header.height + 1)
        if first is None:
            raise ProofInvalid(
                'block 0 has no seal: block 1 vouches for it, once there is one. Until then read with mode="local"'
            )
        if first.header.previous_hash != header.hash:
            raise ProofInvalid("block 0 is not the one that block 1 was built on")
        self._highest = self._highest or SealedHeader(header, None)

    def _check_epoch(self, header: Header) -> None:
        """That the epoch is known, and that the height lies in it."""
        epoch, height = header.epoch, header.height
        if epoch > self.epoch:
            raise UnknownEpoch(
                f"block {height} says that it is of epoch {epoch}, and the validators of epoch {self.epoch} "
                "are the last that this client has verified"
            )
        if epoch > 0 and height <= (begins := self._closings[epoch - 1].header.height):
            raise ProofInvalid(f"block {height} says that it is of epoch {epoch}, which begins above block {begins}")
        last = self._end_of(epoch)
        if last is not None and height > last:
            raise ProofInvalid(
                f"block {height} says that it is of epoch {epoch}, which ended with block {last} at the latest"
            )

    def _end_of(self, epoch: int) -> int | None:
        """The height that no header of an epoch lies above, where that is certain.

        Where the same set goes on, any of its headers passes for the epoch's last; but when it hands over to another
        set at last, all its epochs have ended, and its keys may leak.
        """
        for closed in range(epoch, self.epoch):
            if self.validators(closed) != self.validators(closed + 1):
                return self._closings[closed].header.height
        return None

    def _close(self, closing: Closing) -> None:
        """A verified closing header: of an epoch that was closed before, or of the newest."""
        epoch = closing.header.epoch
        if epoch < self.epoch:
            if closing.validators != self.validators(epoch + 1):
                raise ProofInvalid(
                    f"it has epoch {epoch} hand over to other validators than this client has verified; members that "
                    "left, or who has their keys, can still sign such a thing"
                )
            return
        sealed = SealedHeader(closing.header, closing.seal)
        self._expect_one_chain(sealed)
        if self.height > closing.header.height and closing.validators != self.validators():
            assert self._highest is not None
            raise self._contradiction(sealed, self._highest)
        self._closings.append(closing)
        self._closed[closing.header.height] = sealed

    def _note(self, header: Header, seal: Seal) -> None:
        sealed = SealedHeader(header, seal)
        self._expect_one_chain(sealed)
        self._seen.pop(header.height, None)
        self._seen[header.height] = sealed
        if len(self._seen) > REMEMBERED_MAX:
            del self._seen[next(iter(self._seen))]
        if header.height > self.height:
            self._highest = sealed

    def _expect_one_chain(self, sealed: SealedHeader) -> None:
        header = sealed.header
        below, same, above = (self.sealed(header.height + step) for step in (-1, 0, 1))
        if same is not None and same.header != header:
            raise self._contradiction(same, sealed)
        if below is not None and header.previous_hash != below.header.hash:
            raise self._contradiction(below, sealed)
        if above is not None and above.header.previous_hash != header.hash:
            raise self._contradiction(sealed, above)

    def _contradiction(self, first: SealedHeader, second: SealedHeader) -> Forked | ProofInvalid:
        """In the newest epoch it is a fork; of an older one it may be the work of leaked keys, and what was verified
        first stands."""
        if first.header.epoch == second.header.epoch == self.epoch:
            return Forked(first, second)
        return ProofInvalid(
            f"blocks {first.header.height} and {second.header.height}, both sealed, cannot both be of this chain; one "
            f"is of epoch {min(first.header.epoch, second.header.epoch)}, whose members may have left: what this "
            "client verified first stands"
        )
