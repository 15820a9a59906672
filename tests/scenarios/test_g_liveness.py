"""Liveness, and attacks on it: the slow, the unfair, the flooding, and networks that work in part only."""

import asyncio
from itertools import combinations

import msgspec
import pytest

from consensus import actions, events
from consensus.core import BUFFERED_WINDOWS, FUTURE_VIEWS_MAX
from consensus.messages import (
    CHECKPOINT,
    COMMIT,
    PRE_PREPARE,
    PREPARE,
    SUSPECT,
    VIEW_CHANGE,
    Suspect,
    ViewChange,
    Vote,
)
from consensus.overlooked import BATCHES_MIN, BATCHES_WINDOWS, Overlooked
from consensus.simulation import NetworkFaults, Plan, simulate
from consensus.simulation.bounds import deep_excess
from consensus.simulation.disturbances import CLOG, CUT
from consensus.simulation.plan import Disturbance
from consensus.simulation.prng import Prng
from consensus.simulation.stubs import EPOCH_START_MS
from consensus.status import QUESTIONS_A_TICK_MAX
from consensus.turns import turn_heights
from ledger.seals import verify_sealed_header
from ledger.store import BlockStore
from ledger.transactions import identify
from ledger.types import Batch, BlockRecord, Checkpoint
from network import inbox
from network.api import GetBlocks
from network.body_desk import BUDGET_BYTES, BodyDesk
from network.client.core import Core
from network.client.messages import Answer, Ask, NoAnswer
from network.evidence import EvidenceBook
from network.intake import Intake
from network.mempool import Limits, Mempool
from network.service import BLOCKS_BEFORE_YIELD, ValidatorService
from network.sync import SERVE_INTERVAL_S, BlockSync
from network.verification import check_one
from network.wire import BlocksRequest, read_peer_frame

NOW = EPOCH_START_MS


class Count:
    """Watches a run: when one member delivered, how many transactions, in whose turn."""

    def __init__(self, member=1):
        self.member, self.delivered, self.views = member, [], set()

    def on_event(self, now_ms, member, event):
        pass

    def on_world(self, now_ms, member, what):
        pass

    def on_violation(self, now_ms, what):
        pass

    def on_action(self, now_ms, member, action):
        if member == self.member and isinstance(action, actions.Deliver):
            self.delivered.append((now_ms, action.batch))
        if member == self.member and isinstance(action, actions.ViewChanged):
            self.views.add(action.view)

    def between(self, first_ms, last_ms):
        return sum(len(batch.hashes) for at_ms, batch in self.delivered if first_ms <= at_ms < last_ms)


def play(plan, member=1):
    """The run through the eyes of one member, and the cluster after it."""
    count = Count(member)
    return count, simulate(plan, count)


# ── 91 ────────────────────────────────────────────────────────────────────────────────────────────

BUSY = {"seed": 91, "transactions": 540, "heal_ms": 36_000}  # more than a slow turn can carry


@pytest.mark.parametrize(("slow", "window"), [(0, 1), (2, 2)])
def test_91_slow_primary_just_under_the_time_out_costs_less_than_half_of_the_rate(slow, window):
    """Every proposal of one member comes after nine tenths of the time-out: nobody's patience ends, but its turns do,
    and it is compared with the others (P3.10, P5.7). Judged from 30 seconds on.

    Source: Aardvark, Prime, RBFT.
    """
    whole, _ = play(Plan(**BUSY, window=window))
    halved, _ = play(Plan(**BUSY, window=window, byzantine=((slow, "slow"),)))
    assert whole.between(30_000, 36_000) > 80
    assert halved.between(30_000, 36_000) >= whole.between(30_000, 36_000) // 2


def test_91_slow_primary_is_slower_than_all_the_others_or_it_is_none():
    """The twin: a network that is slow for everybody makes nobody slow."""
    network = NetworkFaults(delay_min_ms=150, delay_max_ms=200)
    count, _ = play(Plan(seed=91, transactions=200, heal_ms=20_000, network=network))
    assert count.between(0, 20_000) > 150
    assert count.views == set()


