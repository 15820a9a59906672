"""The desk where peers ask for bodies: everything that fits an answer, and no member all of this node's time."""

from network.body_desk import BodyDesk
from network.wire import Bodies, read_peer_frame


def desk(bodies):
    sent = []
    made = BodyDesk(get=bodies.get, send=lambda member, frame: sent.append((member, read_peer_frame(frame))))
    return made, sent


async def test_what_is_here_is_sent_in_the_order_that_was_asked_for():
    made, sent = desk({b"1": b"one", b"2": b"two"})
    made.serve(3, (b"2", b"unknown", b"1"))
    assert sent == [(3, Bodies((b"two", b"one")))]


async def test_an_answer_is_bounded(monkeypatch):
    monkeypatch.setattr("network.body_desk.ANSWER_BYTES_MAX", 7)
    made, sent = desk({b"1": b"one", b"2": b"two", b"3": b"three"})
    made.serve(3, (b"1", b"2", b"3"))
    assert sent == [(3, Bodies((b"one", b"two")))]


async def test_a_member_that_asks_in_a_loop_is_not_answered_for_ever_and_others_are(monkeypatch):
    monkeypatch.setattr("network.body_desk.BUDGET_BYTES", 1 << 16)
    made, sent = desk({b"1": bytes(1 << 15)})
    for _ in range(1000):
        made.serve(3, (b"1",))
    made.serve(1, (b"1",))
    assert [member for member, _ in sent].count(3) < 10
    assert sent[-1][0] == 1
    assert made.refused > 900


async def test_asking_for_what_is_not_here_costs_as_well(monkeypatch):
    monkeypatch.setattr("network.body_desk.BUDGET_BYTES", 1 << 16)
    made, sent = desk({})
    for _ in range(1000):
        made.serve(3, (b"unknown",) * 100)
    assert len(sent) < 10


async def test_the_budget_fills_again_with_time(monkeypatch):
    made, sent = desk({b"1": b"one"})
    made._budgets[3] = (-1.0, 0.0)  # long ago, by the loop's clock
    made.serve(3, (b"1",))
    assert sent == [(3, Bodies((b"one",)))]
