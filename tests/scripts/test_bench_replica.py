"""The benchmark of votes measures what it says: votes that count, and nothing that was refused."""

import re
import sys

import pytest

from consensus.messages import CHECKPOINT
from scripts import bench_replica
from scripts.bench_replica import Measured, measure


@pytest.mark.parametrize(("members", "votes"), [(4, 3 * 32 * 9), (7, 6 * 32 * 18)])
def test_a_run_is_whole_heights_of_every_members_votes(members, votes):
    found = measure(members, 100)
    assert (found.members, found.votes) == (members, votes)
    assert found.seconds > 0


def test_votes_that_lead_nowhere_are_no_measurement(monkeypatch):
    monkeypatch.setattr(bench_replica, "CHECKPOINT", CHECKPOINT[::-1])
    with pytest.raises(AssertionError, match=r"sealed 0 of 96: refusals were measured"):
        measure(4, 100)


def test_a_figure_is_votes_a_second():
    assert str(Measured(4, 30_000, 0.5)) == "n =  4:   60000 votes a second (16.7 us a vote, 30000 votes)"


def test_the_command_prints_a_line_a_size(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench_replica", "--members", "4,7", "--votes", "100", "--runs", "1"])
    bench_replica.main()
    lines = capsys.readouterr().out.splitlines()
    assert [bool(re.fullmatch(r"n =  [47]: +\d+ votes a second \(.*\)", line)) for line in lines] == [True, True]
