"""`quorate start`: run one node until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from network.cli.console import examples

START_EXAMPLES = examples("quorate start net/node-1", "quorate start /etc/quorate/node.toml")


def start(
    directory: Annotated[Path, typer.Argument(help="The node's directory, or its node.toml.")] = Path(),
) -> None:
    """Run a node until Ctrl-C or SIGTERM.

    The validator runs in this process, its executor and gateway beside it.
    Exit codes: 0 after a clean stop, 1 after a failure, 2 when the node cannot run as configured.
    """
    from network import node_process

    raise typer.Exit(node_process.start(directory))
