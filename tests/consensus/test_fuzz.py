"""No input raises out of `step`, and none makes a replica contradict itself."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.actions import Broadcast, FetchBodies, Persist, Send
from consensus.events import (
    BatchReady,
    BlockFetched,
    BodiesReady,
    BodiesRefused,
    Executed,
    FetchFailed,
    Received,
    RequestsWaiting,
    Start,
    TimerFired,
)
from consensus.messages import BODIES, STATUS, Envelope, open_envelope
from consensus.recovery import Anchor
from consensus.simulation.stubs import GENESIS, execute
from ledger.crypto import signing_message
from scripts.bend import Bender
from scripts.replica_state import digest_of, require_bounded

NOW = 1_700_000_000_000
EXAMPLES = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEWER = settings(EXAMPLES, max_examples=25)
FAULTY = 3


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


# ── where a replica may stand when the bytes arrive ───────────────────────────────────────────────


def proposed(bench):
    replica = bench.replica(1)
    return replica, bench.accept(replica, bench.batch(1, 0, ("1.0",)))


def committed(bench):
    replica = bench.replica(1)
    return replica, bench.commit_block(replica, bench.batch(1, 0, ("1.0",)))


def sealed(bench):
    replica, out = committed(bench)
    return replica, out + bench.seal_block(replica, 1)


def changing(bench):
    replica, out = committed(bench)
    return replica, out + bench.hear(replica, bench.suspect(2, 0, 2), bench.suspect(3, 0, 2))


def behind(bench):
    replica = bench.replica(1)
    return replica, bench.hear(replica, bench.status(2, height=3, seal=bench.seal(3)))


def restarted(bench):
    _, out = committed(bench)
    journal = [Anchor(0).encode(), *(action.record for action in out if isinstance(action, Persist))]
    again = bench.replica(1, journal=journal, start=False)
    return again, out + again.step(Start(NOW))


def halted(bench):
    replica, out = committed(bench)
    out += bench.hear(replica, *[bench.checkpoint(each, 1, b"\xee" * 32) for each in (0, 2, 3)])
    return replica, out + replica.step(Executed(1, b"\xdd" * 32, NOW))


STANDS = {
    "fresh": lambda bench: (bench.replica(1), []),
    "primary": lambda bench: (bench.replica(0), []),
    "proposed": proposed,
    "committed": committed,
    "sealed": sealed,
    "changing": changing,
    "behind": behind,
    "restarted": restarted,
    "halted": halted,
    "doubtful": lambda bench: (bench.replica(1, journal=[]), []),
    "below its floor": lambda bench: (bench.replica(1, journal=[Anchor(9).encode()]), []),
}


@pytest.mark.parametrize("stand", STANDS)
def test_a_replica_stands_where_its_name_says(bench, stand):
    replica, _ = STANDS[stand](bench)
    there = {
        "fresh": replica.sealed_height == 0 and not replica.silent,
        "primary": replica.primary == 0,
        "proposed": bool(replica.in_flight),
        "committed": replica.delivered_height == 1,
        "sealed": replica.sealed_height == 1,
        "changing": replica.changing_view,
        "behind": replica._core.best_sealed_height == 3,
        "restarted": replica.delivered_height == 1,
        "halted": replica.halted.startswith("diverged"),
        "doubtful": replica.silent,
        "below its floor": replica.silent,
    }
    assert there[stand]


@pytest.mark.parametrize("stand", STANDS)
@FEWER
@given(data=st.data())
def test_any_bytes_anywhere(bench, stand, data):
    replica, _ = STANDS[stand](bench)
    before = digest_of(replica)
    assert replica.step(Received(data.draw(st.binary(max_size=300)), NOW)) == []
    assert digest_of(replica) == before, "a refusal changes nothing"


@pytest.mark.parametrize("stand", STANDS)
@FEWER
@given(data=st.data())
def test_valid_messages_with_any_bytes_changed_anywhere(bench, stand, data):
    replica, out = STANDS[stand](bench)
    stopped, messages = replica.halted, corpus(bench)
    for _ in range(8):
        raw = bytearray(data.draw(st.sampled_from(messages)).encode())
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        out += replica.step(Received(bytes(raw), NOW))
    check_self_conflict(out, replica._core.member)
    require_bounded(replica)
    assert replica.halted == stopped


@pytest.mark.parametrize("stand", STANDS)
@FEWER
@given(data=st.data())
def test_one_faulty_member_may_sign_whatever_it_likes_anywhere(bench, stand, data):
    """Every bent form of every message that it could send, after each other."""
    replica, out = STANDS[stand](bench)
    stopped, messages = replica.halted, corpus(bench)
    bender = Bender(FAULTY, lambda kind, body: bench.signers[FAULTY](signing_message(kind, bench.chain_id, body)))
    for _ in range(6):
        envelope, body = open_envelope(data.draw(st.sampled_from(messages)).encode())
        own = bench.sign(envelope.kind, FAULTY, msgspec.structs.replace(body, sender=FAULTY), envelope.batches)
        _, bent = data.draw(st.sampled_from(list(bender.bend(own.encode()))))
        out += replica.step(Received(bent, NOW))
        out += answered(replica, out)
    check_self_conflict(out, replica._core.member)
    require_bounded(replica)
    assert replica.halted == stopped


def answered(replica, actions):
    """The driver has every body."""
    batches = {action.batch.digest: action.batch for action in actions if isinstance(action, FetchBodies)}
    return [more for digest in batches for more in replica.step(BodiesReady(digest, NOW))]


# ── any event ─────────────────────────────────────────────────────────────────────────────────────


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
