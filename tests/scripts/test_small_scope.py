"""The command that searches small scopes: what it prints, and what it exits with."""

import re
import sys

import pytest

from consensus.simulation import Violation
from scripts import small_scope


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["small_scope", *arguments])
    return small_scope.main()


def test_a_sample_ends_with_a_summary_and_zero(monkeypatch, capsys):
    assert run(monkeypatch, "mutations", "--jobs", "1", "--every", "5000") == 0
    summary = capsys.readouterr().out.strip().splitlines()[-1]
    assert re.fullmatch(r"mutations: 1\d cases, 0 violations, \d+ s on 1 processes", summary)


def test_one_case_is_played_alone(monkeypatch, capsys):
    assert run(monkeypatch, "mutations", "--case", "1:0") == 0
    assert capsys.readouterr().out.splitlines() == ["member 1, its message 0, to [0]: omitted", "holds"]


def test_a_violation_names_the_command_that_replays_it(monkeypatch):
    def broken(_case):
        raise Violation("divided")

    monkeypatch.setattr(small_scope, "play", broken)
    count, (failure,) = small_scope.play_chunk((2, (5,)))
    assert count == 1
    assert str(failure).splitlines()[1:] == [
        "    Violation: divided",
        "    python -m scripts.small_scope mutations --case 2:5",
    ]


def test_what_escapes_from_step_is_a_failure_too(monkeypatch):
    def escapes(_case):
        raise KeyError("height")

    monkeypatch.setattr(small_scope, "play", escapes)
    assert small_scope.play_chunk((0, (0, 1)))[1][1].error == "KeyError: 'height'"


def test_a_search_that_finds_something_exits_with_one(monkeypatch, capsys):
    def found(*_, **__):
        raise Violation("two batches")

    monkeypatch.setattr(small_scope, "search_one_height", found)
    assert run(monkeypatch, "orders") == 1
    assert capsys.readouterr().out == "violation: two batches\n"


def test_an_unknown_word_is_refused(monkeypatch):
    with pytest.raises(SystemExit):
        run(monkeypatch, "everything")