# ── 92 and 93 ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def make_censored(make_stage, named):
    """A stage whose members count whom batches pass over, as their nodes do; one of them leaves a request out."""

    class Censored(make_stage):
        def __init__(self, censor, victim, **chosen):
            self.censor, self.victim, self.ordered = censor, named(victim), []
            self.counts = {}
            super().__init__(block_transactions_max=4, **chosen)

        def submit(self, *names, to=None):
            for member in self.members:
                self.counts.setdefault(member, Overlooked(self.parameters.window)).arrived(map(named, names))
            super().submit(*names, to=to)

        def _offer(self, member):
            kept = self.pool[member]
            if member == self.censor:
                self.pool[member] = {each: None for each in kept if each != self.victim}
            try:
                return super()._offer(member)
            finally:
                self.pool[member] = kept

        def _perform(self, member, action):
            answers = list(super()._perform(member, action) or ())
            if isinstance(action, actions.Deliver):
                if member == 1:
                    self.ordered.append(action.batch)
                if self.counts[member].delivered(
                    action.batch, had_room=len(action.batch.hashes) < 4, waits=lambda each: each in self.pool[member]
                ):
                    answers.append(events.RequestPassedOver(self.clock_ms(member)))
            return answers

    return Censored


def overtaken(stage, victim):
    """How many transactions stand in batches before the one that holds the victim; and that batch's view."""
    before = 0
    for batch in stage.ordered:
        if victim in batch.hashes:
            return before, batch.view
        before += len(batch.hashes)
    raise AssertionError("it was never ordered")


def patience(window):
    """How many batches with room may pass a request over before its members leave their proposer."""
    return max(BATCHES_MIN, BATCHES_WINDOWS * window)


@pytest.mark.parametrize("window", [1, 2, 4, 8])
def test_92_selective_censorship_ends_within_two_views(make_censored, window):
    """The member that has the pen orders everybody's requests but one. The others count the batches with room that
    pass it over, and leave (P5.6).

    Source: SmartBFT, TestDiscoverDeliberateCensorship.
    """
    stage = make_censored(0, "victim", window=window)
    stage.submit("victim")
    stage.fill(min(turn_heights(window), patience(window)) - 1)
    assert not stage.has("victim")
    stage.fill(window + 2)
    assert stage.has("victim")
    assert max(stage.views()) <= 2
    assert overtaken(stage, stage.victim)[1] <= 2


def test_92_selective_censorship_is_not_what_a_full_block_does(make_censored):
    """The twin: while batches have no room, whoever waits is not passed over, and nobody is accused."""
    stage = make_censored(None, "victim", window=2)
    for number in range(12):
        stage.submit(*[f"{number}.{each}" for each in range(12)])
        stage.settle()
    stage.submit("victim")
    stage.settle()
    assert stage.has("victim")
    assert stage.views() == [0] * 4


@pytest.mark.parametrize("window", [1, 2, 8])
def test_92_selective_censorship_is_not_seen_in_a_calm_cluster(window):
    """Requests reach the members in other orders and a little apart: that alone accuses nobody."""
    count, _ = play(Plan(seed=92, transactions=300, heal_ms=7500, window=window))
    assert count.views == set()


@pytest.mark.parametrize("window", [1, 2, 4, 8])
def test_93_unfair_order_overtakes_by_no_more_than_the_windows_allow(make_censored, window):
    """How many requests that came later a hostile order can put first: a turn of batches, or what patience allows and
    a window that was under way; and it is measured.

    Source: Aardvark's fairness rule.
    """
    stage = make_censored(0, "victim", window=window)
    stage.submit("victim")
    for number in range(8 * window):
        if not stage.has("victim"):
            stage.submit(*[f"{number}.{each}" for each in range(3)])  # room for one more in every batch
            stage.settle()
    assert stage.has("victim")
    batches_max = min(turn_heights(window), patience(window) + window)
    assert 0 < overtaken(stage, stage.victim)[0] <= 3 * batches_max


def test_93_unfair_order_of_an_honest_one_overtakes_nobody(make_censored):
    """The twin: first come, first ordered."""
    stage = make_censored(None, "victim", window=4)
    stage.submit("early", "victim")
    for number in range(8):
        stage.submit(*[f"{number}.{each}" for each in range(3)])
    stage.settle()
    assert overtaken(stage, stage.victim)[0] == 0


# ── 94 and 95 ─────────────────────────────────────────────────────────────────────────────────────


