"""Do all Pythons play a simulated run alike? Fixed plans with the hash of everything that happens in them.

    python3.13 -m scripts.trace_hashes            compare (exit code 1 where one differs)
    python3.13 -m scripts.trace_hashes --renew    after a change of the protocol or of the simulator

Needs what `consensus` needs, and no test tools. A change of the protocol changes the hashes; a change of the Python,
of the machine or of PYTHONHASHSEED never may.
"""

from __future__ import annotations

import sys
from pathlib import Path

from consensus.simulation import Plan
from consensus.simulation.campaign import play

FILE = Path(__file__).parent.parent / "tests" / "sim" / "trace_hashes.txt"
HEAD = "# Fixed plans, each after the hash of its run. Renew: python -m scripts.trace_hashes --renew"


def read() -> list[tuple[str, Plan]]:
    """(expected hash, plan)"""
    lines = [line.split(" ", 1) for line in FILE.read_text().splitlines() if not line.startswith("#")]
    return [(expected, Plan.decode(plan)) for expected, plan in lines]


def renew() -> None:
    """Write down the hashes as they are now; the plans stay. A run that breaks a rule has no hash worth keeping."""
    outcomes = [(play(plan), plan) for _, plan in read()]
    if all(not outcome.kind for outcome, _ in outcomes):
        lines = [f"{outcome.fingerprint} {plan.encode()}" for outcome, plan in outcomes]
        FILE.write_text("\n".join([HEAD, *lines]) + "\n")


def compare() -> int:
    """The number of plans that went otherwise."""
    different = 0
    for expected, plan in read():
        outcome = play(plan)
        alike = outcome.fingerprint == expected and not outcome.kind
        different += not alike
        verdict = "as ever" if alike else "DIFFERS"
        print(f"{verdict}  seed {plan.seed}  {outcome.fingerprint}  {outcome.violation}".rstrip())
    return different


def main(words: list[str]) -> int:
    """0 where all are alike."""
    if words == ["--renew"]:
        renew()
    elif words:
        print("usage: python -m scripts.trace_hashes [--renew]", file=sys.stderr)
        return 2
    different = compare()
    python = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {python}: {f'{different} runs differ' if different else 'all runs as ever'}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
