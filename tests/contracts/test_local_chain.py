"""LocalChain: what an author's test may rely on."""

import pytest

from contracts import Contract, Event, Var, call, init, view
from contracts.memory import MemoryState
from contracts.testing import (
    BLOCK_TIME_MS,
    GENESIS_TIME_MS,
    CallFailed,
    GasReport,
    GasUnknown,
    LocalChain,
)
from contracts.testing.chain import MODES

CLOCK = '''
from contracts import Contract, Event, Var, call, init, require, view


class Ticked(Event):
    """A tick."""

    at: int


class Clock(Contract):
    """Remembers when it was wound."""

    wound: Var[int]

    @init
    def create(self, start: int) -> None:
        require(start >= 0, "no time before the first")
        self.wound.set(start)

    @call
    def wind(self) -> int:
        self.wound.set(self.ctx.time)
        self.emit(Ticked(at=self.ctx.time))
        return self.ctx.height

    @view
    def now(self) -> tuple[int, int, str]:
        return (self.ctx.height, self.ctx.time, self.ctx.sender)

    @view
    def last(self) -> int:
        return self.wound.get()
'''


@pytest.fixture(params=MODES)
def chain(request):
    chain = LocalChain("alice", "bob", mode=request.param)
    chain.deploy(CLOCK, "clock", 5)
    return chain


def test_a_source_is_deployed_with_the_arguments_of_its_init(chain):
    assert chain.view("clock", "last") == 5
    assert chain.contract("clock").doc == "Remembers when it was wound."
    refused = chain.deploy(CLOCK, "other", -1, check=False)
    assert (refused.code, refused.message) == ("failed", "no time before the first")
    assert refused.line == CLOCK.splitlines().index('        require(start >= 0, "no time before the first")') + 1


def test_a_file_and_a_class_are_deployed_as_well(chain, tmp_path):
    from contracts.examples.token import Token

    path = tmp_path / "clock.py"
    path.write_text(CLOCK)
    chain.deploy(path, "clock2", 6)
    chain.deploy(str(path), "clock3", 7)
    chain.deploy(Token, "token", "Acme", "ACM", 1)
    assert [chain.view(name, "last") for name in ("clock2", "clock3")] == [6, 7]


def test_time_and_heights_pass_only_when_told(chain):
    height = chain.height
    assert chain.view("clock", "now", sender="bob") == [height, GENESIS_TIME_MS + BLOCK_TIME_MS, chain.address("bob")]
    chain.advance(3, ms=60_000)
    assert chain.height == height + 3
    assert chain.view("clock", "now")[1] == GENESIS_TIME_MS + 4 * BLOCK_TIME_MS + 60_000
    assert chain.view("clock", "now", height=height)[0] == height


def test_a_call_gives_result_events_and_gas(chain):
    outcome = chain.call("alice", "clock", "wind")
    assert outcome.ok
    assert outcome.result == outcome.height == 2
    assert [(event.contract, event.name, event.fields) for event in outcome.events] == [
        ("clock", "Ticked", {"at": chain.time_ms})
    ]
    assert chain.events_of("clock", "Ticked") == list(outcome.events)
    assert chain.gas.get("clock.wind", []) == ([] if chain.mode == "python" else [outcome.gas_used])


def test_a_failure_raises_unless_it_is_asked_for(chain):
    with pytest.raises(CallFailed, match=r"clock\.stop: unknown_method"):
        chain.call("alice", "clock", "stop")
    assert chain.call("alice", "clock", "stop", check=False).code == "unknown_method"
    with pytest.raises(CallFailed):
        chain.view("clock", "stop")
    assert chain.call("alice", "clock", "wind", gas_limit=100, check=False).code == "out_of_gas"


def test_calls_of_one_transaction_hold_together(chain):
    chain.transact("alice", ("clock", "wind"), ("clock", "stop"), check=False)
    assert chain.view("clock", "last") == 5


def test_accounts_are_those_given_and_those_added(chain):
    with pytest.raises(KeyError, match="add_account makes one"):
        chain.call("dave", "clock", "wind")
    chain.add_stranger("dave")
    assert chain.call("dave", "clock", "wind", check=False).code == "unknown_sender"
    chain.add_account("dave")
    assert chain.call("dave", "clock", "wind").ok
    chain.add_account("watcher", "auditor")
    assert chain.call("watcher", "clock", "wind", check=False).code == "not_permitted"


def test_an_upgrade_is_a_deployment_over_the_old_state(chain):
    chain.upgrade(CLOCK.replace("return self.wound.get()", "return 2 * self.wound.get()"), "clock")
    assert chain.view("clock", "last") == 10
    refused = chain.upgrade(CLOCK.replace("wound: Var[int]", "wound: Var[str]"), "clock", check=False)
    assert refused.code == "layout_changed"


def test_a_refused_source_says_where_and_why(chain):
    refused = chain.deploy(CLOCK.replace("self.ctx.height", "__import__('os')"), "bad", 1, check=False)
    assert refused.code == "source_refused"
    line = next(number for number, text in enumerate(CLOCK.splitlines(), 1) if "return self.ctx.height" in text)
    assert refused.message.startswith(f"{line}:")
    refused = chain.deploy("class", "bad", check=False)
    assert refused.code == "source_refused"
    assert "Traceback" not in refused.message


class Doubled(Event):
    value: int