def test_94_client_whose_request_one_member_refuses_moves_no_view(make_stage):
    """One member finds the bodies invalid that the others find valid: it alone is unhappy, and catches up.

    Source: Aardvark's "big MAC" attack. Here every member judges the same bytes by the same rules, so this takes a
    member that is broken.
    """
    stage = make_stage()
    honest = stage._bodies

    def bodies(member, batch):
        return (
            [events.BodiesRefused(batch.digest, "not valid", stage.clock_ms(member))]
            if member == 3
            else honest(member, batch)
        )

    stage._bodies = bodies
    stage.fill(3)
    stage.run(3000)
    assert stage.heights("sealed_height") == [3] * 4
    assert stage.views() == [0] * 4


def test_94_client_that_sends_each_member_other_bytes_has_all_of_them_ordered(make_stage):
    """Other bytes are another request: each is gossiped to all and ordered; which one runs is the ledger's matter."""
    stage = make_stage()
    names = [f"body for {member}" for member in stage.members]
    for member, name in zip(stage.members, names, strict=True):
        stage.submit(name, to=(member,))
        stage.submit(name)  # gossip
    stage.settle()
    stage.run(3000)
    assert stage.has(*names)
    assert len(stage.transactions(0)) == len(names)
    assert stage.views() == [0] * 4


def test_95_request_to_one_backup_then_to_everybody_is_executed_once(make_stage, named):
    """One backup that waits alone moves nobody; retransmission everywhere, also afterwards, orders it once."""
    stage = make_stage()
    stage.submit("lonely", to=(2,))
    stage.run(1500)
    assert [body.sender for member in stage.members for body in stage.said(member, SUSPECT)] == [2]
    assert stage.views() == [0] * 4
    for _ in range(3):
        stage.submit("lonely")
        stage.settle()
    for member in stage.members:
        stage.pool[member][named("lonely")] = None  # a node that forgot that it was executed
        for event in stage._offer(member):
            stage.step(member, event)
    stage.settle()
    stage.run(1000)
    assert [each for each in stage.transactions(0) if each == named("lonely")] == [named("lonely")]
    assert stage.views() == [0] * 4


async def test_95_request_to_one_node_goes_on_to_all_and_its_repetition_is_known(consortium):
    """What a client hands to one node is spread; handed over again it is known, and spread again if it still waits."""
    genesis, raw = consortium.genesis, consortium.transaction(1)
    added, again = [], []

    async def check(raws):
        return [check_one(each, chain_id=genesis.chain_id, parameters=genesis.parameters, height=1) for each in raws]

    intake = Intake(
        mempool=Mempool(Limits()),
        check=check,
        in_block=lambda _: False,
        added=lambda news, own: added.append((own, [pair[1] for pair in news])),
        asked_again=lambda news: again.append([pair[1] for pair in news]),
    )
    assert [each.code for each in await intake.submit([raw])] == ["accepted"]
    assert [each.code for each in await intake.submit([raw])] == ["known"]
    assert added == [(True, [raw])]
    assert again == [[raw]]


# ── 96 to 99 ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("members", "dead", "sides"),
    [(4, (3,), ((0, 1), (2,))), (4, (0,), ((1,), (2, 3))), (7, (0, 1), ((2, 3, 4), (5, 6)))],
)
def test_96_crash_of_f_and_a_split_of_the_rest_heals_within_twice_the_longest_time_out(
    make_stage, members, dead, sides
):
    """For a minute nobody has a quorum. All run out of patience again and again; then the links are back.

    Source: SmartBFT, TestLeaderInPartitionWithHealing; BFT-SMaRt, issue 19.
    """
    stage = make_stage(members=members)
    stage.fill(2)
    stage.crash(*dead)
    stage.cut(*sides)
    stage.submit("during the split", to=[member for side in sides for member in side])
    stage.run(60_000)
    assert not stage.has("during the split")
    stage.heal()
    took_ms = stage.run_until(lambda: stage.has("during the split"))
    assert took_ms <= 2 * stage.parameters.timeout_max_ms


def clique(links):
    """Three of four that all hear each other, if there are such."""
    for three in combinations(range(4), 3):
        if all((a, b) in links for a in three for b in three if a != b):
            return three
    return None


def one_way(stage, links):
    """Only these links work, each in its own direction."""

    def lost(packet):
        return (packet.sender, packet.receiver) not in links

    lost.link = True
    stage.lose(lost)


ALL_LINKS = frozenset((a, b) for a in range(4) for b in range(4) if a != b)


