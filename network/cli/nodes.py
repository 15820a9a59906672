"""`quorate start`: run one node until it is told to stop."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from network.cli.console import examples

START_EXAMPLES = examples("quorate start net/node-1", "quorate start /etc/quorate/node.toml")


def start(
    directory: Annotated[Path, typer.Argument(help="The node's directory, or its node.toml.")] = Path(),
    follow_parent: Annotated[
        bool, typer.Option("--follow-parent", hidden=True, help="End when standard input closes.")
    ] = False,
) -> None:
    """Run a node until Ctrl-C or SIGTERM.

    The validator runs in this process, its executor and gateway beside it.
    Exit codes: 0 after a clean stop, 1 after a failure, 2 when the node cannot run as configured.
    """
    from network.config import ConfigError, read_config
    from network.node import run

    try:
        config = read_config(directory)
    except ConfigError as error:
        typer.echo(f"quorate: {error}", err=True)
        raise typer.Exit(2) from None
    if follow_parent:
        threading.Thread(target=_follow_parent, name="follow-parent", daemon=True).start()
    raise typer.Exit(run(config))


def _follow_parent() -> None:
    """Whoever started us holds the other end of our standard input; when it goes, so do we."""
    while os.read(0, 1):  # not sys.stdin, whose lock a thread must not hold when the interpreter ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)
