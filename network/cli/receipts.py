"""`quorate verify`: whether a file proves what it says, judged offline from the genesis file alone.

With `--data` the whole directory of a stopped node is judged instead (`network.cli.audit`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from network.cli.console import AsJson, UserError, examples, explain, hint, printable, say, say_fields, say_json, short
from network.cli.proven import check_names_file, document, tell

if TYPE_CHECKING:
    from ledger.types import Genesis

EXIT_INVALID, EXIT_UNFIT = 1, 2

VERIFY_EXAMPLES = examples(
    "quorate verify receipt.json",
    "quorate verify receipt.json --genesis genesis.json --file contract.pdf",
    "quorate verify state.json --header 1d4e...07aa",
    "quorate verify --data net/node-1 --resume-file audit.json",
)


def verify(
    receipt: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A proof of any kind, or a file of evidence.", show_default=False),
    ] = None,
    genesis: Annotated[
        Path | None,
        typer.Option(
            "--genesis",
            envvar="QUORATE_GENESIS",
            help="The genesis file that you trust; without it, genesis.json beside the file, or in the directory.",
            show_default=False,
        ),
    ] = None,
    header: Annotated[
        str,
        typer.Option(
            "--header",
            metavar="HASH",
            help="Instead: a header you trust, where the proof begins.",
            show_default=False,
        ),
    ] = "",
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
    """Check a proof, evidence against a member, or all that a stopped node has on its disk, offline.

    It needs the genesis file (or, for a proof made so, the hash of one header), and neither a node nor a network.
    Exit code 0 when everything holds, 1 when it does not; then it says why, and of a directory, which byte is the
    first wrong one. 2 when nothing could be checked: no such file, no genesis, or a node is running in the directory.
    """
    if (receipt is None) == (data is None):
        raise typer.BadParameter("give a FILE to check, or --data DIR for a node's directory, and not both")
    if data is not None:
        if file is not None or header:
            raise typer.BadParameter("--file and --header belong to a FILE, not to --data")
        from network.cli.audit import audit_directory

        audit_directory(data, genesis, jobs, resume_file, as_json=as_json)
    if receipt is not None:
        _verify_file(receipt, genesis, header, file, as_json=as_json)


def _verify_file(path: Path, genesis: Path | None, header: str, file: Path | None, *, as_json: bool) -> None:
    from ledger.errors import GenesisError

    try:
        _judge_file(path, genesis, header, file, as_json=as_json)
    except (UserError, GenesisError, OSError) as error:  # not to be taken for a verdict
        hint(f"quorate: {explain(error)}")
        raise typer.Exit(EXIT_UNFIT) from None


def _judge_file(path: Path, genesis: Path | None, header: str, file: Path | None, *, as_json: bool) -> None:
    from ledger.errors import InvalidProof
    from ledger.genesis import load_genesis
    from ledger.proof_file import FILE_BYTES_MAX
    from ledger.proofs import verify_proof

    if path.is_dir():
        raise UserError(f"{short(path)} is a directory: give a file, or audit a stopped node with --data {short(path)}")
    with path.open("rb") as opened:
        data = opened.read(FILE_BYTES_MAX + 1)  # one more than any proof has is enough: a device has no end
    trusted_header = read_header_hash(header)
    trusted = None if trusted_header else load_genesis(genesis or _genesis_beside(path))
    try:
        if _is_evidence(data):
            _tell_evidence(data, trusted, as_json=as_json)
            return
        found = verify_proof(data, trusted or trusted_header)
        digest = None if file is None else check_names_file(found, file)
    except InvalidProof as error:
        if as_json:
            say_json({"valid": False, "because": str(error)})
        else:
            say(f"invalid, because {printable(str(error))}")
        raise typer.Exit(EXIT_INVALID) from None
    if as_json:
        say_json(document(found, trusted, digest))
    else:
        tell(found, trusted, file, digest)


def read_header_hash(header: str) -> bytes:
    """The header that a person trusts, nothing where none was named."""
    if header and re.fullmatch("[0-9a-fA-F]{64}", header) is None:
        raise typer.BadParameter(f"--header is {header[:80]!r}; a header's hash has 64 hexadecimal digits")
    return bytes.fromhex(header)


def _is_evidence(data: bytes) -> bool:
    from consensus.evidence import FORMAT

    return FORMAT.encode() in data[:100]


def _tell_evidence(data: bytes, genesis: Genesis | None, *, as_json: bool) -> None:
    """What a file of evidence proves. Raises `InvalidProof`."""
    if genesis is None:
        raise UserError("evidence is checked against the genesis: give --genesis FILE")
    from consensus.evidence import verify_evidence
    from ledger.crypto import verify as holds
    from network.cli.evidence import place

    found = verify_evidence(data, genesis.chain_id, genesis.validators, holds)
    finding = found._asdict() | {"public_key": found.public_key.hex()}
    if as_json:
        say_json({"valid": True, "network": genesis.network, "chain_id": genesis.chain_id.hex(), "evidence": finding})
        return
    say(f"valid: {found.name} (member {found.member}) signed two different messages of {place(finding)}")
    say_fields(
        [("network", f"{genesis.network}, chain {genesis.chain_id.hex()}"), ("key", found.public_key.hex())],
        indent="  ",
    )


def _genesis_beside(proof: Path) -> Path:
    path = proof.parent / "genesis.json"
    if not path.exists():
        raise UserError(f"no genesis to check against: give --genesis FILE, or put it beside the file as {short(path)}")
    return path
