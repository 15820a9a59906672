"""Any exception as the problem that a client is told: what it may know, and nothing of the host's own words."""

from __future__ import annotations

import logging

from contracts.codes import ALL as CONTRACT_CODES
from network.api import NodeUnavailable
from network.gateway.problems import KINDS, Problem
from network.ipc import RemoteError

log = logging.getLogger(__name__)

INTERNAL = Problem("internal", "this is a fault of the gateway and not of the request; its log says more")


def problem_of(error: Exception, request: str) -> Problem:
    """The problem for what a route raised. A fault of ours is logged, with the `request` that met it."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, NodeUnavailable):
        return Problem("node_unavailable", f"{error}; try again, or ask another node")
    if isinstance(error, RemoteError):
        return remote_problem(error)
    log.error("%s failed", request, exc_info=error)
    return INTERNAL


def remote_problem(error: RemoteError) -> Problem:
    """What a process of the node refused: by its own code where that is one of ours, else as a contract's."""
    if error.code in KINDS:
        return INTERNAL if error.code == "internal" else Problem(error.code, error.message)
    if error.code in CONTRACT_CODES:
        return Problem("bad_arguments", error.message, contract_code=error.code)
    log.error("a process of the node answered %s", error)
    return INTERNAL
