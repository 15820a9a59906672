"""Mutations of valid proof files, each judged by the Python and by the JavaScript verifier: all refused, by both.

    python -m scripts.mutate_proofs --count 100000 --seed 1

Mutations (`scripts.proof_mutations`) of two sorts. Of the *text*: every one must be refused, as a proof has one text.
Of the *content*, written out anew in its one form, summary and all, so that only the judging can refuse it. Such a
change may happen to give another *true* proof (one signature fewer, and still a quorum). The chain on paper knows what
is true on it: those are counted apart, and one accepted that is not true is a forgery. And files that nobody changed,
before a reader who trusts another chain or another header.

Both verifiers must give the same verdict, and the same reason where the form of the text is not the reason.
Needs Node 20 or newer on the PATH. Exit code 0 when all were refused and both agreed, 1 with the first that were not.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ledger.errors import CodecError, InvalidProof
from ledger.genesis import to_json
from ledger.proofs import trust_in
from ledger.verifier import verify
from scripts.paper_proofs import Chain, sample
from scripts.proof_mutations import CONTENT, TEXT, rewritten

JUDGE = Path(__file__).with_name("judge_proofs.mjs")
FILES = 200  # valid files of each of two chains, to be mutated
BATCH = 2_000  # files a round of the two verifiers
FORM = ("the file", '"event"')  # how a reason begins that is about the text: the two may word it differently


class NoNode(RuntimeError):
    """There is no Node to run the JavaScript verifier with."""


class Case(NamedTuple):
    """A mutated file. `trust` is an index into the trusts. `sort` is "text" or "content", `how` names the mutation."""

    data: bytes
    trust: int
    sort: str
    how: str
    chain: Chain


class Report(NamedTuple):
    """How a campaign went. `still_true` are not among `refused`; `faults` are sentences."""

    refused: Counter[str]
    still_true: Counter[str]
    reasons: Counter[str]
    faults: list[str]


# ── the campaign ──────────────────────────────────────────────────────────────────────────────────


class Originals:
    """Valid files of two chains, and all that a reader of them may trust."""

    def __init__(self, seed: int, files: int = FILES) -> None:
        self.chains = [Chain("paper"), Chain("other")]
        self.headers = [header.hash for chain in self.chains for header in chain.headers]
        self.trusts: list[Any] = [*(chain.genesis for chain in self.chains), *self.headers]
        self.files = [
            (text, begin, chain)
            for number, chain in enumerate(self.chains)
            for text, begin in sample(chain, files, seed + number)
        ]

    def trust_for(self, begin: bytes | None, chain: Chain) -> int:
        """Which trust a file is for."""
        return self.chains.index(chain) if begin is None else len(self.chains) + self.headers.index(begin)

    def unchanged(self) -> list[Case]:
        """The valid files themselves."""
        found = [(text.encode(), self.trust_for(begin, chain), chain) for text, begin, chain in self.files]
        return [Case(data, trust, "valid", "none", chain) for data, trust, chain in found]


def mutations(originals: Originals, draw: random.Random) -> Iterator[Case]:
    """Without end. What changes nothing is no mutation and is left out."""
    while True:
        text, begin, chain = draw.choice(originals.files)
        trust, before = originals.trust_for(begin, chain), text.encode()
        if draw.random() < 0.05:
            other = draw.choice([other for other in range(len(originals.trusts)) if other != trust])
            yield Case(before, other, "trust", "another", chain)
            continue
        if draw.random() < 0.4:
            in_text = draw.choice(TEXT)
            after, case = in_text(draw, before), ("text", in_text.__name__)
        else:
            document, strange = json.loads(text), json.loads(draw.choice(originals.files)[0])
            in_content = draw.choice(CONTENT)
            try:
                in_content(draw, document, strange)
            except CodecError:  # a value that has no encoding at all
                continue
            after, case = rewritten(document), ("content", in_content.__name__)
        if after != before:
            yield Case(after, trust, case[0], case[1].strip("_"), chain)


def judge_in_javascript(cases: Sequence[Case], trusts: Sequence[Any]) -> list[str | None]:
    """Why each is invalid, None where it is valid. Raises `NoNode`; and when the verifier throws anything else."""
    node = shutil.which("node")
    if node is None:
        raise NoNode("no node on the PATH: the JavaScript verifier needs Node 20 or newer (apt install nodejs)")
    told = [{"header": each.hex()} if isinstance(each, bytes) else {"genesis": to_json(each)} for each in trusts]
    lines = [json.dumps(told), *(f"{case.trust} {base64.b64encode(case.data).decode()}" for case in cases)]
    done = subprocess.run(
        [node, str(JUDGE)], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the JavaScript verifier ended with {done.returncode}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def judge_in_python(case: Case, trusts: Sequence[Any]) -> str | None:
    """The same by `ledger.verifier`."""
    try:
        verify(case.data, trust_in(trusts[case.trust]))
    except InvalidProof as error:
        return str(error)
    return None


def run(count: int, seed: int, files: int = FILES, show: Callable[[int], None] = lambda _: None) -> Report:
    """Judge `count` mutations that must be refused. Raises when a verifier ends in anything but a verdict."""
    originals = Originals(seed, files)
    report = Report(Counter(), Counter(), Counter(), [])
    unchanged = originals.unchanged()
    for case, because in zip(unchanged, judge_in_javascript(unchanged, originals.trusts), strict=True):
        if because is not None or judge_in_python(case, originals.trusts) is not None:
            report.faults.append(f"a valid file is refused: {because}")
    following = mutations(originals, random.Random(seed))  # noqa: S311 - a campaign that can be played again
    while report.refused.total() < count and not report.faults:
        wanted = min(BATCH, count - report.refused.total())
        cases = [next(following) for _ in range(wanted)]
        for case, theirs in zip(cases, judge_in_javascript(cases, originals.trusts), strict=True):
            _note(report, case, judge_in_python(case, originals.trusts), theirs)
        show(report.refused.total())
    return report


def _note(report: Report, case: Case, ours: str | None, theirs: str | None) -> None:
    """One pair of verdicts."""
    name = f"{case.sort}: {case.how}"
    if (ours is None) != (theirs is None):
        report.faults.append(f"{name}: Python says {ours!r}, JavaScript {theirs!r}\n{_shown(case)}")
    elif ours is None:
        if case.sort != "content" or not case.chain.is_true(json.loads(case.data)):
            report.faults.append(f"{name}: both accept it\n{_shown(case)}")
        report.still_true[name] += 1
    else:
        if ours != theirs and not ours.startswith(FORM):
            report.faults.append(f"{name}: Python says {ours!r}, JavaScript {theirs!r}")
        report.refused[name] += 1
        report.reasons[_kind_of(ours)] += 1


def _shown(case: Case) -> str:
    return case.data.decode(errors="replace")


def _kind_of(reason: str) -> str:
    """A reason without what differs from file to file."""
    return re.sub(r"\d+", "N", re.sub(r"says .*", "says ...", re.sub(r"[0-9a-f]{64}", "H", reason), flags=re.DOTALL))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=100_000, help="mutations that must be refused")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    report = run(options.count, options.seed, show=lambda done: print(f"\r{done:,} refused", end="", file=sys.stderr))
    print(file=sys.stderr)
    print(f"{report.refused.total():,} mutations refused by both verifiers, seed {options.seed}")
    for name, number in sorted(report.refused.items()):
        still = report.still_true[name]
        print(f"  {number:>7,}  {name}{f'   (and {still:,} still true)' if still else ''}")
    print("reasons")
    for reason, number in report.reasons.most_common():
        print(f"  {number:>7,}  {reason}")
    for fault in report.faults[:10]:
        print(f"FAULT  {fault}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
