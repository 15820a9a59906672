"""`quorate status`, `block` and `tx`: what a node shows, for people and for machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from network.cli.connection import DEFAULT_URL, GenesisFile, Url, connect
from network.cli.console import AsJson, UserError, examples, say, say_fields, say_json, short
from network.cli.moments import utc
from network.cli.newfiles import refuse_existing, write_new
from network.cli.outcomes import outcome_rows, shown

if TYPE_CHECKING:
    from network.client import Client

PROVEN = "against the genesis"
UNPROVEN = "no, one node says so; --genesis FILE proves it"

STATUS_EXAMPLES = examples("quorate status", "quorate status --url http://127.0.0.1:8102 --json")
BLOCK_EXAMPLES = examples("quorate block", "quorate block 12", "quorate block 12 --json")
TX_EXAMPLES = examples("quorate tx 5be1...90aa", "quorate tx 5be1...90aa --receipt receipt.json")


def status(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """How a node stands.

    Its height, view and peers, and the diagnosis if it has stopped itself.
    """
    with connect(url) as client:
        found = client.status()
        lack = "" if as_json else _lack_of_quorum(client)
    if as_json:
        say_json(found)
        return
    state = (
        f"HALTED: {found['halted']}"
        if found["halted"]
        else f"does not vote: {found['silence']}"
        if found["silence"]
        else "changing view"
        if found["changing_view"]
        else "running"
    )
    state += f"; {lack}" if lack else ""
    say_fields(
        [
            ("node", f"{found['name']} (member {found['member']}), version {found['version']}"),
            ("network", f"{found['network']}, chain {found['chain_id']}"),
            ("state", state),
            ("sealed", f"block {found['sealed_height']} at {utc(found['sealed_time_ms'])}"),
            ("block hash", found["sealed_hash"]),
            ("state root", found["state_root"]),
            ("view", f"{found['view']}, primary is {_name_of(found['primary'], found)}"),
            ("mempool", f"{found['mempool']['transactions']} transactions, {found['mempool']['bytes']} bytes"),
            *_executor(found.get("executor", {})),
            *_scrub(found.get("scrub", {})),
        ]
    )
    say("peers")
    say_fields(((peer["name"], _peer(peer)) for peer in found["peers"]), indent="  ")


def _lack_of_quorum(client: Client) -> str:
    """What is wrong where this node reaches fewer members than can seal a block; "" where it reaches enough."""
    from ledger.quorum import quorum_power

    members = client.get("/v1/validators")["validators"]
    total = sum(each["power"] for each in members)
    reached = sum(each["power"] for each in members if each["connected"])
    if reached >= quorum_power(total):
        return ""
    return f"NO QUORUM: it reaches power {reached} of {total}, {quorum_power(total)} are needed to seal a block"


def _executor(found: dict[str, Any]) -> list[tuple[str, object]]:
    """How it stands, what protects the node from it, and which protections this machine does not offer."""
    if "sandbox" not in found:
        return [("executor", f"does not answer: {found.get('unavailable', 'no reason is known')}")]
    rows: list[tuple[str, object]] = [
        ("executor", f"block {found['height']}"),
        ("protections", ", ".join(found["sandbox"]) or "none"),
    ]
    return rows + [("missing", f"{name}: {why}") for name, why in found.get("unprotected", {}).items()]


def _scrub(found: dict[str, Any]) -> list[tuple[str, object]]:
    """What reading again what is stored has found, and how far it is."""
    if not found:
        return []
    part, done, of = found["part"], found["done"], found["of"]
    where = {
        "off": "off",
        "waiting": f"all was read at {utc(found['last_pass_ms'])}" if found["passes"] else "begins soon",
        "blocks": f"at block {done} of {of}",
        "state": f"at {done * 100 // max(1, of)}% of the state",
    }.get(part, f"at the {part}")
    rows: list[tuple[str, object]] = [("disk check", f"{where}; {found['found']} found, {found['mended']} mended")]
    rows += [("latest", found["latest"])] if found["latest"] else []
    return rows + [("DAMAGED", problem) for problem in found["problems"]]


def _name_of(member: int, status: dict[str, Any]) -> str:
    names = {peer["member"]: str(peer["name"]) for peer in (status, *status["peers"])}
    return names.get(member, f"member {member}")


def _peer(peer: dict[str, Any]) -> str:
    if not peer["connected"]:
        return "not connected"
    return f"connected, block {peer['sealed_height']}, view {peer['view']}, {peer['round_trip_ms']:.1f} ms"


def block(
    block: Annotated[str, typer.Argument(help="A height, a block's hash, or latest.")] = "latest",
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
    as_json: AsJson = False,
) -> None:
    """A sealed block.

    Its header, who sealed it, and its transactions.
    """
    with connect(url, genesis) as client:
        name = str(client.status()["sealed_height"]) if block == "latest" else block
        found = client.get(f"/v1/blocks/{name}") if genesis is None else client.block(name)
    if as_json:
        say_json(found)
        return
    header, seal = found["header"], found["seal"]
    signers = [entry["name"] or f"member {entry['member']}" for entry in seal["signatures"]] if seal else []
    proposer = found["proposer_name"] or f"member {header['batch_proposer']}"
    say_fields(
        [
            ("block", header["height"]),
            ("hash", header["hash"]),
            ("previous", header["previous_hash"]),
            ("time", utc(header["time_ms"])),
            (
                "proposer",
                f"{proposer}, view {header['batch_view']}",
            ),
            ("sealed by", ", ".join(signers) or "nobody: it is the genesis"),
            ("state root", header["state_root"]),
            ("gas used", header["gas_used"]),
            ("transactions", header["transaction_count"]),
            ("proven", PROVEN if genesis else UNPROVEN),
        ]
    )
    for item in found["transactions"]:
        calls = ", ".join(f"{call['contract']}.{call['method']}" for call in item["transaction"]["calls"])
        say(f"  {item['transaction']['id']}  {item['receipt']['code']}  {calls}")


def tx(
    transaction_id: Annotated[str, typer.Argument(metavar="ID", help="A transaction's id, 64 hex digits.")],
    receipt: Annotated[
        Path | None, typer.Option("--receipt", help="Also write the one-file receipt here.", show_default=False)
    ] = None,
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
    as_json: AsJson = False,
) -> None:
    """A transaction and its outcome.

    --receipt writes the proof that `quorate verify` checks.
    """
    _check_id(transaction_id)
    if receipt is not None:
        refuse_existing(receipt, "choose another name for the receipt")
    with connect(url, genesis) as client:
        found = client.transaction(transaction_id)
        if receipt is not None:
            write_new(receipt, _receipt_text(client, transaction_id, checked=genesis is not None))
    if as_json:
        say_json(found)
    else:
        _show_transaction(found)
    if receipt is not None and not as_json:
        how = f"--genesis {short(genesis) if genesis else 'FILE'}"
        say(f"receipt written: {short(receipt)}   check it with: quorate verify {short(receipt)} {how}")


def _receipt_text(client: Client, transaction_id: str, *, checked: bool) -> str:
    """The one-file receipt: proven where there is a genesis, else as the node gives it."""
    from ledger.proof_file import as_text

    if checked:
        return client.proof(transaction_id).to_json()
    return as_text(client.get(f"/v1/transactions/{transaction_id}/receipt"))


def _show_transaction(found: dict[str, Any]) -> None:
    from network.client.messages import read_outcome

    transaction = found["transaction"]
    calls = [f"{call['contract']}.{call['method']} {shown(call['args'])}" for call in transaction["calls"]]
    rows = [*outcome_rows(read_outcome(found)), ("sender", transaction["sender"]), *(("call", call) for call in calls)]
    if found["state"] == "sealed":
        rows.append(("time", utc(found["time_ms"])))
        rows.append(("proven", PROVEN if found["proven"] else UNPROVEN))
    say_fields(rows)


def _check_id(text: str) -> None:
    try:
        if len(bytes.fromhex(text)) == 32:
            return
    except ValueError:
        pass
    raise UserError(f"{text[:80]!r} is no transaction id: it has 64 hex digits")
