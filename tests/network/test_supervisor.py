"""The supervisor: a child that cannot be started now is started later."""

import asyncio

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