@pytest.mark.parametrize("cut", sorted(ALL_LINKS))
def test_97_asymmetric_link_stops_nobody_who_still_has_a_quorum(make_stage, cut):
    """One direction of one link is dead: whichever it is, three members hear each other, and go on.

    Source: VOPR's asymmetric partitions.
    """
    stage = make_stage()
    one_way(stage, ALL_LINKS - {cut})
    stage.fill(40)  # every member's turn comes
    stage.run(20_000)
    good = clique(ALL_LINKS - {cut})
    assert stage.has(*[f"filler {number}" for number in range(1, 41)], members=good)


@pytest.mark.parametrize("seed", range(12))
def test_97_asymmetric_links_at_random_are_safe_always_and_live_where_a_quorum_hears_itself(make_stage, seed):
    """Each direction of each link is dead with a chance of a quarter."""
    chance = Prng(seed)
    links = frozenset(link for link in sorted(ALL_LINKS) if not chance.chance(250))
    stage = make_stage()
    one_way(stage, links)
    stage.fill(20)
    stage.run(60_000)
    good = clique(links)
    if good:
        assert stage.has(*[f"filler {number}" for number in range(1, 21)], members=good)
    stage.heal()
    stage.run_until(lambda: stage.has(*[f"filler {number}" for number in range(1, 21)]), 30_000)


def test_97_asymmetric_ring_where_nobody_sees_a_quorum_of_a_kind(make_stage):
    """Each sees two of three others, and no three see each other: safe, and whole again afterwards.

    Source: Jepsen's majorities-ring.
    """
    stage = make_stage()
    one_way(stage, frozenset(link for link in ALL_LINKS if (link[0] - link[1]) % 4 != 2))
    stage.fill(6)
    stage.run(60_000)
    stage.heal()
    stage.run_until(lambda: stage.has(*[f"filler {number}" for number in range(1, 7)]), 30_000)


@pytest.mark.parametrize("seed", range(4))
def test_98_flapping_and_swizzled_links_end_in_progress(seed):
    """All members' links are held up one after the other and let go in another order; single links come and go.
    The run's own judges demand a commit within bounded time after the last event.

    Source: FoundationDB's swizzle-clog.
    """
    chance = Prng(seed)
    clogs = [Disturbance(500 + 300 * member, CLOG, (member,), 1500 + chance.below(4000)) for member in range(4)]
    pairs = [(chance.below(4), 1 + chance.below(3)) for _ in range(30)]
    flaps = [
        Disturbance(6000 + 120 * index, CUT, (a, (a + step) % 4), 30 + chance.below(400))
        for index, (a, step) in enumerate(pairs)
    ]
    _, cluster = play(Plan(seed=seed, transactions=60, heal_ms=10_000, disturbances=(*clogs, *flaps)))
    assert cluster.recovery_ms is not None
    assert cluster.recovery_ms <= 10 * cluster.patience_ms


@pytest.mark.parametrize("seed", range(3))
def test_99_loss_and_repetition_slow_it_down_and_do_not_stop_it(seed):
    """Three of ten messages lost, half of the others repeated, some ten times as late: most is ordered all the same,
    before anything is healed.

    Source: the ranges of VOPR's swarm.
    """
    network = NetworkFaults(loss_permille=300, duplicate_permille=500, delay_max_ms=100, slow_permille=50)
    count, _ = play(Plan(seed=seed, transactions=100, heal_ms=20_000, network=network))
    assert count.between(0, 20_000) >= 70


# ── 100 ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def service(tmp_path, consortium):
    """A validator's answers over forty sealed blocks and one that is not sealed. There is no consensus behind it."""
    store = BlockStore(tmp_path / "blocks")
    for record in consortium.chain(40):
        store.put(record)
    unsealed = consortium.transaction(41)
    store.put(consortium.record(store.tip(), Batch(0, 41, 0, 0, 9000, (identify(unsealed)[1],)), [unsealed], ()))
    made = ValidatorService(
        genesis=consortium.genesis,
        store=store,
        mempool=Mempool(Limits()),
        intake=None,
        status=lambda: None,
        halted=lambda: "its storage failed",
        evidence=EvidenceBook(tmp_path / "evidence", consortium.genesis),
    )
    yield made
    store.close()


async def read(service, request, kind):
    return msgspec.msgpack.decode(await service.handle(None, msgspec.msgpack.encode(request)), type=kind)


