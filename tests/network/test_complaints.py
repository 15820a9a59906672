"""Failures in the log: each once with its traceback, the same one only now and then, and how often it was meanwhile."""

import logging

import pytest

from network.ipc.complaints import AGAIN_S, KINDS_MAX, Complaints


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.ERROR)
    clock = Clock()
    complaints = Complaints(logging.getLogger("test"), clock)

    def tell(text, after=0.0):
        clock.now += after
        caplog.clear()
        complaints.tell("a request", ValueError(text))
        return [record.getMessage() for record in caplog.records if record.exc_info]

    return tell


def test_the_same_failure_is_told_once_and_counted_until_it_is_told_again(told):
    assert told("broken") == ["a request failed"]
    assert [told("broken", 0.1) for _ in range(5)] == [[]] * 5
    assert told("broken", AGAIN_S) == ["a request failed (and 5 times more since it was told last)"]
    assert told("broken", AGAIN_S) == ["a request failed"]


def test_another_failure_is_told_at_once(told):
    assert told("broken") == told("torn") == ["a request failed"]
    assert told("broken") == told("torn") == []


def test_failures_that_are_all_different_are_all_told_and_not_all_remembered(told):
    for number in range(KINDS_MAX):
        assert told(f"failure {number}") == ["a request failed"]
    assert told("one more") == ["a request failed"]
    assert told("failure 0") == ["a request failed"]
