"""The supervisor: a child that cannot be started now is started later; one that ends in order is no failure."""

import asyncio
import os
import signal

import pytest

from network.supervisor import Child, ChildSpec


async def test_a_child_is_started_again_once_the_system_has_room_for_it(monkeypatch):
    monkeypatch.setattr("network.supervisor.RESTART_DELAY_MIN_S", 0.001)
    child = Child(ChildSpec("executor", "no.such.module", ()))
    spawn, failures = child._spawn, iter([OSError("too many open files"), OSError("no memory")])

    async def spawn_when_there_is_room():
        for error in failures:
            raise error
        child.spec = ChildSpec("executor", "timeit", ("-n", "1", "-r", "1", "import time; time.sleep(60)"))
        await spawn()

    await child.start()
    monkeypatch.setattr(child, "_spawn", spawn_when_there_is_room)
    deadline = asyncio.get_running_loop().time() + 20
    while child.restarts < 3 or child.pid is None:
        assert asyncio.get_running_loop().time() < deadline
        assert not child._task.done(), "the watch has ended"
        await asyncio.sleep(0.005)
    await child.stop()


@pytest.mark.parametrize(("ends", "said"), [("import os; os._exit(0)", False), ("import os; os._exit(5)", True)])
async def test_a_child_that_ends_before_its_parent_hears_of_the_stop_is_no_failure(monkeypatch, caplog, ends, said):
    """One that breaks meanwhile is told of all the same, and neither is started again."""
    monkeypatch.setattr("network.supervisor.RESTART_DELAY_MIN_S", 60)
    child = Child(ChildSpec("executor", "timeit", ("-n", "1", "-r", "1", ends)))
    resting = asyncio.Event()
    rest = child._is_stopped_within

    async def is_stopped_within(seconds):
        resting.set()
        return await rest(seconds)

    monkeypatch.setattr(child, "_is_stopped_within", is_stopped_within)
    await child.start()
    await asyncio.wait_for(resting.wait(), 20)
    child.expect_end()
    await asyncio.wait_for(child._task, 5)
    assert (child.restarts, "the executor ended with code 5: starting it again" in caplog.text) == (0, said)
    await child.stop()


async def test_a_child_that_somebody_else_stops_is_started_again(monkeypatch, caplog):
    monkeypatch.setattr("network.supervisor.RESTART_DELAY_MIN_S", 0.01)
    child = Child(ChildSpec("gateway", "timeit", ("-n", "1", "-r", "1", "import time; time.sleep(60)")))
    await child.start()
    os.kill(child.pid, signal.SIGTERM)
    deadline = asyncio.get_running_loop().time() + 20
    while child.restarts < 1 or child.pid is None:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)
    assert "the gateway was ended by somebody (code -15): starting it again" in caplog.text
    await child.stop()


async def test_how_a_child_ended_is_looked_at_before_it_is_started_again(monkeypatch):
    monkeypatch.setattr("network.supervisor.RESTART_DELAY_MIN_S", 0.01)
    ends = ("-n", "1", "-r", "1", "import os, signal; os.kill(os.getpid(), signal.SIGBUS)")
    codes = []
    child = Child(ChildSpec("executor", "timeit", ends, ended=lambda code: codes.append((code, child.pid))))
    await child.start()
    deadline = asyncio.get_running_loop().time() + 20
    while len(codes) < 2:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)
    assert codes[:2] == [(-signal.SIGBUS, None)] * 2
    await child.stop()
