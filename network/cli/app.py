"""The table of commands. What each does is in the module named after its subject."""

from __future__ import annotations

from typing import Annotated

import typer

from network.cli import (
    contracts,
    deployed,
    evidence,
    export,
    keys,
    new_contract,
    nodes,
    proof,
    reading,
    receipts,
    replay,
    setup,
    simulate,
    snapshots,
)
from network.cli.console import examples
from network.cli.negatives import TakesNegatives

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "quorate testnet net --start",
        "quorate status",
        "quorate deploy contracts/examples/registry.py --key net/accounts/admin.pem",
    ),
)
SET_UP, USE, LOOK = "Set up and run", "Use contracts", "Look and verify"

app.command(rich_help_panel=SET_UP, epilog=setup.INIT_EXAMPLES)(setup.init)
app.command("testnet", rich_help_panel=SET_UP, epilog=setup.TESTNET_EXAMPLES)(setup.make_network)
app.command(rich_help_panel=SET_UP, epilog=nodes.START_EXAMPLES)(nodes.start)
app.command(rich_help_panel=SET_UP, epilog=snapshots.SNAPSHOT_EXAMPLES)(snapshots.snapshot)
app.command(rich_help_panel=SET_UP, epilog=snapshots.RESTORE_EXAMPLES)(snapshots.restore)
app.add_typer(keys.app, name="keys", rich_help_panel=SET_UP)
app.command("new-contract", rich_help_panel=USE, epilog=new_contract.NEW_CONTRACT_EXAMPLES)(new_contract.new_contract)
app.command(rich_help_panel=USE, epilog=contracts.CHECK_EXAMPLES)(contracts.check)
app.command(rich_help_panel=USE, epilog=contracts.DEPLOY_EXAMPLES, cls=TakesNegatives)(contracts.deploy)
app.command(rich_help_panel=USE, epilog=contracts.UPGRADE_EXAMPLES)(contracts.upgrade)
app.command(rich_help_panel=USE, epilog=contracts.CALL_EXAMPLES, cls=TakesNegatives)(contracts.call)
app.command(rich_help_panel=USE, epilog=contracts.VIEW_EXAMPLES, cls=TakesNegatives)(contracts.view)
app.command(rich_help_panel=USE, epilog=deployed.CONTRACTS_EXAMPLES)(deployed.contracts)
app.command(rich_help_panel=LOOK, epilog=reading.STATUS_EXAMPLES)(reading.status)
app.command(rich_help_panel=LOOK, epilog=reading.BLOCK_EXAMPLES)(reading.block)
app.command(rich_help_panel=LOOK, epilog=reading.TX_EXAMPLES)(reading.tx)
app.add_typer(proof.app, name="proof", rich_help_panel=LOOK)
app.command(rich_help_panel=LOOK, epilog=receipts.VERIFY_EXAMPLES)(receipts.verify)
app.command(rich_help_panel=LOOK, epilog=replay.REPLAY_EXAMPLES)(replay.replay)
app.command(rich_help_panel=LOOK, epilog=evidence.EVIDENCE_EXAMPLES)(evidence.evidence)
app.command(rich_help_panel=LOOK, epilog=export.EXPORT_EXAMPLES)(export.export)
app.command(rich_help_panel=LOOK, epilog=simulate.SIMULATE_EXAMPLES)(simulate.simulate)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"quorate {version('quorate')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """A permissioned ledger for consortia: agree on every block, run contracts, prove what is shown."""
