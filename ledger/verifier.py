"""The verifier: whether a proof file proves what it says, judged from the file and from what its reader trusts already.

It is to be read from top to bottom, and uses SHA-256, Ed25519 (`ledger.crypto`), the page that says what a quorum is
(`ledger.quorum`), and `ledger.proof_file` to take the file apart; none of the code that runs a node. The same in
JavaScript is `network/explorer/verify.mjs`. It needs no node, no network and no clock. It does not say that a later
block exists, nor what a value means to its contract.

The chain of trust: what the reader trusts (a genesis, or the hash of one header) names a set of validators; a quorum of
these signed the hash of a header; where the set changed on the way, each epoch's closing header, sealed by the set that
it closes, names the next. (A header's `next_validators_hash` names the set that seals the block after it: its own, but
for the last of an epoch. A change that is under way is announced in the state, and hands over nothing.) The sealed
header has three roots: of transactions and of receipts (RFC 9162 trees), and of the state (`ledger.state_proof` defines
that tree). What is proven stands under one of them.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from ledger import crypto
from ledger.errors import InvalidProof
from ledger.hashing import transaction_hash, transaction_id, validators_hash
from ledger.proof_encoding import VALIDATOR_SET, Parts, decode, encode_number
from ledger.proof_file import open_proof
from ledger.quorum import quorum_power


class Trust(NamedTuple):
    """What a reader trusts: a genesis (its hash and its encoded validators), or else the hash of one header."""

    chain_id: bytes = b""
    validators: bytes = b""
    header_hash: bytes = b""


class Verified(NamedTuple):
    """What a file proves. `signers` are the names in its seal, of `member_count` members; `closings` the changes of the
    set on the way.

    The parts have the names and the order of `ledger.types`; each has its bytes too, as "raw". What the kind of proof
    lacks is empty. `state` has contract, variable, elements (of the key), key, and value, which is None for absence.
    """

    kind: str
    header: Parts
    seal: Parts
    closings: list[Parts]
    signers: tuple[str, ...]
    member_count: int
    transaction: Parts
    receipt: Parts
    event: Parts
    state: Parts


def verify(data: bytes, trust: Trust) -> Verified:
    """What the file proves to a reader with this trust. Raises `InvalidProof`, which says why, and nothing else."""
    proof = open_proof(data)
    header, receipt, event = proof["header"], proof["receipt"], proof["event"]
    members = _follow(proof, trust)
    if proof["transaction"]:
        _check_transaction(proof)
    if receipt:
        _check_receipt(proof)
    if proof["kind"] == "event" and event >= len(receipt["events"]):
        raise InvalidProof(f"the event is number {event} of a receipt with {len(receipt['events'])}, from 0 on")
    if proof["state"]:
        _check_state(proof)
    return Verified(
        proof["kind"],
        header,
        proof["seal"],
        proof["closings"],
        tuple(members[entry["member"]]["name"] for entry in proof["seal"]["signatures"]),
        len(members),
        proof["transaction"],
        receipt,
        receipt["events"][event] if proof["kind"] == "event" else {},
        proof["state"],
    )


# ── who sealed it ─────────────────────────────────────────────────────────────────────────────────


def _follow(proof: Parts, trust: Trust) -> list[Parts]:
    """The members that sealed the proof's header, from what is trusted over each change of the set."""
    chain_id, epoch, validators = _begin(proof, trust)
    height = -1
    for closing in proof["closings"]:
        header = closing["header"]
        _check_sealed("closing header", closing, chain_id, epoch, validators, height)
        if validators_hash(closing["validators"]) != header["next_validators_hash"]:
            raise InvalidProof(f"the closing header of epoch {epoch} names another next set than the one beside it")
        epoch, height, validators = epoch + 1, header["height"], closing["validators"]
    return _check_sealed("block", proof, chain_id, epoch, validators, height)


