"""Run contract cases in this process and print one JSON line for each: started by `test_cases.py`, never imported.

usage: case_runner.py STACK_DEPTH CASE...

A case is a module with a function `attack()`. What is called on a chain is a contract, so each is wrapped: its text
is kept as it is, line by line, and a contract is put below it whose one method returns `attack()`. Cases that use
state have their function moved into the contract, and the neutral names kv_get, kv_put, kv_call, emit and CALLER
become the state, calls and events of this project.
"""

import json
import re
import resource
import signal
import sys
import time
from pathlib import Path

from contracts import check, codes
from contracts.testing import LocalChain

MEMORY_BYTES = 768 << 20
CPU_SECONDS = 100
CASE_SECONDS = 30
GAS_LIMIT = 50_000_000

IMPORTS = "from contracts import Contract, Error, Event, List, Map, Value, Var, call, init, require, view\n"
BELOW = """
class Case(Contract):
    @call
    def run_case(self) -> Value:
        return attack()
"""
AROUND = """
class Emitted(Event):
    name: str
    data: dict[str, Value]

class Case(Contract):
    data: Map[str, Value]

    def kv_get(self, key, default):
        return self.data.get(key, default)

    def kv_put(self, key, value):
        if value is None:
            self.data.pop(key, None)
        else:
            self.data[key] = value

    def kv_emit(self, name, data):
        self.emit(Emitted(name=name, data=data))

    @view
    def peek(self, key: str) -> Value:
        return self.data.get(key)

"""
OTHER = (
    IMPORTS
    + """
class Other(Contract):
    @call
    def append_two(self, items: list[int]) -> None:
        items.append(2)
"""
)
TOKEN = (
    IMPORTS
    + """
class Token(Contract):
    @call
    def transfer(self, to: str, amount: int) -> None:
        require(amount > 0, "amount")

    @call
    def whoami(self) -> str:
        return self.ctx.sender
"""
)


def wrapped(source: str) -> str:
    """The case as a contract."""
    if "# NEEDS:" not in source:
        return source + "\n" + IMPORTS + BELOW
    head, function = source.split("def attack():\n")
    function = re.sub(r"\bkv_call\(", "self.call(", function)
    function = re.sub(r"\b(kv_get|kv_put)\(", r"self.\1(", function)
    function = re.sub(r"\bemit\(", "self.kv_emit(", function)
    function = re.sub(r"\bCALLER\b", "self.ctx.sender", function)
    function = re.sub(r"\bValueError\(", "Error(", function)
    inside = "".join(["    " + line for line in function.splitlines(keepends=True)])
    return head + IMPORTS + AROUND + "    @call\n    def run_case(self) -> Value:\n" + inside


def run(path: Path) -> dict:
    """Deploy and call one case. The result has what every machine must agree on, and what this one measured."""
    text = wrapped(path.read_bytes().decode())
    started = time.process_time()
    problems = check(text)
    if problems:
        first = problems[0]
        told = [first.code, first.message] if first.code == "syntax" else [str(problem) for problem in problems]
        return {"outcome": "refused", "problems": told, "seconds": time.process_time() - started}
    chain = LocalChain("mallory")
    for name, source in (("other", OTHER), ("token", TOKEN), ("self", text.replace("'attack'", "'run_case'"))):
        chain.deploy(source, name)
    started = time.process_time()
    outcome = chain.call("mallory", "self", "run_case", gas_limit=GAS_LIMIT, check=False)
    result = {
        "outcome": outcome.code,
        "message": outcome.message,
        "line": outcome.line,
        "gas": outcome.gas_used,
        "result": repr(outcome.result),
        "events": len(chain.events_of("self")),
        "seconds": time.process_time() - started,
    }
    if "# NEEDS:" in text:
        result["left"] = [
            key for key in ("d", "l", "w", "v", "k", "bal") if chain.view("self", "peek", key) is not None
        ]
    assert outcome.code in codes.ALL
    return result


def deeper(levels: int, path: Path) -> dict:
    """Run a case from deep inside the host's stack."""
    return run(path) if levels == 0 else deeper(levels - 1, path)


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    depth, *paths = sys.argv[1:]
    for path in map(Path, paths):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        signal.alarm(CASE_SECONDS)
        result = deeper(int(depth), path)
        signal.alarm(0)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"case": path.name, "kib": after - before, **result}), flush=True)


if __name__ == "__main__":
    main()
