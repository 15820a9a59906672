"""The attack on replicas: short, repeatable, and able to find what is broken on purpose."""

import json
import sys

import pytest

from consensus import core, ordering, view_change
from consensus.replica import Replica
from scripts import fuzz_replica
from scripts.fuzz_inputs import TOO_LARGE
from scripts.fuzz_replica import STATES, Episode, Fuzz, reasons

EPISODES = 8


@pytest.fixture(scope="module")
def fuzz():
    """A few thousand inputs."""
    done = Fuzz(seed=7, inputs=0)
    done.failures = [done.play(number) for number in range(EPISODES)]
    return done


def test_no_input_raises_swells_or_misleads(fuzz):
    assert fuzz.failures == [None] * EPISODES
    assert fuzz.inputs > 2000


def test_replicas_are_met_in_most_states_and_refuse_for_most_reasons(fuzz):
    assert {"primary", "backup", "changing view", "just restarted"} <= {each for each in STATES if fuzz.states[each]}
    assert len(fuzz.refused) >= 12
    assert set(fuzz.refused) <= reasons()


def test_the_reasons_are_read_from_the_source():
    assert {"malformed", "bad_signature", "double_vote", "contradicting_certificates"} <= reasons()


def test_the_same_seed_is_the_same_attack():
    def attack():
        episode = Episode(seed=3, number=5)
        episode.run(100)
        return episode.last_input, episode.refused, episode.states

    assert attack() == attack()


def test_another_episode_is_another_attack():
    one, other = Episode(seed=3, number=5), Episode(seed=3, number=6)
    one.run(100)
    other.run(100)
    assert one.last_input != other.last_input


def test_what_is_too_large_is_refused_before_it_is_read():
    episode = Episode(seed=1, number=0)
    episode.run(1)
    assert episode.last_input == TOO_LARGE
    assert episode.refused["too_large"] == 1


# ── teeth ─────────────────────────────────────────────────────────────────────────────────────────


def first_failure(episodes=12):
    fuzz = Fuzz(seed=1, inputs=0)
    return next((failure for failure in map(fuzz.play, range(episodes)) if failure), None)


def test_an_exception_that_escapes_is_found(monkeypatch):
    def leaky(committee, certificate):
        raise KeyError(certificate.height)

    monkeypatch.setattr(ordering, "commit_holds", leaky)
    assert first_failure().error.startswith("KeyError")


def test_a_certificate_that_nobody_checks_is_found(monkeypatch):
    monkeypatch.setattr(ordering, "commit_holds", lambda *_: True)
    assert first_failure().error.startswith("Violation")


def test_a_prepared_certificate_that_nobody_checks_is_found(monkeypatch):
    monkeypatch.setattr(view_change, "prepared_holds", lambda *_: True)
    assert first_failure(60).error.startswith("Violation")


def test_a_memory_without_bound_is_found(monkeypatch):
    monkeypatch.setattr(core.Core, "require_buffered", lambda self, height: None)
    assert "are explained" in first_failure().error


def test_a_signature_that_nobody_checks_is_found(monkeypatch):
    monkeypatch.setattr(core.Core, "require_signature", lambda *_: None)
    assert first_failure().error.startswith("Violation")


# ── the command ───────────────────────────────────────────────────────────────────────────────────


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["fuzz_replica", *arguments])
    return fuzz_replica.main()


def test_it_ends_with_a_verdict_and_zero(monkeypatch, capsys):
    assert run(monkeypatch, "--inputs", "300", "--seed", "2") == 0
    *_, summary, verdict = capsys.readouterr().out.splitlines()
    assert summary.startswith("400 inputs in 1 episodes, ")
    assert verdict == "0 exceptions, 0 violations"


def test_a_failure_is_written_down_with_its_command(monkeypatch, capsys, tmp_path):
    def escapes(self, event):
        raise ValueError("what a pity")

    monkeypatch.setattr(Replica, "step", escapes)
    file = tmp_path / "failure.json"
    assert run(monkeypatch, "--seed", "9", "--episode", "4", "--failure", str(file)) == 1
    failure = json.loads(file.read_text())
    assert failure["error"] == "ValueError: what a pity"
    assert failure["command"] == "python -m scripts.fuzz_replica --seed 9 --episode 4"
    assert failure["command"] in capsys.readouterr().out


def test_a_reason_that_no_input_meets_fails_a_long_run(monkeypatch, capsys):
    monkeypatch.setattr(fuzz_replica, "JUDGED_FROM", 100)
    monkeypatch.setattr(fuzz_replica, "reasons", lambda: {"malformed", "unheard_of"})
    assert run(monkeypatch, "--inputs", "200") == 1
    assert "never  reason unheard_of" in capsys.readouterr().out
