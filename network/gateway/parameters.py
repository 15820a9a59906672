"""What many routes take from the query."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from ledger.types import HEIGHT_MAX

MinHeight = Annotated[
    int | None,
    Query(
        ge=0,
        le=HEIGHT_MAX,
        description="Answer only once this node has sealed this height (waits up to 2 s, else 409).",
    ),
]