def _begin(proof: Parts, trust: Trust) -> tuple[bytes, int, bytes]:
    """Chain id, epoch and validators that the reader trusts."""
    anchor = proof["anchor"]
    if not trust.header_hash:
        if anchor:
            begins = anchor["header"]["hash"].hex()
            raise InvalidProof(f"it begins at header {begins}, not at the genesis: check it with a trusted header")
        return trust.chain_id, 0, trust.validators
    if not anchor:
        raise InvalidProof("it begins at the genesis, not at a trusted header: check it with the genesis file")
    header = anchor["header"]
    if header["hash"] != trust.header_hash:
        raise InvalidProof(f"it begins at header {header['hash'].hex()}, the trusted one is {trust.header_hash.hex()}")
    if validators_hash(anchor["validators"]) != header["validators_hash"]:
        raise InvalidProof("the trusted header names another set than the one beside it")
    return header["chain_id"], header["epoch"], anchor["validators"]


def _check_sealed(what: str, sealed: Parts, chain_id: bytes, epoch: int, validators: bytes, above: int) -> list[Parts]:
    """That a quorum of `validators`, the set of `epoch`, sealed the header; who the members are."""
    header, seal = sealed["header"], sealed["seal"]
    if header["chain_id"] != chain_id:
        raise InvalidProof(f"it is from chain {header['chain_id'].hex()}, the trusted one is {chain_id.hex()}")
    if header["epoch"] != epoch:
        raise InvalidProof(f"the {what} is of epoch {header['epoch']}, the trusted set is that of epoch {epoch}")
    if header["height"] <= above:
        raise InvalidProof(f"the {what} has height {header['height']}, its epoch begins above {above}")
    if header["validators_hash"] != validators_hash(validators):
        raise InvalidProof(f"the {what} of epoch {epoch} names another set of validators than the trusted one")
    if (seal["epoch"], seal["height"], seal["header_hash"]) != (epoch, header["height"], header["hash"]):
        raise InvalidProof(f"the seal of the {what} is for another header")
    members: list[Parts] = decode("set of validators", validators, VALIDATOR_SET)["members"]
    _check_power(seal, members)
    for entry in seal["signatures"]:
        vote = b"\x94" + b"".join(encode_number(each) for each in (epoch, header["height"], entry["member"]))
        message = _signed("checkpoint", chain_id, vote + b"\xc4\x20" + header["hash"])
        if not crypto.verify(members[entry["member"]]["public_key"], message, entry["signature"]):
            raise InvalidProof(f"the signature of member {entry['member']} in the seal does not hold")
    return members


def _check_power(seal: Parts, members: list[Parts]) -> None:
    """Distinct members, with all power but the most that may be faulty, which is less than a third."""
    power, previous = 0, -1
    for entry in seal["signatures"]:
        member = entry["member"]
        if member >= len(members):
            raise InvalidProof(f"the seal names member {member}, of a set of {len(members)}")
        if member <= previous:
            raise InvalidProof(f"the seal names member {member} after {previous}, expected ascending distinct members")
        power, previous = power + members[member]["power"], member
    total = sum(member["power"] for member in members)
    quorum = quorum_power(total)
    if power < quorum:
        raise InvalidProof(f"the seal has voting power {power} of {total}, at least {quorum} is a quorum")


def _signed(kind: str, chain_id: bytes, body: bytes) -> bytes:
    """What a signature of a kind covers."""
    return b"quorate." + kind.encode() + b"\x00" + chain_id + body


# ── what is under its roots ───────────────────────────────────────────────────────────────────────