async def test_100_reads_need_no_consensus_and_show_sealed_heights_only(service, consortium):
    """There is no fast path for reads that votes could starve: a node answers from what a quorum sealed, with the seal
    as proof, also when it is halted and nobody orders anything.

    Source: Berger et al., "Making Reads in BFT State Machine Replication Fast, Linearizable, and Live".
    """
    found = await read(service, GetBlocks(39, 41, False), list[BlockRecord])
    assert [record.height for record in found] == [39, 40]
    for record in found:
        verify_sealed_header(record.block.header, record.seal, consortium.genesis.validators)


async def test_100_reads_let_votes_go_first(service):
    """A long read stands back after every few blocks: what waits to be stepped is stepped in between."""
    turns = 0

    async def votes():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(votes())
    await asyncio.sleep(0)
    before = turns
    await read(service, GetBlocks(0, 40, False), list[BlockRecord])
    waiting.cancel()
    assert turns - before >= 41 // BLOCKS_BEFORE_YIELD


def test_100_reads_that_one_node_starves_are_asked_of_the_next(consortium):
    """A node that does not answer, and one that is behind the client's own write, are passed over for another."""
    core = Core(
        ["http://a", "http://b", "http://c"], None, consortium.genesis, timeout_s=10, gas_limit=1, clock=lambda: 0
    )
    flow = core.get("/v1/blocks", min_height=7)
    asked = [next(flow)]
    asked.append(flow.send(NoAnswer("timed out", sent=True)))
    asked.append(flow.send(Answer(409, {}, b'{"code": "height_not_reached"}')))
    with pytest.raises(StopIteration) as done:
        flow.send(Answer(200, {"content-type": "application/json"}, b'{"sealed_height": 7}'))
    assert done.value.value == {"sealed_height": 7}
    assert len({ask.url for ask in asked}) == 3
    assert all(isinstance(ask, Ask) and ask.params == {"min_height": "7"} for ask in asked)


# ── 101 ───────────────────────────────────────────────────────────────────────────────────────────


def far_ahead(forge, sender):
    """Valid messages of one member: each for another height, or another view."""
    for number in range(1, 1500):
        for height, view in ((number, 0), (1, number), (10**9 + number, number), (number, 10**9 + number)):
            batch = forge.batch(height, (f"{number}",), view=view, proposer=sender)
            yield forge.sign(PREPARE, sender, Vote(0, view, height, sender, batch.digest))
            yield forge.sign(COMMIT, sender, Vote(0, view, height, sender, batch.digest))
            yield forge.sign(PRE_PREPARE, sender, Vote(0, view, height, sender, batch.digest), (batch,))
        yield forge.sign(CHECKPOINT, sender, Checkpoint(0, number, sender, bytes(32)))
        yield forge.sign(SUSPECT, sender, Suspect(0, number, number, sender))
        yield forge.sign(VIEW_CHANGE, sender, ViewChange(0, number, sender, None, ()))


def test_101_future_message_flood_fills_no_more_than_the_windows(forge, make_solo):
    """Every message is valid, and for a place of its own. What is kept is one a member, kind and place in two windows
    and a few views (P2.7); one SUSPECT and one VIEW-CHANGE; nothing is asked for or sent.

    Source: Celo 183, Charon 524, Diem 1325.
    """
    solo = make_solo(member=1)
    core = solo.replica._core
    sent = []
    for number, envelope in enumerate(far_ahead(forge, 2)):
        sent += solo.hear(envelope)
        if number % 500 == 0:
            assert deep_excess(core, 4, core.window) == ""
    assert [action for action in sent if not isinstance(action, actions.SetTimer)] == []
    assert deep_excess(core, 4, core.window) == ""
    assert sorted(core.slots) == list(range(1, BUFFERED_WINDOWS * core.window + 1))
    assert {view for slot in core.slots.values() for view in slot.rounds} <= set(range(FUTURE_VIEWS_MAX + 1))
    assert (len(core.view_changes), len(core.suspects)) == (1, 1)
    assert solo.replica.view == 0
    assert sum(solo.replica.refused.values()) > 15_000


def test_101_future_message_flood_beside_honest_work_stops_nothing(make_stage):
    stage = make_stage(byzantine=[2])
    flood = far_ahead(stage.forge, 2)
    for _ in range(20):
        stage.hear(stage.correct, *[next(flood) for _ in range(50)])
        stage.fill(1)
    assert stage.heights("sealed_height") == [20, 20, 20]
    for replica in stage.replicas.values():
        assert deep_excess(replica._core, 4, stage.parameters.window) == ""


