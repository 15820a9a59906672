"""What a certificate must be, wherever it comes from, and how much is a quorum. Scenarios 14, 15, 16, 17."""

import msgspec
import pytest

from consensus.messages import COMMIT, VIEW_CHANGE
from ledger.quorum import faulty_power_max, quorum_power, weak_quorum_power
from ledger.types import SealSignature

HEADER = b"\x5e" * 32
KINDS = ["commit", "prepared", "prepared in a NEW-VIEW", "seal", "seal in a VIEW-CHANGE"]


class Offer:
    """Hands member 1 certificates of one kind whose signatures the test chooses, by the way such ones travel."""

    def __init__(self, stage, kind):
        self.stage, self.forge, self.kind, self.batch = stage, stage.forge, kind, stage.forge.batch()

    def signature(self, member, **place):
        """That member's signature for the certificate's place, or for another one."""
        forge = self.forge
        if self.kind.startswith("seal"):
            chosen = {"height": 1, "header_hash": HEADER, "epoch": 0} | place
            return SealSignature(member, forge.checkpoint(member, **chosen).signature)
        vote = forge.commit if self.kind == "commit" else forge.prepare
        return SealSignature(member, vote(member, self.batch, **place).signature)

    def taken(self, signatures):
        """Whether a certificate of these signatures passes at member 1."""
        replica, forge, signatures = self.stage.replicas[1], self.forge, tuple(signatures)
        seal = msgspec.structs.replace(forge.seal(1, HEADER), signatures=signatures)
        prepared = msgspec.structs.replace(forge.prepared(self.batch), signatures=signatures)
        before = dict(replica.refused)
        if self.kind == "commit":
            final = msgspec.structs.replace(forge.committed(self.batch), signatures=signatures)
            self.stage.hear(1, forge.status(0, height=1, batches=[self.batch], final=(final,)))
        elif self.kind == "prepared":
            self.stage.hear(1, forge.view_change(0, 2, prepared=[(prepared, self.batch)]))
        elif self.kind == "prepared in a NEW-VIEW":
            leaving = [forge.view_change(0, 2, prepared=[(prepared, self.batch)])]
            leaving += [forge.view_change(each, 2) for each in (2, 3)]
            self.stage.hear(1, forge.new_view(leaving, 2, batches=[self.batch]))
        elif self.kind == "seal":
            self.stage.hear(1, forge.status(0, height=1, seal=seal))
        else:
            self.stage.hear(1, forge.view_change(0, 2, seal))
        return self._consequence(replica, before)

    def _consequence(self, replica, before):
        """Refused means counted as such, and no effect at all; taken means nothing was refused, and the effect."""
        effect = {
            "commit": lambda: bool(self.stage.delivered(1)),
            "prepared": lambda: True,
            "prepared in a NEW-VIEW": lambda: replica.view == 2,
            "seal": lambda: replica.peers[0].sealed_height == 1,
            "seal in a VIEW-CHANGE": lambda: replica.peers[0].sealed_height == 1,
        }[self.kind]()
        if replica.refused == before:
            assert effect
            return True
        reasons = {"invalid_certificate", "invalid_seal"}
        assert sum(replica.refused.get(each, 0) - before.get(each, 0) for each in reasons) == 1
        assert self.kind == "prepared" or not effect
        return False