def _check_transaction(proof: Parts) -> None:
    """Signed by its sender for this chain, about which the receipt is, and under the transactions root."""
    transaction, receipt, header = proof["transaction"], proof["receipt"], proof["header"]
    chain_id, raw = transaction["body"]["chain_id"], transaction["raw"]
    body = raw[1:-66]  # behind the head of a list of two, before the signature's 64 bytes and their head
    if chain_id != header["chain_id"]:
        raise InvalidProof(f"the transaction is signed for chain {chain_id.hex()}, not for this one")
    message = _signed("transaction", chain_id, body)
    if not crypto.verify(transaction["body"]["sender"], message, transaction["signature"]):
        raise InvalidProof("the client's signature in the transaction does not hold")
    named = receipt["transaction_id"], receipt["transaction_hash"]
    if named != (transaction_id(body), transaction_hash(raw)):
        raise InvalidProof("the receipt is about another transaction")
    _check_place("transaction", named[1], header["transactions_root"], proof, proof["transaction_path"])


def _check_receipt(proof: Parts) -> None:
    receipt, header = proof["receipt"], proof["header"]
    if receipt["height"] != header["height"]:
        raise InvalidProof(f"the receipt's height is {receipt['height']}, the header's is {header['height']}")
    _check_place("receipt", receipt["raw"], header["receipts_root"], proof, proof["receipt_path"])


def _check_place(what: str, leaf: bytes, root: bytes, proof: Parts, path: list[bytes]) -> None:
    """The leaf is the one at the receipt's index, among the header's transactions."""
    index, size = proof["receipt"]["index"], proof["header"]["transaction_count"]
    if index >= size:
        raise InvalidProof(f"the index is {index}, in a block of {size} transactions")
    if not is_included(root, _hash(b"\x00", leaf), index, size, path):
        raise InvalidProof(f"the {what} is not under the header's root at index {index}")


def is_included(root: bytes, leaf_hash: bytes, index: int, size: int, path: list[bytes]) -> bool:
    """Whether the leaf with this hash is number `index` of `size` under the root (RFC 9162, 2.1.3.2)."""
    node, position, last = leaf_hash, index, size - 1
    if position > last:
        return False
    for sibling in path:
        if last == 0:
            return False  # longer than the way to the root
        if position % 2 or position == last:
            node = _hash(b"\x01", sibling, node)
            while position % 2 == 0 and position:  # levels where the last node moved up unpaired
                position, last = position // 2, last // 2
        else:
            node = _hash(b"\x01", node, sibling)
        position, last = position // 2, last // 2
    return last == 0 and node == root


def _check_state(proof: Parts) -> None:
    """The tree has sixteen branches a node, hashed in quarters of four; a key's path is its hash, a nibble a level."""
    state = proof["state"]
    path = _hash(state["key"]).hex()
    node = _end_of_path(path, state)
    for nibble, siblings in reversed(list(zip(path, state["levels"], strict=False))):
        quarter, place = divmod(int(nibble, 16), 4)
        near, far = siblings[:3], siblings[3:]
        node = _hash_of_four(b"\x02", [*near[:place], node, *near[place:]])
        node = _hash_of_four(b"\x01", [*far[:quarter], node, *far[quarter:]])
    if node != proof["header"]["state_root"]:
        raise InvalidProof("the state proof leads to another root than the header's")


def _end_of_path(path: str, state: Parts) -> bytes:
    """The hash that must stand where the key's path ends: its leaf; or nothing, or another key's leaf."""
    levels, other = state["levels"], state["other"]
    if state["value"] is not None:
        if other:
            raise InvalidProof("the state proof is one of absence, and the file has a value")
        return _hash(b"\x00", bytes.fromhex(path), _hash(b"\x03", state["value"]))
    if not other:
        if levels and not any(any(sibling) for sibling in levels[-1]):
            raise InvalidProof("the state proof goes on below an empty place")
        return bytes(32)
    found = other[:32].hex()
    if found == path or found[: len(levels)] != path[: len(levels)]:
        raise InvalidProof("the other leaf does not stand where the key would stand")
    return _hash(b"\x00", other)


def _hash_of_four(kind: bytes, children: list[bytes]) -> bytes:
    """Four empty places make an empty place."""
    return _hash(kind, *children) if any(map(any, children)) else bytes(32)


def _hash(*parts: bytes) -> bytes:
    return sha256(b"".join(parts)).digest()
