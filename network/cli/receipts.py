"""`quorate verify`: whether a file proves what it says, judged offline from the genesis file alone.

With `--data` the whole directory of a stopped node is judged instead (`network.cli.audit`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from network.cli.console import AsJson, UserError, examples, say, say_fields, say_json, short
from network.cli.moments import utc

if TYPE_CHECKING:
    from ledger.proofs import VerifiedTransaction
    from ledger.types import Genesis

VERIFY_EXAMPLES = examples(
    "quorate verify receipt.json",
    "quorate verify receipt.json --genesis genesis.json --file contract.pdf",
    "quorate verify --data net/node-1 --resume-file audit.json",
)


def verify(
    receipt: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A receipt, or a file of evidence.", show_default=False)
    ] = None,
    genesis: Annotated[
        Path | None,
        typer.Option(
            "--genesis",
            envvar="QUORATE_GENESIS",
            help="The genesis file that you trust; without it, genesis.json beside the receipt, or in the directory.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Also check that the transaction names this file's SHA-256.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Audit the data directory of a stopped node.", show_default=False),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="With --data: processes that check; 0 is one a core.")] = 0,
    resume_file: Annotated[
        Path | None,
        typer.Option(
            "--resume-file", help="With --data: where to go on from, and to note how far.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a receipt, evidence against a member, or all that a stopped node has on its disk, offline.

    It needs the genesis file, and neither a running node nor a network.
    Exit code 0 when everything holds, 1 when it does not; then it says why, and of a directory, which byte is the
    first wrong one. 2 when there is nothing that could be checked: no such directory, or a node is running there.
    """
    if (receipt is None) == (data is None):
        raise typer.BadParameter("give a FILE to check, or --data DIR for a node's directory, and not both")
    if data is not None:
        if file is not None:
            raise typer.BadParameter("--file belongs to a receipt, not to --data")
        from network.cli.audit import audit_directory

        audit_directory(data, genesis, jobs, resume_file, as_json=as_json)
    if receipt is not None:
        _verify_file(receipt, genesis, file, as_json=as_json)


def _verify_file(receipt: Path, genesis: Path | None, file: Path | None, *, as_json: bool) -> None:
    from ledger.errors import InvalidProof
    from ledger.genesis import load_genesis
    from ledger.proofs import TransactionProof, verify_transaction_proof

    data = receipt.read_bytes()
    trusted = load_genesis(genesis or _genesis_beside(receipt))
    try:
        if _is_evidence(data):
            _tell_evidence(data, trusted, as_json=as_json)
            return
        verified = verify_transaction_proof(TransactionProof.from_file(data), trusted)
        digest = None if file is None else _check_names_file(verified, file)
    except InvalidProof as error:
        if as_json:
            say_json({"valid": False, "because": str(error)})
        else:
            say(f"invalid, because {error}")
        raise typer.Exit(1) from None
    if as_json:
        say_json(_document(verified, trusted, digest))
    else:
        _tell(verified, trusted, file, digest)


def _is_evidence(data: bytes) -> bool:
    from consensus.evidence import FORMAT

    return FORMAT.encode() in data[:100]


def _tell_evidence(data: bytes, genesis: Genesis, *, as_json: bool) -> None:
    """What a file of evidence proves. Raises `InvalidProof`."""
    from consensus.evidence import verify_evidence
    from ledger.crypto import verify as holds
    from network.cli.evidence import place

    found = verify_evidence(data, genesis.chain_id, genesis.validators, holds)
    document = found._asdict() | {"public_key": found.public_key.hex()}
    if as_json:
        say_json({"valid": True, "network": genesis.network, "chain_id": genesis.chain_id.hex(), "evidence": document})
        return
    say(f"valid: {found.name} (member {found.member}) signed two different messages of {place(document)}")
    say_fields(
        [("network", f"{genesis.network}, chain {genesis.chain_id.hex()}"), ("key", found.public_key.hex())],
        indent="  ",
    )


