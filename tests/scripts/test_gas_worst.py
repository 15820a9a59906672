"""The worst programs that were found, in short: with a tenth of the gas they take a tenth of the time, and all of the
memory stays below the bar. A machine that does other things as well may take twice as long.
"""

import pytest

from scripts import gas_worst
from scripts.gas_worst import DEPLOYING, GAS, MEMORY, MEMORY_MIB_MAX, SECONDS_MAX, TIME, Worst, run_apart, run_here

# Those that came nearest to a bar, and those that were above one before their price was mended.
SLOWEST = ("a value of many types", "not in a short list", "writing a list of lists", "looking for a Decimal")
LARGEST = ("lists of one", "copies of small dicts", "lists out of the state", "widest texts")


@pytest.mark.parametrize("name", SLOWEST)
def test_a_tenth_of_the_gas_takes_no_more_than_its_share_of_time(name):
    found = run_apart(name, GAS // 10)  # a collection of garbage looks at all of a process, this one's too
    assert (found.code, found.gas) == ("out_of_gas", GAS // 10)
    assert found.seconds < 2 * SECONDS_MAX / 10


@pytest.mark.parametrize("name", LARGEST)
def test_all_the_gas_of_a_transaction_takes_no_more_memory_than_the_executor_may_have(name):
    found = run_apart(name, GAS)
    assert found.code in ("out_of_gas", "size_limit")
    assert found.mib < MEMORY_MIB_MAX


def test_every_program_is_a_contract_and_ends_at_a_limit_or_well():
    found = {name: run_here(name, 2_000_000).code for name in (*TIME, *MEMORY)}
    assert set(found.values()) <= {"out_of_gas", "size_limit"}


def test_what_is_above_a_bar_is_named_and_an_exit_code(monkeypatch, capsys):
    slow = Worst("slow", "ok", 1, SECONDS_MAX + 1, 10.0)
    fine = Worst("fine", "ok", 1, 0.1, 1.0)
    monkeypatch.setattr(gas_worst, "run_apart", lambda name, _gas: slow if name == DEPLOYING else fine)
    monkeypatch.setattr("sys.argv", ["gas_worst"])
    with pytest.raises(SystemExit) as left:
        gas_worst.main()
    assert left.value.code == 1
    assert "or 256 MiB: slow" in capsys.readouterr().out
