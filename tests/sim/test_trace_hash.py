"""A run is the same to the last action on every Python, on every machine, under every hash seed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from consensus import committee
from consensus.simulation.campaign import play
from scripts import trace_hashes

ROOT = Path(__file__).parent.parent.parent
PYTHONS = [found for minor in range(11, 20) if (found := shutil.which(f"python3.{minor}"))]


def hashes(python, hash_seed):
    """The hash of every fixed plan, as another process finds it."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    words = [python, "-m", "scripts.trace_hashes"]
    ended = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert not ended.stderr
    return re.findall("seed [0-9]+  [0-9a-f]{64}", ended.stdout)


@pytest.fixture(scope="module")
def here():
    """The hashes in this process."""
    return [f"seed {plan.seed}  {play(plan).fingerprint}" for _, plan in trace_hashes.read()]


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_the_hash_of_a_run_does_not_depend_on_the_hash_seed(here, hash_seed):
    assert hashes(sys.executable, hash_seed) == here


def able(python):
    """Whether it has what `consensus` needs."""
    words = [python, "-c", "import consensus.simulation"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return not subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False).returncode


def test_nor_on_the_python(here):
    """Of every other Python of this machine that can play at all; how to get one is told in docs/simulator.md."""
    for python in filter(able, PYTHONS):
        assert hashes(python, "random") == here, python


def test_the_fixed_plans_go_as_is_written_down(here):
    expected = [f"seed {plan.seed}  {fingerprint}" for fingerprint, plan in trace_hashes.read()]
    assert here == expected, "after a change of the protocol: python -m scripts.trace_hashes --renew"


def test_the_fixed_plans_are_worth_comparing():
    plans = [plan for _, plan in trace_hashes.read()]
    assert {plan.members for plan in plans} >= {4, 7, 10}
    assert any(plan.byzantine for plan in plans)
    assert any(plan.disturbances for plan in plans)
    assert len({expected for expected, _ in trace_hashes.read()}) == len(plans)


def test_a_run_that_differs_is_noticed(monkeypatch, tmp_path, capsys):
    _, plan = trace_hashes.read()[0]
    expected = play(plan).fingerprint
    wrong = expected[:-1] + ("0" if expected[-1] != "0" else "1")
    monkeypatch.setattr(trace_hashes, "FILE", tmp_path / "trace_hashes.txt")
    trace_hashes.FILE.write_text(f"{wrong} {plan.encode()}\n")
    assert trace_hashes.main([]) == 1
    assert capsys.readouterr().out.startswith(f"DIFFERS  seed {plan.seed}  {expected}")
    assert trace_hashes.main(["--renew"]) == 0
    assert trace_hashes.read() == [(expected, plan)]
    assert trace_hashes.main(["--nonsense"]) == 2


def test_a_run_that_breaks_a_rule_is_not_written_down(monkeypatch, tmp_path, capsys):
    _, plan = trace_hashes.read()[0]
    monkeypatch.setattr(committee, "quorum_power", lambda total: (total - 1) // 3 + 1)
    monkeypatch.setattr(trace_hashes, "FILE", tmp_path / "trace_hashes.txt")
    trace_hashes.FILE.write_text(f"{'0' * 64} {plan.encode()}\n")
    assert trace_hashes.main(["--renew"]) == 1
    assert trace_hashes.FILE.read_text().startswith("0" * 64)
    assert "DIFFERS" in capsys.readouterr().out
