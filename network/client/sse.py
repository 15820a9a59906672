"""Server-sent events read line by line: text in, events out. It knows the format, not the connection."""

from __future__ import annotations

import json
from typing import Any

from network.client.errors import ProofInvalid
from network.client.messages import Event


class EventReader:
    """One connection's lines become events; `cursor` is where to resume."""

    def __init__(self, cursor: str = "") -> None:
        self.cursor = cursor
        self._kind = ""
        self._data: list[str] = []

    def line(self, text: str) -> Event | None:
        """One line, without its end; an event when it completes one. Raises `ProofInvalid`."""
        if not text:
            return self._complete()
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self.cursor = value
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        return None

    def _complete(self) -> Event | None:
        data, kind = self._data, self._kind
        self._data, self._kind = [], ""
        if not data:
            return None
        return Event(kind or "message", self.cursor, _object("\n".join(data)))


def _object(text: str) -> dict[str, Any]:
    """An event's data. Raises `ProofInvalid` for what is none: this is no node of ours."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProofInvalid("a node streamed what is no event")
    return found
