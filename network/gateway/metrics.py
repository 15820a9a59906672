"""`/metrics` in Prometheus' text format: the node's own counters and the gateway's, and nothing per client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from network.api import NodeStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[Mapping[str, str], float]


class Page:
    """The text, metric by metric."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, kind: str, help_text: str, samples: Iterable[Sample]) -> None:
        """One metric with its samples."""
        self._lines.append(f"# HELP quorate_{name} {help_text}")
        self._lines.append(f"# TYPE quorate_{name} {kind}")
        for labels, value in samples:
            self._lines.append(f"quorate_{name}{_labels(labels)} {_number(value)}")

    def gauge(self, name: str, help_text: str, value: float) -> None:
        """One gauge without labels."""
        self.add(name, "gauge", help_text, [({}, value)])

    def text(self) -> str:
        """The whole page."""
        return "\n".join(self._lines) + "\n"


def add_node(page: Page, status: NodeStatus | None, *, reachable: bool) -> None:
    """What the validator last said about itself."""
    page.gauge("validator_reachable", "Whether the validator process answers the gateway.", reachable)
    if status is None:
        return
    labels = {"network": status.network, "name": status.name, "version": status.version}
    page.add("node_info", "gauge", "Constant 1, labelled with what this node is.", [(labels, 1)])
    page.gauge("sealed_height", "Highest block with a seal.", status.sealed_height)
    page.gauge("executed_height", "Highest block that was executed.", status.executed_height)
    page.gauge("sealed_time_seconds", "Time of the highest sealed block.", status.sealed_time_ms / 1000)
    page.gauge("view", "Current view.", status.view)
    page.gauge("primary", "Member index of the current primary.", status.primary)
    page.gauge("changing_view", "Whether a view change is under way.", status.changing_view)
    page.gauge("halted", "Whether the node has stopped with a diagnosis.", bool(status.halted))
    page.gauge("silent", "Whether the node holds its votes back at present; its status says why.", bool(status.silence))
    page.gauge(
        "scrub_problems",
        "Damage to what is stored that is not mended; the status says which.",
        len(status.scrub.problems),
    )
    for name, text, value in (
        ("passes", "How often all that is stored was read again since the start.", status.scrub.passes),
        ("bytes", "Bytes that were read again since the start.", status.scrub.bytes_read),
        ("found", "Damage that was found since the start.", status.scrub.found),
        ("mended", "Damage that was mended since the start.", status.scrub.mended),
    ):
        page.add(f"scrub_{name}_total", "counter", text, [({}, value)])
    page.gauge("mempool_transactions", "Transactions that wait for a block.", status.mempool_transactions)
    page.gauge("mempool_bytes", "Bytes of the transactions that wait for a block.", status.mempool_bytes)
    peers = [({"peer": peer.name}, peer) for peer in status.peers]
    page.add(
        "peer_connected", "gauge", "Whether the link to a peer is up.", [(name, peer.connected) for name, peer in peers]
    )
    page.add(
        "peer_sealed_height",
        "gauge",
        "Sealed height that a peer reported.",
        [(name, peer.sealed_height) for name, peer in peers],
    )
    page.add(
        "peer_round_trip_seconds",
        "gauge",
        "Round trip to a peer.",
        [(name, peer.round_trip_ms / 1000) for name, peer in peers],
    )
    page.add(
        "validator_events_total",
        "counter",
        "What the validator counted, by its own names.",
        [({"event": name}, value) for name, value in sorted(status.counters.items())],
    )


def add_requests(page: Page, requests: Counter[tuple[str, int]], submissions: Counter[str]) -> None:
    """What the gateway answered."""
    page.add(
        "http_requests_total",
        "counter",
        "Requests answered, by method and status.",
        [({"method": method, "status": str(status)}, count) for (method, status), count in sorted(requests.items())],
    )
    page.add(
        "submissions_total",
        "counter",
        "Transactions submitted here, by what became of them.",
        [({"outcome": outcome}, count) for outcome, count in sorted(submissions.items())],
    )


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