def _genesis_beside(receipt: Path) -> Path:
    path = receipt.parent / "genesis.json"
    if not path.exists():
        raise UserError(
            f"no genesis to check against: give --genesis FILE, or put it beside the receipt as {short(path)}"
        )
    return path


def _check_names_file(verified: VerifiedTransaction, file: Path) -> str:
    """The file's SHA-256, which an argument of the transaction must be. Raises `InvalidProof`."""
    from ledger.errors import InvalidProof

    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256")
    named: set[str | bytes] = {digest.hexdigest(), digest.digest()}
    if not any(_holds(argument, named) for call in _calls(verified) for argument in call["args"]):
        raise InvalidProof(f"no argument of the transaction is the SHA-256 of {file}, {digest.hexdigest()}")
    return digest.hexdigest()


def _holds(value: Any, named: set[str | bytes]) -> bool:
    if isinstance(value, list | dict):
        parts = value.values() if isinstance(value, dict) else value
        return any(_holds(part, named) for part in parts)
    return isinstance(value, str | bytes) and value in named


def _calls(verified: VerifiedTransaction) -> list[dict[str, Any]]:
    """The calls with their arguments decoded; arguments that are no encoding are shown as bytes."""
    from ledger import codec
    from ledger.errors import CodecError

    calls = []
    for call in verified.transaction.body.calls:
        try:
            args = codec.decode(call.args)
        except CodecError:
            args = call.args
        calls.append(
            {"contract": call.contract, "method": call.method, "args": args if isinstance(args, list) else [args]}
        )
    return calls


def _tell(verified: VerifiedTransaction, genesis: Genesis, file: Path | None, digest: str | None) -> None:
    receipt, body = verified.receipt, verified.transaction.body
    what = f"this file ({file}) existed" if file is not None else "this transaction took place"
    count = f"{len(verified.signers)} of {verified.member_count}"
    say(f"valid: {what} at block {verified.height}, sealed by {count} validators at {utc(verified.time_ms)}")
    calls = (f"{call['contract']}.{call['method']}({_arguments(call['args'])})" for call in _calls(verified))
    outcome = receipt.code if receipt.code == "ok" else f"{receipt.code}: {receipt.message}"
    sender = next((account.name for account in genesis.accounts if account.public_key == body.sender), "")
    rows: list[tuple[str, object]] = [
        ("network", f"{genesis.network}, chain {genesis.chain_id.hex()}"),
        ("block", verified.header_hash.hex()),
        ("sealed by", ", ".join(verified.signers)),
        ("transaction", receipt.transaction_id.hex()),
        ("sender", f"{body.sender.hex()} {f'({sender} in genesis)' if sender else ''}".rstrip()),
        *(("call", call) for call in calls),
        ("outcome", outcome),
    ]
    if digest is not None:
        rows.append(("file SHA-256", f"{digest}, an argument of the call"))
    say_fields(rows, indent="  ")
    if receipt.code != "ok":
        say("Note: the receipt proves that the transaction FAILED; it changed nothing.")


def _arguments(values: list[Any]) -> str:
    return ", ".join(value.hex() if isinstance(value, bytes) else repr(value) for value in values)


def _document(verified: VerifiedTransaction, genesis: Genesis, digest: str | None) -> dict[str, Any]:
    from network.json_values import to_json

    receipt = verified.receipt
    return {
        "valid": True,
        "network": genesis.network,
        "chain_id": genesis.chain_id.hex(),
        "height": verified.height,
        "block": verified.header_hash.hex(),
        "time_ms": verified.time_ms,
        "signers": list(verified.signers),
        "member_count": verified.member_count,
        "transaction_id": receipt.transaction_id.hex(),
        "sender": verified.transaction.body.sender.hex(),
        "calls": [call | {"args": to_json(call["args"])} for call in _calls(verified)],
        "outcome": {
            "code": receipt.code,
            "message": receipt.message,
            "line": receipt.line,
            "gas_used": receipt.gas_used,
        },
        "file_sha256": digest,
    }
