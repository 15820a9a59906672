"""The worst that contracts were found to do with the gas of one transaction: processor time and memory of the executor.

    python -m scripts.gas_worst [--gas 100000000] [--only TEXT]

Each program is one call that goes on until its gas or its room is used up, executed by an engine in a process of its
own, whose memory is limited. Printed are the seconds of CPU of the block and the peak resident memory of the process.
Above 2 s or 256 MiB the exit code is 1; both hold for the `transaction_gas_max` that a network has by default.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import textwrap
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.testing import LocalChain
from ledger.types import Parameters
from scripts.gas_host import dense_source

SECONDS_MAX = 2.0
MEMORY_MIB_MAX = 256
GAS = Parameters().transaction_gas_max
_ADDRESS_SPACE = 3 << 30  # of the child: what wants more is stopped there, and not by this machine

# Programs by name: what comes first, and what is repeated for ever.
TIME = {
    "pattern that nearly fits everywhere": ("s = 'a' * 29_000\nt = 'a' * 88 + 'ba'", "x = s.find(t)"),
    "the same from the right": ("s = 'a' * 200_000\nt = 'ab' + 'a' * 90_000", "x = s.rfind(t)"),
    "replacing every character": ("s = 'a' * 60_000", "x = s.replace('a', 'bc')"),
    "splitting into every character": ("s = 'a ' * 30_000", "x = s.split(' ')"),
    "copies of the widest text": ("s = chr(128_512) * 200", "x = s[1:]"),
    "sorting rows": ("s = [(1, str(i * 7919 % 65_537)) for i in range(20_000)]", "x = sorted(s)"),
    "sorting long texts": ("s = ['a' * 200 + str(i * 7919 % 65_537) for i in range(20_000)]", "x = sorted(s)"),
    "comparing lists of lists": ("s = [[1]] * 3_000\nt = [[1]] * 3_000", "x = s == t"),
    "looking for a Decimal": ("s = [Decimal('1.5')] * 3_000", "x = 5 in s"),
    "sums of Decimals": ("s = [Decimal('1.5')] * 3_000", "x = sum(s)"),
    "joining single characters": ("s = ['a'] * 60_000", "x = ''.join(s)"),
    "copies of dicts": ("d = {str(i): i for i in range(20_000)}", "x = d.copy()"),
    "unions of dicts": ("d = {str(i): i for i in range(3_000)}\ne = {i: i for i in range(3_000)}", "x = d | e"),
    "short methods": ("s = 'abc'", "x = s.find('c') + s.find('b') + s.find('a') + s.rfind('c')"),
    "short comparisons": ("s = 'abc'\nt = 'abd'", "x = s > t and s > t or t < s or s >= t"),
    "not in a short list": ("s = [1, 2]", "x = 3 in s or 4 in s or 5 in s"),
    "f-strings of large integers": ("a = 2**255", "x = f'{a}{a}{a}{a}'"),
    "modular powers": ("a = 2**255 - 19\nm = 2**255 - 31", "x = pow(a, m, m)"),
    "hashing what was just made": ("s = 'a' * 60_000\nd = {'a': 1}", "x = (s + 'b') in d"),
    "UTF-8 of wide text": ("s = chr(128_512) * 60_000", "x = s.encode().decode()"),
    "reading a list of lists": ("self.things['a'] = [[]] * 3_000", "x = self.things['a']"),
    "writing a list of lists": ("s = [[]] * 3_000", "self.things['a'] = s"),
    "writing entries": ("s = {str(i): i for i in range(1_000)}", "self.things['a'] = s"),
    "a value of many types": ("s = [''] * 3_000", "self.many.set(s)"),
    "calling another contract": ("s = [1] * 3_000", "x = self.call('other', 'back', [s])"),
    "reading what is not there": ("i = 0", "i += 1\nx = self.counts.get(i, 0)"),
    "new entries": ("i = 0", "i += 1\nself.counts[i] = 1"),
    "scans": ("for i in range(300):\n    self.counts[i] = 1", "x = self.counts.items(300)"),
    "events": ("s = [1] * 50", "self.emit(Told(text=s))"),
}
MEMORY = {
    "empty lists": ("k = []", "k.append([[] for i in range(60_000)])"),
    "empty dicts": ("k = []", "k.append([{} for i in range(60_000)])"),
    "dicts of one": ("k = []", "k.append([{'a': 1} for i in range(60_000)])"),
    "copies of small dicts": ("k = []\nd = {'a': 1}", "k.append([d.copy() for i in range(60_000)])"),
    "pairs": ("k = []\ns = [1] * 60_000", "k.append(list(zip(s, s)))"),
    "rows of eight": ("k = []\ns = [1] * 60_000", "k.append(list(zip(s, s, s, s, s, s, s, s)))"),
    "large integers": ("k = []", "k.append(list(range(2**254, 2**254 + 60_000)))"),
    "computed integers": ("k = []\na = 2**254", "k.append([a + i for i in range(60_000)])"),
    "widest texts": ("k = []\ns = chr(128_512) * 250_000", "k.append(s + 'a')"),
    "bytes": ("k = []", "k.append(bytes(500_000))"),
    "short texts": ("k = []", "k.append([str(i) for i in range(60_000)])"),
    "parts of a text": ("k = []\ns = 'ab ' * 60_000", "k.append(s.split(' '))"),
    "characters of a wide text": ("k = []\ns = chr(128_512) * 60_000", "k.append(list(s))"),
    "large dicts": ("k = []", "k.append({i: i for i in range(60_000)})"),
    "lists out of the state": ("k = []\nself.things['a'] = [[]] * 60_000", "k.append(self.things['a'])"),
    "dicts out of the state": ("k = []\nself.things['a'] = [{}] * 60_000", "k.append(self.things['a'])"),
    "lists out of another contract": ("k = []\ns = [[]] * 60_000", "k.append(self.call('other', 'back', [s]))"),
    "Decimals": ("k = []", "k.append([Decimal(i) for i in range(60_000)])"),
    "lists of one": ("k = []", "k.append([[i] for i in range(60_000)])"),
    "slices of lists": ("k = []\ns = [1] * 60_000", "k.append(s[1:])"),
    "one dict many times": ("s = [[{'a': 1}] * 60_000] * 60", "self.emit(Told(text=s))"),
    "entries written": ("i = 0", "i += 1\nself.counts[i] = 2**200 + i"),
}

_ABOVE = """from contracts import Contract, Decimal, Event, Map, Value, Var, call

