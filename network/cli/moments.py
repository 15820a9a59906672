"""Times as people read them."""

from __future__ import annotations

import datetime


def utc(time_ms: int) -> str:
    """Milliseconds since 1970 as "2026-01-31 23:59:59.123 UTC"; as plain milliseconds past the year 9999."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    try:
        moment = epoch + datetime.timedelta(milliseconds=time_ms)
    except OverflowError:
        return f"{time_ms} ms"
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds") + " UTC"
