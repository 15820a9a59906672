"""A contract as plain Python: the same file that a validator interprets, run by Python itself, for tests and debuggers.

State is kept by the runtime of a validator, over memory: values are checked against their types, encoded when they
are put and decoded when they are got; what fails leaves no trace in any contract; a view cannot write; nobody is
entered twice. There is no gas here and no sandbox. `contracts.testing` has accounts, blocks and the interpreter.
"""

from __future__ import annotations

from contracts.native.contract import (
    Context,
    Contract,
    Event,
    Value,
    bound,
    call,
    init,
    require,
    sha256,
    view,
)
from contracts.native.entries import Entry, entry_of
from contracts.native.failures import Error, as_failure, line_in
from contracts.native.peers import Interface
from contracts.native.records import Record
from contracts.native.state import List, Map, Var

__all__ = [
    "Context",
    "Contract",
    "Entry",
    "Error",
    "Event",
    "Interface",
    "List",
    "Map",
    "Record",
    "Value",
    "Var",
    "as_failure",
    "bound",
    "call",
    "entry_of",
    "init",
    "line_in",
    "require",
    "sha256",
    "view",
]
