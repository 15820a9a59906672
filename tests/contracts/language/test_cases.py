"""Attacks on the contract language, and controls: each meets what its first line expects.

All run in two child processes with limits on memory and time, one with another hash seed and from deep in the host's
stack; what a machine must agree on has to be the same in both.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = sorted((Path(__file__).parents[2] / "vectors" / "contracts").glob("*.py"))
RUNNER = Path(__file__).with_name("case_runner.py")
MEASURED = {"seconds", "kib"}
SECONDS_MAX = 1.0
KIB_MAX = 64 << 10
BOUNDED = {
    "arithmetic",
    "size_limit",
    "out_of_gas",
    "bad_type",
    "bad_value",
    "bad_arguments",
    "key_error",
    "index_error",
}
VALUES = {
    "131_str_find_quadratic": "-50",
    "251_mutate_returned_nested": "1",
    "253_mutate_after_put": "[1]",
    "255_alias_cross_contract_argument": "[1]",
    "257_iterate_while_writing": "3",
    "287_ok_transfer": "70",
    "289_ok_while_break": "10",
    "291_ok_fstring_plain": "'total 42'",
    "293_ok_list_comprehension": "[0, 4, 16]",
    "295_ok_tuple_unpack_slice": "[2, 1, 'bc']",
    "297_ok_names_resembling_hooks": "3",
}
STATE_OUTCOMES = {
    "259_call_depth_bomb": "reentrancy",
    "261_write_then_raise": "failed",
    "263_key_type_confusion": "bad_type",
    "265_key_unicode_confusable": "refused",
    "267_key_exotic_types": "refused",
    "269_value_unserialisable": "refused",
    "271_value_cyclic": "bad_type",
    "273_value_dict_nonstring_keys": "bad_type",
    "275_write_delete_refund": "out_of_gas",
    "277_amount_bool": "bad_arguments",
    "279_amount_overflow": "arithmetic",
    "281_caller_spoof_kwarg": "refused",
    "283_call_name_traversal": "unknown_contract",
    "285_event_unserialisable": "refused",
}


def start(seed, depth):
    root = Path(__file__).parents[3]
    environment = {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(root), "PATH": os.environ.get("PATH", "")}
    command = [sys.executable, str(RUNNER), str(depth), *map(str, CASES)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def runs():
    """The results of both children, by case name."""
    children = [start(0, 0), start(4242, 600)]
    results = []
    for child in children:
        out, _ = child.communicate(timeout=110)
        lines = [json.loads(line) for line in out.splitlines()]
        results.append({line.pop("case").removesuffix(".py"): line for line in lines})
        assert child.returncode == 0, f"a case killed the child, after {list(results[-1])[-1:]}"
    return results


def test_there_are_all_of_them():
    assert len(CASES) == 149


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path, runs):
    first, second = (run[path.stem] for run in runs)
    assert {key: value for key, value in first.items() if key not in MEASURED} == {
        key: value for key, value in second.items() if key not in MEASURED
    }
    assert first["seconds"] < SECONDS_MAX
    assert first["kib"] < KIB_MAX
    expected = path.read_bytes().split(b"\n", 1)[0].split()[2].decode()
    outcome = first["outcome"]
    if expected == "REJECT":
        assert outcome == "refused"
    elif expected == "OUT_OF_GAS":
        assert outcome in {"refused", "out_of_gas", "size_limit", "arithmetic"}
    elif expected == "ACCEPT":
        assert outcome == "ok"
    elif expected == "STATE":
        assert outcome == STATE_OUTCOMES.get(path.stem, "ok")
    else:
        assert expected in {"REJECT_OR_FAIL", "FAIL_BOUNDED", "DETERMINISTIC"}
        assert outcome in BOUNDED | {"refused"} or path.stem in VALUES
    if outcome == "ok":
        assert first["result"] == VALUES[path.stem]


def test_a_failed_call_leaves_no_writes_and_no_events(runs):
    found = runs[0]["261_write_then_raise"]
    assert (found["left"], found["events"]) == ([], 0)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_messages_show_nothing_of_the_host(path, runs):
    text = json.dumps(runs[0][path.stem])
    assert " at 0x" not in text
    assert "Traceback" not in text
    assert "object" not in runs[0][path.stem].get("message", "")
