"""Contracts to read, to copy and to deploy as they stand; each has a page under docs/examples.

Each is a module of its own that imports under pytest; `source` is its text, as it is deployed.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

NAMES: Final = ("token", "registry", "escrow", "voting", "supply_chain", "auction", "key_value", "exchange")


def source(name: str) -> str:
    """The source of an example. Raises `ValueError` for a name that is none."""
    if name not in NAMES:
        raise ValueError(f"there is no example {name!r}, there are: {', '.join(NAMES)}")
    return files(__name__).joinpath(f"{name}.py").read_text(encoding="utf-8")
