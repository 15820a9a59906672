"""The command `quorate`: what a person types, turned into calls of the packages; what went wrong, turned into advice.

A mistake of the user ends with one line that says what to do, and exit code 1 (2 for a command that cannot be read,
or a node that cannot start as configured); a traceback means a defect of Quorate. Every command imports late what it
needs, so that `quorate --help` is quick.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `quorate`."""
    from network.cli.app import app

    try:
        app(prog_name="quorate")
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left: no more words, not even at exit
        sys.exit(1)
    except Exception as error:
        from network.cli.console import explain

        advice = explain(error)
        if advice is None:
            raise
        print(f"quorate: {advice}", file=sys.stderr)  # noqa: T201 - the last word of a command
        sys.exit(1)
