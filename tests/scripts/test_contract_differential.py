"""Random contracts in short: plain Python and the interpreter agree, hash seeds change nothing, a lie is found out."""

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from contracts import codes
from contracts.language import check, methods
from scripts import contract_differential
from scripts.contract_differential import Differs, digest_line, examine
from scripts.contract_grammar import EXPRESSIONS, LEAVES
from scripts.contract_programs import Dice, random_program

PROGRAMS = 40


def test_the_dice_are_those_of_splitmix64():
    dice = Dice(0)
    assert [dice.below(1 << 64) for _ in range(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_programs_are_contracts_with_state_loops_calls_and_failures():
    sources = [random_program(number).source for number in range(PROGRAMS)]
    assert len(set(sources)) == PROGRAMS
    assert [check(source) for source in sources] == [[]] * PROGRAMS
    everything = "\n".join(sources)
    for part in ("for ", "while ", "if ", "self.call(", "self.emit(", "Decimal(", "self.log.append("):
        assert part in everything


def test_every_kind_of_thing_has_a_leaf():
    assert set(EXPRESSIONS) <= set(LEAVES)


def test_they_agree_whatever_the_stack_the_cache_and_the_hash_seed():
    tally = Counter()
    here = digest_line(0, PROGRAMS, tally)
    assert tally[codes.OK] > PROGRAMS
    assert len(tally) > 5  # failures of many kinds
    text = (
        "from collections import Counter\n"
        "from scripts.contract_differential import digest_line\n"
        f"print(digest_line(0, {PROGRAMS}, Counter()))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", text]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(here)


def differing(numbers):
    found = 0
    for number in numbers:
        try:
            examine(number)
        except Differs:
            found += 1
    return found


def test_an_interpreter_that_computes_wrongly_is_found_out(monkeypatch):
    monkeypatch.setitem(methods.FUNCTIONS, "len", (1, 1, lambda _meter, value: len(value) + 1))
    assert differing(range(1_000, 1_000 + PROGRAMS)) > 0  # which no cache holds


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
    assert contract_differential._campaign(0, 3, path, None) == 0
    assert contract_differential._campaign(0, 3, None, path) == 0
    path.write_text(path.read_text().replace('"gas": ', '"gas": 1'))
    assert contract_differential._campaign(0, 3, None, path) == 1
    assert "programs from 0 on" in capsys.readouterr().out


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
    lists = contract_differential._class_of(source, "Lists")()
    lists.run()
    assert lists.ctx.events[0].items == [1, 2]
