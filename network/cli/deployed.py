"""`quorate contracts`: which contracts there are, whose, and since when. What they do is asked of each by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from network.cli.connection import DEFAULT_URL, GenesisFile, Url, connect
from network.cli.console import AsJson, UserError, examples, hint, printable, say, say_json

if TYPE_CHECKING:
    from network.client import Client

CONTRACTS_EXAMPLES = examples(
    "quorate contracts",
    "quorate contracts --after registry --limit 20",
    "quorate contracts --json --genesis genesis.json",
)
PAGE_MAX = 100  # records that the system contract gives at once
_COLUMNS = ("name", "version", "owner", "height")


def contracts(
    after: Annotated[
        str, typer.Option(help="Only names after this one: the last name of the page before.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option(help="How many, at most.", min=1, max=PAGE_MAX)] = PAGE_MAX,
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
    as_json: AsJson = False,
) -> None:
    """The deployed contracts, by name.

    Version, owner, and the height at which that version was deployed. With --genesis each row is proven; that none is
    left out is not.
    """
    with connect(url, genesis) as client:
        found = client.view("system", "contracts", after, limit)
        rows = [_row(each) for each in found]
        if genesis is not None:
            for row in rows:
                _prove(client, row)
    last = rows[-1]["name"] if len(rows) == limit else None
    if as_json:
        say_json({"contracts": rows, "next_after": last})
        return
    _show(rows, after)
    if rows and genesis is not None:
        hint("proven against the genesis")
    if last is not None:
        hint(f"there may be more: quorate contracts --after {last}")


def _row(record: Any) -> dict[str, Any]:
    """A record of the system contract as the API writes one. Raises `UserError` for what is none."""
    try:
        return {
            "name": str(record["name"]),
            "version": int(record["version"]),
            "owner": str(record["owner"]),
            "height": int(record["height"]),
            "code_hash": bytes(record["code_hash"]).hex(),
            "proven": False,
        }
    except (KeyError, TypeError, ValueError):
        raise UserError(
            "the node's list of contracts is not in the form that this version knows; upgrade one"
        ) from None


def _prove(client: Client, row: dict[str, Any]) -> None:
    """Replace what the node said by what is proven: an upgrade may have come in between."""
    found = client.state("system", "contracts", row["name"])
    if not found.present:
        raise UserError(f"the node lists {row['name']!r}, and proves that there is no such contract: ask another node")
    row |= _row({**found.value, "name": row["name"]}) | {"proven": True}


def _show(rows: list[dict[str, Any]], after: str) -> None:
    if not rows:
        say(
            f"no contract comes after {after}"
            if after
            else "no contract is deployed yet; quorate deploy FILE deploys one"
        )
        return
    table = [_COLUMNS, *([printable(str(row[name])) for name in _COLUMNS] for row in rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(_COLUMNS))]
    for line in table:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
