"""`python -m network.cli` is the command `quorate`."""

from network.cli import main

main()
