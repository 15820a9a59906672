"""Where a script makes its network: a fresh directory in the checkout, or elsewhere where that path is too long."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from network.testnet_layout import fits_sockets

ROOT = Path(__file__).parent.parent


def fresh_directory(name: str, validators: int) -> Path:
    """`.NAME` in the checkout, without what an earlier run left there; a temporary directory where sockets need it."""
    usual = ROOT / f".{name}"
    if not fits_sockets(usual, validators):
        return Path(tempfile.mkdtemp(prefix=f"quorate-{name}-"))
    shutil.rmtree(usual, ignore_errors=True)
    return usual
