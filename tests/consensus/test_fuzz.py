"""No input raises out of `step`, and none makes a replica contradict itself."""

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.actions import Broadcast, FetchBodies, Send
from consensus.events import (
    BatchReady,
    BlockFetched,
    BodiesReady,
    BodiesRefused,
    Executed,
    FetchFailed,
    Received,
    RequestsWaiting,
    TimerFired,
)
from consensus.messages import BODIES, STATUS, Envelope, open_envelope
from consensus.simulation.stubs import GENESIS, execute

NOW = 1_700_000_000_000
EXAMPLES = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def corpus(bench):
    """Valid messages of every kind, from all members, over a few heights and views."""
    found = []
    batches = [bench.batch(height, view, (f"{height}.{view}",)) for height in (1, 2, 5) for view in (0, 1)]
    for batch in batches:
        found.append(bench.pre_prepare(batch))
        for sender in range(4):
            found += [bench.prepare(sender, batch), bench.commit(sender, batch), bench.checkpoint(sender, batch.height)]
    one = batches[0]
    for view in (1, 2):
        left = [bench.view_change(each, view, prepared=[(bench.certificate(one), one)]) for each in range(4)]
        found += [*left, bench.new_view(left[:3], view, batches=[one]), bench.new_view(left[:2], view)]
    for sender in range(4):
        found += [bench.suspect(sender, view, 1) for view in (0, 1)]
        found.append(bench.status(sender, view=1, height=5, seal=bench.seal(5)))
        certificate = bench.commit_certificate(one)
        found.append(bench.status(sender, height=1, final=(certificate,), batches=(one,), forgetful=True))
    return found


def check_self_conflict(actions, member):
    slots = {}
    for action in actions:
        if isinstance(action, Send | Broadcast):
            envelope, body = open_envelope(action.data)
            if body.sender == member and envelope.kind != STATUS:
                place = (envelope.kind, getattr(body, "view", 0), getattr(body, "height", 0))
                assert slots.setdefault(place, envelope.body) == envelope.body


@EXAMPLES
@given(st.binary(max_size=300))
def test_any_bytes(bench, data):
    assert bench.replica(1).step(Received(data, NOW)) == []


@EXAMPLES
@given(st.data())
def test_valid_messages_with_any_bytes_changed(bench, data):
    replica, messages = bench.replica(1), corpus(bench)
    for _ in range(10):
        raw = bytearray(data.draw(st.sampled_from(messages)).encode())
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        replica.step(Received(bytes(raw), NOW))
    assert not replica.halted


@EXAMPLES
@given(st.data())
def test_signed_messages_with_any_field_changed(bench, data):
    """A faulty member signs whatever it likes."""
    replica, messages = bench.replica(1), corpus(bench)
    out = []
    for _ in range(10):
        envelope, body = open_envelope(data.draw(st.sampled_from(messages)).encode())
        name = data.draw(st.sampled_from([each for each in body.__struct_fields__ if each != "sender"]))
        value = getattr(body, name)
        if isinstance(value, bool):
            value = not value
        elif isinstance(value, int):
            value = data.draw(st.sampled_from([0, 1, 2, 3, 8, 9, 1 << 31, (1 << 53) - 1]))
        elif isinstance(value, bytes):
            value = bytes([data.draw(st.integers(0, 255))]) * len(value)
        elif isinstance(value, tuple):
            value = value[: data.draw(st.integers(0, len(value)))] * data.draw(st.integers(1, 2))
        bent = bench.sign(
            envelope.kind, 3, msgspec.structs.replace(body, **{name: value, "sender": 3}), envelope.batches
        )
        out += replica.step(Received(bent.encode(), NOW))
    check_self_conflict(out, 1)
    assert not replica.halted


@EXAMPLES
@given(st.data())
def test_any_events_in_any_order(bench, data):
    replica, messages = bench.replica(data.draw(st.integers(0, 3))), corpus(bench)
    batch = bench.batch(1, 0, ("1.0",))
    header, _ = execute(GENESIS.header_hash, NOW, batch, set())
    others = st.one_of(
        st.sampled_from(messages).map(lambda envelope: Received(envelope.encode(), NOW)),
        st.sampled_from(["progress", "status", "other"]).map(lambda name: TimerFired(name, NOW)),
        st.booleans().map(lambda waiting: RequestsWaiting(waiting, NOW)),
        st.builds(BatchReady, st.integers(0, 6), st.integers(0, 2), st.just(batch.hashes), st.just(NOW), st.just(NOW)),
        st.sampled_from([BodiesReady(batch.digest, NOW), BodiesRefused(batch.digest, "no", NOW)]),
        st.builds(Executed, st.integers(0, 6), st.just(header.hash), st.just(NOW)),
        st.sampled_from([BlockFetched(header, batch, bench.seal(1, header.hash), NOW), FetchFailed(2, NOW)]),
    )
    out = []
    for event in data.draw(st.lists(others, max_size=40)):
        for action in replica.step(event):
            out.append(action)
            if isinstance(action, FetchBodies):
                out += replica.step(BodiesReady(action.batch.digest, NOW))
    check_self_conflict(out, replica._core.member)


@EXAMPLES
@given(st.sampled_from(sorted(BODIES)), st.binary(max_size=100), st.binary(min_size=64, max_size=64))
def test_any_body_in_a_proper_envelope(bench, kind, body, signature):
    bench.replica(1).step(Received(Envelope(kind, body, signature).encode(), NOW))
