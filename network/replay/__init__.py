"""Executing one past transaction again, against the state of its block: the same receipt, and how it came about."""

from __future__ import annotations

from network.replay.chain import Chain, NodeChain, Unknown
from network.replay.directory import DirectoryChain
from network.replay.run import Broken, Replayed, replay

__all__ = ["Broken", "Chain", "DirectoryChain", "NodeChain", "Replayed", "Unknown", "replay"]