class Doubler(Contract):
    """A contract inside a test file cannot be deployed: its file is not a contract."""

    value: Var[int]

    @init
    def create(self) -> None:
        self.value.set(1)

    @call
    def double(self) -> None:
        self.value.set(2 * self.value.get())
        self.emit(Doubled(value=self.value.get()))

    @view
    def current(self) -> int:
        return self.value.get()


def test_a_class_of_a_test_file_still_runs_as_plain_python(chain):
    doubler = Doubler()
    doubler.create()
    doubler.double()
    assert doubler.current() == 2
    assert doubler.ctx.events == [Doubled(value=2)]
    assert chain.deploy(Doubler, "doubler", check=False).code == "source_refused"


# ── gas ───────────────────────────────────────────────────────────────────────────────────────────


def test_gas_is_reported_by_method_with_its_least_median_and_most():
    report = GasReport.together([{"clock.wind": [30, 10, 1_000], "clock.now": [7, 5]}, {"clock.wind": [20]}])
    assert [method.name for method in report.methods] == ["clock.now", "clock.wind"]
    wind = report["clock.wind"]
    assert (wind.calls, wind.least, wind.median, wind.most) == (4, 10, 20, 1_000)
    assert str(report).splitlines() == [
        "method      calls  min  median    max",
        "clock.now       2    5       5      7",
        "clock.wind      4   10      20  1,000",
    ]
    with pytest.raises(KeyError, match=r"no call of 'clock.stop' has succeeded here; there is gas of clock.now, cl"):
        report["clock.stop"]


def test_a_report_has_what_succeeded_and_deployments_and_views(chain):
    outcome = chain.call("alice", "clock", "wind")
    chain.call("alice", "clock", "wind", gas_limit=100, check=False)
    chain.view("clock", "last")
    if chain.mode == "python":
        for ask in (chain.gas_report, lambda: outcome.gas_used):
            with pytest.raises(GasUnknown, match="pytest --contracts=interpreter"):
                ask()
        return
    report = chain.gas_report()
    assert [method.name for method in report.methods] == ["clock.last", "clock.wind", "deploy clock"]
    assert (report["clock.wind"].calls, report["clock.wind"].most) == (1, outcome.gas_used)


# ── time and snapshots ────────────────────────────────────────────────────────────────────────────


def test_time_is_told_in_seconds_and_reached_by_height_or_moment(chain):
    chain.advance(seconds=90)
    assert (chain.height, chain.time_ms) == (2, GENESIS_TIME_MS + 2 * BLOCK_TIME_MS + 90_000)
    chain.advance_to(height=10)
    assert (chain.height, chain.time_ms) == (10, GENESIS_TIME_MS + 10 * BLOCK_TIME_MS + 90_000)
    moment = chain.time_ms + 86_400_000
    chain.advance_to(time_ms=moment)
    assert (chain.height, chain.view("clock", "now")[1]) == (11, moment)
    chain.advance_to(height=13, time_ms=moment + 1)
    assert (chain.height, chain.time_ms) == (13, moment + 2 * BLOCK_TIME_MS)


@pytest.mark.parametrize(
    "there", [{"height": 1}, {"height": 0}, {"time_ms": GENESIS_TIME_MS}, {"height": 5, "time_ms": 0}]
)
def test_nobody_travels_into_the_past(chain, there):
    with pytest.raises(ValueError, match="it goes forward only"):
        chain.advance_to(**there)
    for step in ({"heights": -1}, {"ms": -1}, {"seconds": -1}):
        with pytest.raises(ValueError, match="time goes forward only"):
            chain.advance(**step)
    assert chain.height == 1


def test_a_snapshot_is_come_back_to_as_often_as_one_likes(chain):
    chain.call("alice", "clock", "wind")
    wound = chain.view("clock", "last")
    before = chain.snapshot()
    seen = (chain.height, chain.time_ms, list(chain.events), chain.engine.root)
    for pause in (5, 7):
        chain.advance(3, seconds=pause)
        chain.call("bob", "clock", "wind")
        chain.deploy(CLOCK, "another", 1)
        assert chain.view("clock", "last") != wound
        chain.revert(before)
        assert (chain.height, chain.time_ms, chain.events, chain.engine.root) == seen
        assert chain.view("clock", "last") == wound
        assert chain.contract("another") is None
    assert chain.call("alice", "clock", "wind").ok
    assert len(chain.gas.get("clock.wind", ())) == (0 if chain.mode == "python" else 4)  # measured is measured


def test_a_snapshot_is_forward_in_time_as_well_as_back(chain):
    early = chain.snapshot()
    chain.call("alice", "clock", "wind")
    late, wound = chain.snapshot(), chain.view("clock", "last")
    chain.revert(early)
    assert chain.view("clock", "last") == 5
    chain.revert(late)
    assert (chain.height, chain.view("clock", "last")) == (2, wound)


def test_a_snapshot_of_another_chain_is_refused(chain):
    with pytest.raises(ValueError, match="of another chain"):
        chain.revert(LocalChain().snapshot())


def test_a_state_that_is_not_in_memory_has_no_snapshots_and_no_twin():
    class Elsewhere:
        """Stands for a state on a disk."""

        def __init__(self):
            self.memory = MemoryState()

        def __getattr__(self, name):
            return getattr(self.memory, name)

    with pytest.raises(TypeError, match="only a chain whose state is in memory has snapshots"):
        LocalChain(state=Elsewhere()).snapshot()
    with pytest.raises(ValueError, match="needs a state of its own for each"):
        LocalChain(state=Elsewhere(), mode="both")
