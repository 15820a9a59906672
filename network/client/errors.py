"""What can go wrong, as a client has to tell it apart.

ClientError
├── Rejected             refused with a reason; a transaction so refused never took effect and never will by itself
├── TransactionFailed    sealed, and its outcome is a failure: it changed nothing; carries code, message and line
├── Undecided            not known yet: it may still be sealed. Ask by id, or send the same bytes again
├── Unavailable          no node answered; nothing was sent that could take effect
├── ProofInvalid         a node's answer does not hold against the genesis
│   └── UnknownEpoch     it is of an epoch whose validators are to be learned first; the clients do so by themselves
├── Forked               two sealed headers that cannot both be: more members are faulty than may be
├── NoQuorum             the nodes do not say the same; `answers` has what each said
└── NotConfigured        the client was made without the key or the genesis that this needs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ledger.types import Header, Seal
    from network.client.messages import Outcome


class ClientError(Exception):
    """Root of what the SDK raises."""


class Rejected(ClientError):
    """A node refused, and said why. `code` is stable, `problem` the whole of what it answered (RFC 9457)."""

    def __init__(self, code: str, detail: str, status: int = 0, problem: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.problem = problem or {}


class TransactionFailed(ClientError):
    """The transaction is sealed with a failure. `outcome` is all of it."""

    def __init__(self, outcome: Outcome) -> None:
        where = f" ({outcome.contract}, line {outcome.line})" if outcome.line else ""
        super().__init__(f"{outcome.code}: {outcome.message or 'the transaction failed'}{where}")
        self.outcome = outcome
        self.code = outcome.code
        self.message = outcome.message
        self.contract = outcome.contract
        self.line = outcome.line


class Undecided(ClientError):
    """The outcome of a transaction is not known yet. `raw` sent again can never execute twice."""

    def __init__(self, transaction_id: bytes, raw: bytes, reason: str) -> None:
        super().__init__(f"transaction {transaction_id.hex()} is undecided: {reason}")
        self.transaction_id = transaction_id
        self.raw = raw


class Unavailable(ClientError):
    """No node gave an answer. `attempts` says for each what happened."""

    def __init__(self, attempts: list[str]) -> None:
        by_node = {attempt.partition(": ")[0]: attempt for attempt in attempts}  # the last word of each
        last = "; ".join([*by_node.values()][-4:]) or "there was no time to ask one"
        super().__init__(f"no node answered: {last}")
        self.attempts = attempts


class ProofInvalid(ClientError):
    """What a node gave does not hold. The message says what and why."""


class UnknownEpoch(ProofInvalid):
    """A block of an epoch whose validators are not known yet. The clients learn them by themselves, and ask again."""


class SealedHeader(NamedTuple):
    """A header and its seal. Only that of block 0 has none."""

    header: Header
    seal: Seal | None


class Forked(ClientError):
    """Two sealed headers contradict each other. `headers`, with their seals, prove it."""

    def __init__(self, first: SealedHeader, second: SealedHeader) -> None:
        named = " and ".join(f"{each.header.hash.hex()} at height {each.header.height}" for each in (first, second))
        super().__init__(
            f"two sealed headers cannot both be of this chain: {named}. More validators are faulty than this network "
            "can bear: trust no answer, keep both headers, and tell the operators of every validator"
        )
        self.headers = (first, second)


class NoQuorum(ClientError):
    """A quorum read found no answer that enough nodes give alike. Ask again, or another node."""

    def __init__(self, enough: int, answers: dict[str, str]) -> None:
        said = "; ".join(f"{url}: {text[:120]}" for url, text in answers.items())
        super().__init__(f"{enough} nodes have to say the same, and they do not: {said}")
        self.enough = enough
        self.answers = answers


class NotConfigured(ClientError):
    """Something needs a key, or a genesis, and the client has none."""
