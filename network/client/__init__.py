"""The SDK: signs here, sends to any node, retries with the very same bytes, and believes proofs instead of nodes.

    with Client(["http://127.0.0.1:8101"], key=SigningKey.generate(), genesis=load_genesis("genesis.json")) as client:
        outcome = client.call("registry", "register", digest)
        proof = client.proof(outcome.transaction_id)

`Client` and `AsyncClient` have the same methods; both perform the steps that `network.client.core` lays down. The
exceptions are drawn as a tree at the top of `network.client.errors`.
"""

from network.client.aio import AsyncClient
from network.client.errors import (
    ClientError,
    Forked,
    NoQuorum,
    NotConfigured,
    ProofInvalid,
    Rejected,
    SealedHeader,
    TransactionFailed,
    Unavailable,
    Undecided,
    UnknownEpoch,
)
from network.client.light import LightClient
from network.client.messages import Event, Outcome, StateValue
from network.client.reads import ReadMode
from network.client.sync import Client

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Event",
    "Forked",
    "LightClient",
    "NoQuorum",
    "NotConfigured",
    "Outcome",
    "ProofInvalid",
    "ReadMode",
    "Rejected",
    "SealedHeader",
    "StateValue",
    "TransactionFailed",
    "Unavailable",
    "Undecided",
    "UnknownEpoch",
]
