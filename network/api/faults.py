"""That a process of the node does not answer: what every question to one may end with."""

from __future__ import annotations


class NodeUnavailable(Exception):
    """The process behind an interface does not answer; the message says which and for how long."""


class Unresponsive(NodeUnavailable):
    """It is there, it was asked, and the time that an answer may take is over."""
