"""Deliberate bugs of the protocol, and the search for seeds of the simulator that find them.

The catalogue below is sorted as the failures known from the field are: ordering, view change, checkpoints, catching
up, crashes. `python -m scripts.mutants` looks for the first seed that finds each; the table is in docs/mutants.md.
"""

from __future__ import annotations

from scripts.mutants import crashes, following, ordering, sealing, views
from scripts.mutants.mutant import Edit, Mutant, StaleEdit, applied

CATALOGUE: tuple[Mutant, ...] = (
    *ordering.MUTANTS,
    *views.MUTANTS,
    *sealing.MUTANTS,
    *following.MUTANTS,
    *crashes.MUTANTS,
)

__all__ = ["CATALOGUE", "Edit", "Mutant", "StaleEdit", "applied"]