class Told(Event):
    text: Value

class Worst(Contract):
    things: Map[str, Value]
    counts: Map[int, int]
    many: Var[list[int | bool | bytes | None | list[int] | list[str] | str]]

    @call
    def back(self, given: Value) -> Value:
        return given

    @call
    def run(self) -> None:
"""


@dataclass(frozen=True, slots=True)
class Worst:
    """What one program took: how the call ended, its gas, seconds of CPU, peak MiB of the process."""

    name: str
    code: str
    gas: int
    seconds: float
    mib: float


def source_of(setup: str, body: str) -> str:
    """A contract whose method `run` never ends by itself."""
    return f"{_ABOVE}{textwrap.indent(setup, ' ' * 8)}\n        while True:\n{textwrap.indent(body, ' ' * 12)}\n"


def run_here(name: str, gas: int) -> Worst:
    """Run one program in this process."""
    chain = LocalChain("mallory", parameters=Parameters(block_gas_max=10**12))
    setup, body = (TIME | MEMORY).get(name, ("pass", "pass"))
    for contract in ("worst", "other"):
        chain.deploy(source_of(setup, body) + f"# {contract}\n", contract, sender="mallory")
    calls: tuple[Any, ...] = ("worst", "run")
    if name == DEPLOYING:
        calls = ("system", "deploy", "dense", dense_source(), [])
    raw = chain.sign("mallory", calls, gas_limit=gas)
    before = time.thread_time()
    (outcome,) = chain.block(raw)
    seconds = time.thread_time() - before
    return Worst(name, outcome.code, outcome.gas_used, seconds, _peak_mib())


def _peak_mib() -> float:
    """The most memory that this program had: `ru_maxrss` would count what its parent had when it was started."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


DEPLOYING = "deploying dense code"


def run_apart(name: str, gas: int) -> Worst:
    """Run one program in a process of its own."""
    command = [sys.executable, "-m", "scripts.gas_worst", "--gas", str(gas), "--here", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        return Worst(name, f"host fault: {done.stderr.strip().splitlines()[-1:]}", 0, float("inf"), float("inf"))
    return Worst(**json.loads(done.stdout))


def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gas", type=int, default=GAS)
    parser.add_argument("--only", default="", help="programs whose name has this in it")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here is not None:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
        print(json.dumps(asdict(run_here(options.here, options.gas))))
        return
    found = [run_apart(name, options.gas) for name in (*TIME, *MEMORY, DEPLOYING) if options.only in name]
    for worst in sorted(found, key=lambda worst: (-worst.seconds, -worst.mib)):
        print(f"{worst.seconds:7.2f} s {worst.mib:7.0f} MiB {worst.gas:12,} gas  {worst.code:12} {worst.name}")
    bad = [worst.name for worst in found if worst.seconds > SECONDS_MAX or worst.mib > MEMORY_MIB_MAX]
    print(f"{len(found)} programs; above {SECONDS_MAX} s or {MEMORY_MIB_MAX} MiB: {', '.join(bad) or 'none'}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
