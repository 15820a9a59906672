"""`quorate simulate` as a person uses it: what is typed, what is printed, and with which exit code it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from consensus import committee
from consensus.simulation import Plan, swarm
from consensus.simulation.campaign import Outcome, combined, plan_of, play
from network.cli import main, simulate, workers
from network.cli.failing_runs import read_plan
from network.cli.progress import Progress
from network.cli.workers import Lost, Played

CALM = Plan(seed=1, transactions=3, heal_ms=1000)


@pytest.fixture
def quorate(monkeypatch, capsys, tmp_path):
    """Types a command line in this process, in an empty directory: (exit code, lines of stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def type_it(*given):
        monkeypatch.setattr(sys, "argv", ["quorate", "simulate", *map(str, given)])
        with pytest.raises(SystemExit) as ended:
            main()
        found = capsys.readouterr()
        return int(ended.value.code or 0), found.out.splitlines(), found.err

    return type_it


@pytest.fixture
def broken(monkeypatch):
    """A quorum that is far too small: that is noticed at once."""
    monkeypatch.setattr(committee, "quorum_power", lambda total: (total - 1) // 3 + 1)


def failing_seed():
    return next(seed for seed in range(300) if play(plan_of(seed)).kind)


# ── a campaign ────────────────────────────────────────────────────────────────────────────────────


def test_a_campaign_without_a_violation_ends_with_its_summary(quorate):
    code, lines, _ = quorate("--seeds", 3, "--first-seed", 20, "--jobs", 1, "--minimise", 0)
    outcomes = [play(swarm(seed)) for seed in (20, 21, 22)]
    assert code == 0
    (line,) = lines
    simulated = sum(each.simulated_ms for each in outcomes) // 1000
    assert line.startswith(f"3 seeds, 0 violations, {simulated} simulated seconds, ")
    assert re.search(r"\d+ seeds/min \(\d+ a core\), first commit after healing within 2 time-outs \d+\.\d\d%", line)
    assert line.endswith(f"trace {combined(outcomes)}")


def test_the_number_of_processes_changes_nothing_but_the_pace(quorate):
    def of(jobs):
        code, lines, _ = quorate("--seeds", 4, "--validators", "4,7", "--minimise", 0, "--jobs", jobs)
        return code, re.sub(r"\d+ seeds/min \(\d+ a core\)", "", lines[-1])

    assert of(1) == of(2)


def test_for_a_machine_it_is_one_line_of_json(quorate):
    code, lines, _ = quorate("--seeds", 2, "--jobs", 1, "--json")
    (line,) = lines
    found = json.loads(line)
    assert (code, found["seeds"], found["violations"], found["lost"], found["reasons"]) == (0, 2, [], {}, [])
    assert found["trace"] == combined([play(swarm(0)), play(swarm(1))])


def test_a_violation_is_told_minimised_and_replayed_with_one_command(quorate, broken, tmp_path):
    seed = failing_seed()
    code, lines, _ = quorate("--seeds", 1, "--first-seed", seed, "--minimise", 8)
    assert code == 1
    assert lines[0].startswith(f"seed {seed}: member ")
    assert lines[1].startswith("  plan, made smaller in ")
    assert lines[2] == f"  {read_plan(tmp_path / f'simulate-{seed}.json').encode()}"  # a line for seeds.txt
    (violation,) = [line for line in lines if "!! VIOLATION" in line]
    assert any(re.search(r" m\d  (<-|->|persists) .*PREPARE v\d+ h\d+ d=", line) for line in lines)
    assert f"  replay: quorate simulate --plan simulate-{seed}.json --trace" in lines
    assert f"  replay: quorate simulate --first-seed {seed} --seeds 1 --trace" in lines
    assert lines[-2] == "FAILED: seeds with a violation: 1"
    assert lines[-1].startswith("1 seeds, 1 violations, ")

    code, replayed, _ = quorate("--plan", f"simulate-{seed}.json", "--trace")
    assert code == 1
    assert violation in replayed
    assert len(replayed) > len(lines)


def test_a_violation_for_a_machine(quorate, broken):
    seed = failing_seed()
    code, lines, _ = quorate("--seeds", 1, "--first-seed", seed, "--minimise", 0, "--json")
    (found,) = json.loads(lines[-1])["violations"]
    assert code == 1
    assert (found["seed"], found["kind"]) == (seed, play(plan_of(seed)).kind)
    assert found["transcript"][-1].endswith(found["violation"])
    assert found["replay"][0] == f"quorate simulate --plan simulate-{seed}.json --trace"


def test_many_violations_are_all_named_and_the_first_ones_told(quorate, monkeypatch):
    def failing(plan, watch=None):
        return _failed(play(CALM, watch), plan.seed)

    monkeypatch.setattr(workers, "play", failing)
    monkeypatch.setattr("network.cli.failing_runs.play", failing)
    code, lines, _ = quorate("--seeds", 5, "--jobs", 1, "--minimise", 0)
    assert code == 1
    assert [line for line in lines if line.startswith("seed ")] == [f"seed {seed}: no luck" for seed in range(5)]
    assert sum("--plan simulate-" in line for line in lines) == simulate.SHOWN_MAX
    assert "  replay: quorate simulate --first-seed 4 --seeds 1 --trace" in lines
    assert lines[-2] == "FAILED: seeds with a violation: 5"


def _failed(outcome, seed):
    return Outcome(seed, 4, outcome.fingerprint, outcome.simulated_ms, 1000, None, "luck", "no luck")


def test_a_run_that_cannot_be_repeated_is_said_to_be_none(quorate, monkeypatch):
    monkeypatch.setattr(workers, "play", lambda plan: _failed(play(CALM), plan.seed))
    code, lines, _ = quorate("--seeds", 1, "--jobs", 1)
    assert code == 1
    assert "the run is not deterministic" in lines[1]


def test_a_dead_process_fails_the_campaign_by_name(quorate, monkeypatch):
    def spread(seeds, sizes, jobs):
        yield Played(play(CALM), 0.1)
        yield Lost(1, "killed by SIGKILL")

    monkeypatch.setattr(workers, "spread", spread)
    code, lines, _ = quorate("--seeds", 2, "--first-seed", 1)
    assert code == 1
    assert lines[:2] == ["seed 1: its process was lost: killed by SIGKILL", "FAILED: seeds whose process died: 1"]


def test_a_campaign_whose_processes_all_die_gives_up(quorate, monkeypatch):
    monkeypatch.setattr(
        workers, "spread", lambda seeds, sizes, jobs: (Lost(seed, "killed by SIGKILL") for seed in seeds)
    )
    code, lines, _ = quorate("--seeds", 100)
    assert code == 1
    assert f"FAILED: seeds whose process died: {simulate.LOST_MAX}" in lines
    assert f"FAILED: given up: {100 - simulate.LOST_MAX} seeds were not played" in lines


def test_slowness_fails_a_campaign_too(quorate, monkeypatch):
    def slow(plan):
        return Outcome(plan.seed, 4, "aa", 20_000, 1000, 10_000)

    monkeypatch.setattr(workers, "play", slow)
    code, lines, _ = quorate("--seeds", 1, "--jobs", 1)
    assert code == 0
    assert "within 2 time-outs 0.00%, worst 10.00 (seed 0)" in lines[-1]
    code, lines, _ = quorate("--seeds", 2, "--jobs", 1)
    assert code == 1
    assert lines[0].startswith("FAILED: seeds whose first commit after healing took more than 2 time-outs: 2")


# ── an interrupt ──────────────────────────────────────────────────────────────────────────────────


def test_an_interrupt_ends_with_the_summary_of_what_was_played(quorate, monkeypatch):
    def spread(seeds, sizes, jobs):
        yield Played(play(CALM), 0.1)
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "spread", spread)
    code, lines, _ = quorate("--seeds", 50)
    assert code == 130
    assert lines[0] == "FAILED: interrupted after 1 of 50 seeds"
    assert lines[1].startswith("1 seeds, 0 violations")


FIRST_WORKER = """
import signal
from pathlib import Path
from network.cli.workers import _Worker
worker = _Worker((4,))
blocked = next(line for line in Path(f"/proc/{worker.process.pid}/status").open() if line.startswith("SigBlk"))
print(int(blocked.split()[1], 16) >> (signal.SIGINT - 1) & 1)
worker.process.kill()
"""


def test_also_the_first_worker_leaves_interrupts_to_its_parent():
    """With the first one Python starts a process of its own, and lets interrupts through again."""
    done = subprocess.run([sys.executable, "-c", FIRST_WORKER], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize("how", ["to all of them, as a terminal does", "to the campaign alone, as a time limit does"])
def test_a_campaign_that_is_ended_sums_up_and_leaves_no_process_behind(tmp_path, how):
    words = ["env", "--default-signal=INT"]  # which a shell's background jobs ignore
    words += [sys.executable, "-m", "network.cli", "simulate", "--seeds", "100000", "--validators", "4", "--jobs", "2"]
    with subprocess.Popen(
        words,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as campaign:
        try:
            workers_of(campaign.pid, 2)
            if "terminal" in how:
                os.killpg(campaign.pid, signal.SIGINT)
            else:
                campaign.terminate()
            out, err = campaign.communicate(timeout=30)
        finally:
            campaign.kill()
    assert campaign.returncode == 130
    assert "Traceback" not in err
    assert re.match(r"\d+ seeds, 0 violations", out.splitlines()[-1])
    assert nobody_left(campaign.pid)


def nobody_left(group):
    """Whether the process group is empty, soon: what watches over shared memory ends a moment after the rest."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def workers_of(pid, count):
    """Wait until a campaign has started so many processes, and they work."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        spawned = [each for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]
        if len(spawned) == count:
            return
        time.sleep(0.05)
    raise AssertionError("the campaign started no processes")


# ── a single run ──────────────────────────────────────────────────────────────────────────────────


def test_a_plan_is_played_as_it_stands(quorate, tmp_path):
    (tmp_path / "plan.json").write_text(CALM.encode())
    code, lines, _ = quorate("--plan", "plan.json")
    assert (code, len(lines)) == (0, 1)
    assert lines[0].endswith(combined([play(CALM)]))


def test_a_trace_shows_everything(quorate, tmp_path):
    (tmp_path / "plan.json").write_text(CALM.encode())
    code, lines, _ = quorate("--plan", "plan.json", "--trace")
    assert code == 0
    for words in ("STATUS v0 by", "-> all PRE-PREPARE v0 h1", "SetTimer", "== sealed h1"):
        assert any(words in line for line in lines)


def test_a_trace_of_a_seed(quorate):
    code, lines, _ = quorate("--seeds", 1, "--first-seed", 3, "--trace", "--minimise", 0)
    assert code == 0
    assert lines[0].startswith("seed 3: ")
    assert any("== sealed h1" in line for line in lines)
    assert lines[-1].endswith(combined([play(swarm(3))]))


# ── what cannot be read ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--seeds", 0], "greater than or equal to 1"),
        (["--seeds", "many"], "valid integer"),
        (["--first-seed", -1], "greater than or equal to 0"),
        (["--first-seed", 1 << 63], "less than or equal to"),
        (["--jobs", 0], "greater than or equal to 1"),
        (["--validators", "3,x"], "'3' is no size of a network: expected numbers from 4 to 40"),
        (["--validators", "4,x"], "'x' is no size of a network"),
        (["--validators", ""], "'' is no size of a network"),
        (["--validators", "4,41"], "'41' is no size of a network"),
        (["--validators", "4,٧"], "'٧' is no size of a network"),
        (["--trace"], "it takes a single run: --seeds 1, or --plan FILE"),
        (["--plan", "nowhere.json"], "nowhere.json: No such file or directory"),
        (["--plan", "."], "Is a directory"),
        (["--plan", "plan.json", "--seeds", 5], "leave out --seeds"),
    ],
)
def test_a_command_that_cannot_be_read(quorate, given, says):
    code, lines, err = quorate(*given)
    assert (code, lines) == (2, [])
    assert says in " ".join(err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "truncated"),
        ("{", "truncated"),
        ("[]", "Expected `object`, got `array`"),
        ("{}", "missing required field `seed`"),
        ('{"seed": 1, "mebmers": 4}', "contains unknown field `mebmers`"),
        ('{"seed": "one"}', "Expected `int`, got `str` - at `$.seed`"),
    ],
)
def test_a_file_that_is_no_plan(quorate, tmp_path, text, says):
    (tmp_path / "plan.json").write_text(text)
    code, _, err = quorate("--plan", "plan.json")
    assert code == 2
    assert says in " ".join(err.replace("│", " ").split())


# ── how it is getting on ──────────────────────────────────────────────────────────────────────────


class Stream:
    def __init__(self, terminal):
        self.text, self.isatty = "", lambda: terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_progress_is_redrawn_on_a_terminal_and_taken_back(monkeypatch):
    clock = iter([1.0, 1.1, 2.0])
    monkeypatch.setattr("network.cli.progress.time.monotonic", lambda: next(clock))
    stream = Stream(terminal=True)
    progress = Progress(stream)
    for line in ("100 of 300 seeds", "101 of 300 seeds", "200"):
        progress.show(line)
    progress.clear()
    assert stream.text == "\r100 of 300 seeds\r200             \r   \r"


def test_elsewhere_progress_is_a_line_now_and_then(monkeypatch):
    clock = iter([0.0, 1.0, 10.0, 11.0, 20.0])
    monkeypatch.setattr("network.cli.progress.time.monotonic", lambda: next(clock))
    stream = Stream(terminal=False)
    progress = Progress(stream)
    for count in range(4):
        progress.show(f"{count} of 4 seeds")
    progress.clear()
    assert stream.text == "1 of 4 seeds\n3 of 4 seeds\n"