# ── 102 ───────────────────────────────────────────────────────────────────────────────────────────


def begging(forge, sender, count):
    """One member asks for everything, each time as if it had just started."""
    for number in range(1, count + 1):
        yield forge.status(sender, number=number, token=number, forgetful=True)


def test_102_missing_item_flood_is_answered_so_often_a_tick_and_no_more(forge, make_solo, tip_at):
    """A thousand questions in a tick cost a few answers; the next tick allows as many again (P7.2).

    Source: Tendermint, GHSA-cpqw-5g6w-h8rr.
    """
    blocks = forge.chain(8)
    solo = make_solo(member=0, tip=tip_at(blocks[7]))
    solo.commit(forge.batch(9, ("t9",)))
    answers = []
    for question in begging(forge, 3, 1000):
        answers.append([action for action in solo.hear(question) if isinstance(action, actions.Send)])
    answered = [each for each in answers if each]
    assert 1 <= len(answered) <= QUESTIONS_A_TICK_MAX + 1
    assert sum(map(len, answered)) <= (QUESTIONS_A_TICK_MAX + 1) * 8 * solo.replica._core.window
    solo.tick()
    again = [solo.hear(forge.status(3, number=2000 + each, token=2000 + each)) for each in range(1000)]
    assert 1 <= sum(bool(each) for each in again) <= QUESTIONS_A_TICK_MAX + 1


def test_102_missing_item_flood_delays_nobody_elses_votes():
    """Whoever fills its own queue waits in it: the others' messages are taken in turn."""
    box = inbox.Inbox()
    for number in range(5000):
        box.add(3, events.Received(b"beg %d" % number, NOW))
    for member in (0, 1):
        box.add(member, events.Received(b"vote of %d" % member, NOW))
    assert box.dropped == 5000 - inbox.MESSAGES_PER_MEMBER_MAX
    assert {box.take().data for _ in range(3)} == {b"beg 0", b"vote of 0", b"vote of 1"}


async def test_102_missing_item_flood_for_blocks_is_served_at_a_rate(tmp_path, consortium):
    """Blocks are asked for in a loop: one question at a time, and a rest after each answer."""
    store, sent = BlockStore(tmp_path / "blocks"), []
    for record in consortium.chain(5):
        store.put(record)
    sync = BlockSync(
        chain_id=consortium.genesis.chain_id,
        validators=consortium.genesis.validators,
        store=store,
        send=lambda member, frame: sent.append((member, read_peer_frame(frame))),
        fetched=print,
        failed=print,
    )
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < 10 * SERVE_INTERVAL_S:
        for _ in range(100):
            sync.serve(3, BlocksRequest(1, 5))
        await asyncio.sleep(0)
    served = len(sent)
    assert 1 <= served <= (loop.time() - began) / SERVE_INTERVAL_S + 1
    sync.serve(2, BlocksRequest(1, 5))  # another member does not wait for that one's rest
    await asyncio.sleep(SERVE_INTERVAL_S / 2)
    assert [member for member, _ in sent[served:]].count(2) == 1
    store.close()


async def test_102_missing_item_flood_for_bodies_has_a_budget():
    """A member that asks for bodies in a loop gets a second's worth, whatever it asks; another has its own."""
    sent = []
    body = bytes(1 << 20)
    desk = BodyDesk(get=lambda _: body, send=lambda member, frame: sent.append((member, len(frame))))
    for _ in range(1000):
        desk.serve(3, [bytes(32)])
    assert sum(size for _, size in sent) <= 2 * BUDGET_BYTES
    assert desk.refused >= 900
    desk.serve(2, [bytes(32)])
    assert sent[-1][0] == 2


def test_102_missing_item_flood_leaves_the_rate_of_the_others_as_it_is():
    """With a beggar, a flooder and a replayer in one, as much is ordered as without."""
    calm, _ = play(Plan(seed=102, transactions=200, heal_ms=10_000))
    flooded, _ = play(Plan(seed=102, transactions=200, heal_ms=10_000, byzantine=((3, "beg+flood+replay"),)))
    assert flooded.between(0, 10_000) >= calm.between(0, 10_000) // 2
