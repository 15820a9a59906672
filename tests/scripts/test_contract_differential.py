"""Random contracts in short: plain Python and the interpreter agree, hash seeds change nothing, a lie is found out."""

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from contracts import codes
from contracts.language import methods, statements
from ledger import codec
from scripts import contract_differential
from scripts.contract_differential import Campaign, digest_line, examine, reports
from scripts.contract_natives import Differs, _class_of, compare
from scripts.contract_programs import RandomProgram
from scripts.contract_steps import interpreted

PROGRAMS = 60


def test_they_agree_whatever_the_stack_the_cache_and_the_hash_seed():
    here = digest_line(0, PROGRAMS)
    assert here.differences == ()
    assert here.tally[codes.OK] > PROGRAMS
    assert len(here.tally) > 5  # failures of many kinds
    text = (
        f"from scripts.contract_differential import digest_line\nprint(digest_line(0, {PROGRAMS}, natively=False).line)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", text]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(here.line)


def differing(numbers):
    found = []
    for number in numbers:
        try:
            examine(number)
        except Differs as error:
            found.append(str(error))
    return found


FRESH = range(1_000, 1_000 + PROGRAMS)  # which no cache holds


def test_an_interpreter_that_computes_wrongly_is_found_out(monkeypatch):
    monkeypatch.setitem(methods.FUNCTIONS, "len", (1, 1, lambda _meter, value: len(value) + 1))
    assert differing(FRESH) != []


def test_a_failure_at_another_line_is_found_out(monkeypatch):
    honest = statements.place_failure
    monkeypatch.setattr(statements, "place_failure", lambda failure, line: honest(failure, line + 1))
    assert any("and in Python at random:" in said for said in differing(FRESH))


def test_a_fault_of_the_host_is_found_out(monkeypatch):
    def faulty(_meter, _value):
        raise RuntimeError("no")

    monkeypatch.setitem(methods.FUNCTIONS, "len", (1, 1, faulty))
    assert any("the host fails with RuntimeError('no')" in said for said in differing(range(2_000, 2_020)))


def test_gas_that_depends_on_the_stack_is_found_out(monkeypatch):
    honest, runs = contract_differential.interpreted, itertools.count()

    def dearer_the_second_time(program):
        extra = next(runs) % 2
        return [replace(step, gas=step.gas + extra) for step in honest(program)]

    monkeypatch.setattr(contract_differential, "interpreted", dearer_the_second_time)
    with pytest.raises(Differs, match="a deep stack and a warm cache change something"):
        examine(1)


def test_digests_are_held_against_those_of_another_python(tmp_path, capsys):
    path = tmp_path / "digests"
    assert Campaign(programs=3, digest=path).run() == 0
    assert Campaign(programs=3, against=path, natively=False).run() == 0
    path.write_text(path.read_text().replace('"gas": ', '"gas": 1'))
    assert Campaign(programs=3, against=path).run() == 1
    path.write_text("")
    assert Campaign(programs=3, against=path).run() == 1
    assert "1 DIFFERENCES" in capsys.readouterr().out


def test_several_processes_come_to_the_same_digests():
    ranges = [(0, 3), (3, 3), (6, 2)]
    alone = [report.line for report in reports(ranges, natively=True, jobs=1)]
    assert [report.line for report in reports(ranges, natively=True, jobs=2)] == alone


def test_an_event_holds_what_was_emitted_whatever_becomes_of_the_list():
    source = """from contracts import Contract, Event, call

class Listed(Event):
    items: list[int]

class Lists(Contract):
    @call
    def run(self) -> None:
        items = [1, 2]
        self.emit(Listed(items=items))
        items.reverse()
"""
    lists = _class_of(source, "Lists")()
    lists.run()
    assert lists.ctx.events[0].items == [1, 2]


# ── what the campaign has found ───────────────────────────────────────────────────────────────────

FOUND = {
    "arguments are evaluated before any of them is looked at": (
        "self.owners.get('No!', [][0])",
        codes.INDEX_ERROR,
    ),
    "and those of pop": ("self.owners.pop('No!', [][0])", codes.INDEX_ERROR),
    "and those of a call": ("self.call(5, 'add', [[][0]])", codes.INDEX_ERROR),
    "and those of sorted": ("sorted([], reverse=[][0])", codes.INDEX_ERROR),
    "a message is a text": ("require(xs == [], ('no', 1))", codes.BAD_TYPE),
    "what sorted takes may change until it begins": ("sorted(xs, reverse=xs.pop() > 2)", [2, 1]),
    "bytes are split at blanks": ("b' a  b '.split()", [b"a", b"b"]),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found(name):
    expression, outcome = FOUND[name]
    source = f"""from contracts import Address, Contract, Map, Value, call, init, require

class Random(Contract):
    owners: Map[Address, int]

    @init
    def create(self, start: int) -> None:
        pass

    @call
    def first(self) -> Value:
        xs = [1, 2, 3]
        return {expression}
"""
    program = RandomProgram(0, source, (("create", [1]), ("first", [])))
    steps = interpreted(program)
    compare(program, steps)
    last = steps[-1]
    assert (last.code if isinstance(outcome, str) else codec.decode(last.result)) == outcome
