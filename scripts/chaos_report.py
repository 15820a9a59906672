"""What a run of chaos found, as figures and as words: its report, its table of recoveries, the traces it looks for.

It judges nothing but what lies around afterwards: processes that still run, and tracebacks in logs.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from scripts.chaos_audit import Chain
from scripts.chaos_members import Member
from scripts.load import percentile


class Recovery(msgspec.Struct, frozen=True):
    """One disturbance, and how the network came through it.

    `pause_s` is the longest time without a newly sealed block, from its beginning until all was well again; `back_s`
    the time from its end until every member was level with the others, voting, and its gateway ready.
    """

    number: int
    at_s: float
    kind: str
    faults: int
    member: str
    hold_s: float
    pause_s: float
    back_s: float


class Report(msgspec.Struct, frozen=True):
    """The result, as it is written."""

    held: bool
    wrong: list[str]
    seed: int
    minutes: float
    rate: float
    disturbances: int
    pause_s: dict[str, float]
    back_s: dict[str, float]
    chain: Chain
    offered: int
    acknowledged: int
    refused: dict[str, int]
    without_outcome: int
    asked_again: dict[str, int]
    latency_s: dict[str, float]
    votes: int
    journal_rewritings: int
    recoveries: list[Recovery]


# ── what lies around ──────────────────────────────────────────────────────────────────────────────


def processes_in(directory: Path) -> list[str]:
    """The command lines of living processes that work in this directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = entry.read_bytes().decode(errors="replace").split("\0")
            ours = any(word.startswith(("network.", "scripts.chaos_node")) for word in words)
            if ours and any(str(directory) in word for word in words):
                found.append(" ".join(words))
    return found


def tracebacks_in(members: Sequence[Member]) -> list[str]:
    """An exception that nobody expected leaves its traceback in the log; so does a logger with a full disk."""
    found: list[str] = []
    for member in members:
        lines = member.node.log_path.read_text(errors="replace").splitlines()
        for number, line in enumerate(lines):
            if line.startswith("Traceback") and "--- Logging error ---" not in lines[max(0, number - 1) : number]:
                error = next((each for each in lines[number:] if each and not each.startswith(("Traceback", " "))), "")
                found.append(f"{member.node.log_path}:{number + 1}: {error}")
    return found


# ── the words ─────────────────────────────────────────────────────────────────────────────────────


def distribution(ascending: list[float]) -> dict[str, float]:
    """Percentiles of measured seconds."""
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(percentile(ascending, share), 3) for name, share in shares.items()}


def say(text: str) -> None:
    """One line of the story."""
    print(text, flush=True)


def show(report: Report) -> None:
    """The summary for a person."""
    kinds = Counter(recovery.kind for recovery in report.recoveries)
    say(f"{report.disturbances} disturbances: {', '.join(f'{count} x {name}' for name, count in kinds.most_common())}")
    for what, values in (
        ("longest pause with one member disturbed", report.pause_s),
        ("all well again after the end of a disturbance", report.back_s),
        ("latency of transfers, due to sealed", report.latency_s),
    ):
        say(f"{what}: " + ", ".join(f"{name} {value:.2f} s" for name, value in values.items()))
    say(
        f"{report.acknowledged} of {report.offered} transfers acknowledged, {report.without_outcome} without outcome; "
        f"{sum(report.asked_again.values())} times another node was asked {report.asked_again}"
    )
    say(
        f"{report.chain.height} blocks with {report.chain.transactions} transactions, state root "
        f"{report.chain.state_root[:16]}..., {report.votes} votes and certificates compared, "
        f"journals rewritten {report.journal_rewritings} times"
    )
    for complaint in report.wrong:
        say(f"WRONG: {complaint}")