@pytest.fixture
def offer(make_stage):
    def make(kind):
        return Offer(make_stage(byzantine={0, 2, 3}), kind)

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_14_signatures_for_other_places_make_no_certificate(offer, kind):
    """Two signatures for the place and one for another view, height, epoch or digest: refused; every signature must be
    for the very place that the certificate names (P2.4). BFT-SMaRt pull request 121."""
    seal = kind.startswith("seal")
    places = [{"height": 2}, {"epoch": 1}]
    places += [{"header_hash": b"\x5f" * 32}] if seal else [{"view": 1}, {"digest": bytes(32)}]
    for place in places:
        for odd in (0, 2, 3):
            each = offer(kind)
            assert not each.taken(each.signature(m, **(place if m == odd else {})) for m in (0, 2, 3))
    each = offer(kind)
    assert each.taken(each.signature(member) for member in (0, 2, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_14_nor_do_signatures_under_another_kind_of_message(offer, kind):
    """PREPAREs are no COMMITs, COMMITs no PREPAREs, neither are CHECKPOINTs (P2.1)."""
    each = offer(kind)
    wrong = offer("prepared" if kind == "commit" else "commit")
    assert not each.taken(wrong.signature(member) for member in (0, 2, 3))
    assert each.taken(each.signature(member) for member in (0, 2, 3))


def test_14_votes_that_arrive_for_different_views_do_not_add_up(make_stage):
    """A quorum's PREPAREs for one batch, two of this view and one of the next, are no certificate; nor are COMMITs of
    three views. One more of the same view is what it takes (P3.5, P3.6)."""
    stage = make_stage(byzantine={0, 2, 3})
    forge, batch = stage.forge, stage.forge.batch()
    stage.hear(1, forge.pre_prepare(batch), forge.prepare(0, batch), forge.prepare(2, batch, view=1))
    stage.hear(1, forge.prepare(3, batch, view=2))
    assert stage.said(1, COMMIT) == []
    stage.hear(1, *[forge.commit(member, batch, view=view) for member, view in ((0, 0), (2, 1), (3, 2))])
    assert stage.delivered(1) == []
    stage.hear(1, forge.prepare(2, batch))
    assert len(stage.said(1, COMMIT)) == 1
    assert stage.delivered(1) == []
    stage.hear(1, forge.commit(3, batch))
    assert stage.delivered(1) == [(1, batch.digest)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("members", [(0, 2, 2), (2, 2, 2), (0, 0, 2, 2), (0, 2, 2, 3), (0, 3, 2), (3, 2, 0)])
def test_15_a_member_signs_a_certificate_once_and_in_its_place(offer, kind, members):
    """Three entries, two of them by member 2, are two members; and one order is the only form, so (0, 2, 2, 3) is none
    either (P2.4). Besu, validationFailsIfPiggybackedPreparePayloadHasDuplicatedAuthors."""
    each = offer(kind)
    assert not each.taken(each.signature(member) for member in members)
    assert each.taken(each.signature(member) for member in sorted(set(members) | {0, 2, 3}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [0, 1, 2, 3, 4, 1023])
def test_16_one_bad_signature_spoils_a_certificate_wherever_it_stands(offer, kind, bad):
    """A quorum of valid signatures and one that is not, or that is nobody's: refused whole, in every position, by every
    replica alike; without it, and with all four valid, it passes (P2.4).

    CometBFT's change log: all signatures that are present in evidence must be verified.
    """
    each = offer(kind)
    entries = [each.signature(member) for member in range(4) if member != bad]
    garbage = SealSignature(bad, b"\x13" * 64)
    assert not each.taken(sorted([*entries, garbage], key=lambda entry: entry.member))
    assert each.taken(entries)


@pytest.mark.parametrize("kind", KINDS)
def test_16_more_than_a_quorum_of_valid_ones_is_as_good(offer, kind):
    """All four members' signatures; and two, which are too few."""
    each = offer(kind)
    assert not each.taken(each.signature(member) for member in (0, 2))
    assert each.taken(each.signature(member) for member in range(4))


# ── 17: how much is a quorum ──────────────────────────────────────────────────────────────────────

QUORUMS = {1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5, 8: 6, 9: 7, 10: 7}


@pytest.mark.parametrize(("members", "quorum"), QUORUMS.items())
def test_17_quorums_of_every_size(members, quorum):
    """The quorum is n - f with f the largest integer below n / 3, and not two thirds of something rounded; any two
    share more than a third; below four members none may fail (P1.1).

    SmartBFT, TestQuorum; Iroha 1.1.1, a wrong supermajority; indy-plenum pull request 673.
    """
    faulty = max(each for each in range(members) if 3 * each < members)
    assert quorum_power(members) == quorum == members - faulty
    assert faulty_power_max(members) == faulty
    assert weak_quorum_power(members) == faulty + 1
    assert 3 * (2 * quorum - members) > members
    assert members >= 4 or faulty == 0


@pytest.mark.parametrize("members", [2, 3, 5, 6, 7, 8, 9, 10])
def test_17_a_cluster_bears_exactly_that_many_absent_members(make_stage, members):
    """With f members away it commits; with one more nothing is ever final, and it goes on when that one is back."""
    faulty = members - QUORUMS[members]
    stage = make_stage(members)
    stage.crash(*range(members - faulty, members))
    stage.submit("a")
    stage.settle()
    running = list(range(members - faulty))
    assert stage.has("a", members=running)

    stage.crash(members - faulty - 1)
    stage.submit("b")
    stage.run(20_000)
    assert {height for _, height, _ in stage.deliveries} == {1}
    assert not any(stage.said(member, VIEW_CHANGE) for member in running) or weak_quorum_power(members) <= len(running)

    stage.start(members - faulty - 1)
    stage.run_until(lambda: stage.has("b", members=running))
    assert {len(stage.chain(member)) for member in running} == {2}
