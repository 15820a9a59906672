"""The table of gas leaves no primitive out, every row of it runs, and what it prints is what it measured."""

import re

import pytest

from contracts.language import compile_source, state, unit
from contracts.language.expressions import BINARY
from contracts.language.methods import METHODS
from ledger.state import State
from scripts import gas_table
from scripts.gas_host import HOST_ROWS, HostBench, transaction_rows
from scripts.gas_rows import rows
from scripts.gas_table import Effort, Figure, language_figure, ratio, slope, source_of, table, timed

ROWS = rows()
BODIES = "\n".join(f"{row.setup}\n{row.body}" for row in ROWS)
HOST_BODIES = "\n".join(f"{row.setup}\n{row.body}" for row in HOST_ROWS)
SYMBOLS = {"Add": "+", "Sub": "-", "Mult": "*", "FloorDiv": "//", "Mod": "%", "Pow": "**", "Div": "/"} | {
    "LShift": "<<",
    "RShift": ">>",
    "BitAnd": "&",
    "BitOr": "|",
    "BitXor": "^",
}


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_every_method_of_every_type_has_a_row(kind):
    assert [name for name in METHODS[kind] if f".{name}(" not in BODIES] == []


def test_every_function_and_every_operator_has_a_row():
    functions = unit.FUNCTION_NAMES | {"sha256", "Decimal", "Address", "require"}
    assert [name for name in sorted(functions) if not re.search(rf"\b{name}\(", BODIES)] == []
    assert [kind.__name__ for kind in BINARY if f" {SYMBOLS[kind.__name__]} " not in BODIES] == []


def test_every_use_of_state_has_a_row():
    names = {name for methods in state._METHODS.values() for name in methods}
    assert [name for name in sorted(names) if f".{name}(" not in HOST_BODIES] == []


def test_names_of_rows_are_unique():
    names = [row.name for row in ROWS] + [row.name for row in HOST_ROWS]
    assert len(names) == len(set(names)) > 400


def test_every_row_of_the_language_runs_and_costs_gas():
    for row in ROWS:
        run = timed(compile_source(source_of(row.setup, row.body)))
        assert run(1)[1] > run(0)[1], row.name


def test_every_row_of_the_runtime_runs_and_costs_gas(tmp_path):
    store = State.open(tmp_path / "state")
    bench = HostBench(store)
    for number, row in enumerate(HOST_ROWS):
        assert bench.row(number, 2)[1] > bench.row(number, 0)[1], row.name
    for name, _, run in transaction_rows(bench):
        assert run(1)[1] > run(0)[1], name
    store.close()


def test_a_slope_is_what_one_turn_takes_besides_what_none_takes(monkeypatch):
    monkeypatch.setattr(gas_table, "_paced", lambda run, turns: run(turns))
    assert slope(lambda n: (5.0 + 2.0 * n, 100 + 30 * n), Effort(1.0, 2), 1 << 40) == (2.0, 30.0)
    assert slope(lambda n: (5.0 + 2.0 * n, 100 + 30 * n), Effort(100.0, 2), 4) == (2.0, 30.0)


def test_seconds_are_those_of_the_machine_as_it_was_at_first(monkeypatch):
    monkeypatch.setattr(gas_table, "_pace_at_first", lambda: 1.0)
    monkeypatch.setattr(gas_table, "_reference", lambda: 4.0)
    assert gas_table._paced(lambda n: (8.0 * n, n), 2) == (4.0, 2)


def test_a_row_stands_without_the_loop_around_it():
    (row,) = [row for row in ROWS if row.name == "name = constant"]
    assert language_figure(row, Effort(0.0, 1), (0.0, 0.0)).gas > language_figure(row, Effort(0.0, 1), (0.0, 50.0)).gas
    assert language_figure(row, Effort(0.0, 1), (0.0, 50.0)).gas == 25  # a statement, a constant, a name


MIDDLE = ["1", "more,", "the", "middle", "one", "2.00"]
FIGURES = [Figure("dear", 100e-9, 10.0), Figure("middle", 20e-9, 10.0), Figure("cheap", 10e-9, 20.0)]


def test_the_table_has_the_dearest_first_and_leaves_out_the_middle():
    whole, short = table(FIGURES, 3).splitlines(), table(FIGURES, 1).splitlines()
    assert [line.split()[0] for line in whole[1:]] == ["10.00", "2.00", "0.50"]
    assert (short[1], short[2].split(), short[3]) == (whole[1], ["...", *MIDDLE], whole[3])


@pytest.mark.parametrize(("figures", "code"), [(FIGURES, 0), ([*FIGURES, Figure("free", 1e-9, 10.0)], 1)])
def test_gas_that_is_not_honest_is_an_exit_code(monkeypatch, capsys, figures, code):
    monkeypatch.setattr(gas_table, "language_figures", lambda *_: figures)
    monkeypatch.setattr(gas_table, "host_figures", lambda *_: [])
    monkeypatch.setattr("sys.argv", ["gas_table"])
    with pytest.raises(SystemExit) as left:
        gas_table.main()
    assert left.value.code == code
    assert f"dearest to cheapest {ratio(figures):.1f}" in capsys.readouterr().out
