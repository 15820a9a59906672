"""View changes of members that do not stand at the same height, and their sizes. Scenarios 34, 35, 44, 45."""

import itertools

import pytest

from consensus.messages import (
    COMMIT,
    MESSAGE_BYTES_MAX,
    NEW_VIEW,
    PRE_PREPARE,
    PREPARE,
    SUSPECT,
    VIEW_CHANGE,
    VIEW_MAX,
    NewView,
    PreparedCertificate,
    SignedViewChange,
    ViewChange,
    open_envelope,
)
from ledger.errors import GenesisError
from ledger.genesis import _check_new_view_fits
from ledger.types import HEIGHT_MAX, Batch, Parameters, Seal, SealSignature

EVERYBODY = (0, 1, 2, 3)
TIMEOUT_MS, TIMEOUT_MAX_MS = 1000, 8000


# ── 34: where a view starts ───────────────────────────────────────────────────────────────────────


def header_hash(height):
    return bytes([height]) * 32


def standing_at(forge, sender, sealed, prepared, digests):
    """A VIEW-CHANGE for view 5 of a member with that seal, and certificates of view 1 at those heights."""
    seal = forge.seal(sealed, header_hash(sealed), (0, 1, 3)) if sealed else None
    pairs = [(forge.prepared(digests[height], (0, 1, 3)), digests[height]) for height in prepared]
    return forge.view_change(sender, 5, seal, pairs)


@pytest.mark.parametrize("seals", [(10, 0, 8, 0), (10, 10, 8, 0), (3, 2, 1, 0), (0, 0, 0, 0), (20, 10, 10, 0)], ids=str)
def test_34_every_quorum_of_view_changes_has_a_start(make_stage, seals):
    """Four members with different seals, each with certificates above its own: every quorum's VIEW-CHANGEs have a start
    that a member computes alone, above the highest seal among them, and a member at height 0 enters it (P4.5, P4.7).

    indy-plenum issue 1506: no common checkpoint was found, and the failing seeds were left out of its tests.
    """
    batches = {height: make_stage().forge.batch(height, (f"at {height}",), view=1) for height in range(1, 25)}
    for chosen in itertools.combinations(range(4), 3):
        stage = make_stage(byzantine={0, 1, 3})
        forge = stage.forge
        at = [
            standing_at(forge, sender, sealed, range(sealed + 1, sealed + 3), batches)
            for sender, sealed in enumerate(seals)
        ]
        base = max(seals[member] for member in chosen)
        right = [batches[height] for height in (base + 1, base + 2)]
        wrong = [[], right[:1], [batches[min(seals) + 1], *right]]
        for lie in wrong:
            stage.hear(2, forge.new_view([at[member] for member in chosen], 5, batches=lie))
        assert stage.replicas[2].refused == {"wrong_batches": len(wrong)}
        stage.hear(2, forge.new_view([at[member] for member in chosen], 5, batches=right))
        assert (stage.replicas[2].view, stage.replicas[2].changing_view) == (5, False)
        votes = [vote.height for vote in stage.said(2, PREPARE)]
        assert votes == [height for height in (base + 1, base + 2) if height <= stage.parameters.window]


# ── 35: a laggard is needed ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("laggard", [1, 2, 3])
@pytest.mark.parametrize("heights", [3, 10, 30])
def test_35_a_view_change_that_needs_a_laggard(make_stage, laggard, heights):
    """A member was cut off while the rest sealed up to four windows. It is back, the primary dies, and no quorum is
    without the laggard, which may lead the next view itself. It takes part in the view change, catches up, and then
    votes, without anybody's having to leave another view (P4.7, P7.4). concord-bft pull requests 1177 and 2707."""
    stage = make_stage(window=8)
    rest = [member for member in EVERYBODY if member != laggard]
    stage.cut(rest, {laggard})
    names = [str(number) for number in range(heights)]
    stage.submit(*names, to=rest)
    stage.run_until(lambda: stage.has(*names, members=rest))
    assert stage.replicas[laggard].sealed_height == 0
    stage.crash(0)
    stage.heal()
    stage.submit("after")
    took = stage.run_until(lambda: stage.has(*names, "after"))
    assert took <= 2 * TIMEOUT_MS
    assert stage.views() == [1, 1, 1]
    assert all(body.view == 1 for member in stage.replicas for body in stage.said(member, VIEW_CHANGE))


def test_35_it_enters_the_view_before_it_has_caught_up(make_stage):
    """Member 3 hears the whole view change while it lies ten heights back: it is in view 1 at once, and signs nothing
    until its window reaches the view's heights (P6.3)."""
    stage = make_stage()
    stage.cut({0, 1, 2}, {3})
    names = [str(number) for number in range(10)]
    stage.submit(*names, to=(0, 1, 2))
    stage.run_until(lambda: stage.has(*names, members=(0, 1, 2)))
    stage.lose(lambda packet: packet.kind == PRE_PREPARE)
    stage.submit("after", to=(0, 1, 2))
    stage.settle()
    stage.expire(0, 1, 2)
    stage.settle()
    start = next(packet.data for packet in stage.sent if packet.kind == NEW_VIEW)
    stage.hear(3, start)
    assert (stage.replicas[3].view, stage.replicas[3].changing_view) == (1, False)
    assert stage.said(3, PREPARE) == stage.said(3, COMMIT) == []
    stage.heal()
    stage.run_until(lambda: stage.has(*names, "after"))
    assert {vote.height for vote in stage.said(3, PREPARE)} <= {11}


# ── 44: sizes ─────────────────────────────────────────────────────────────────────────────────────


def test_44_a_view_change_of_a_full_window_of_full_batches_fits(make_stage):
    """Eight heights of 2,000 transactions each, the default, all prepared and none committed: every member's
    VIEW-CHANGE and the NEW-VIEW arrive, and all 16,000 are committed in view 1 (P2.3: batches ride beside, by their
    hashes)."""
    window, count = 8, 2000
    stage = make_stage(window=window, block_transactions_max=count)
    stage.lose(lambda packet: packet.kind == COMMIT)
    names = [str(number) for number in range(window * count)]
    stage.submit(*names)
    stage.settle()
    assert len(stage.said(0, PRE_PREPARE)) == window
    stage.heal()
    stage.expire(*EVERYBODY)
    stage.deliver(kind=SUSPECT)
    left = stage.waiting(kind=VIEW_CHANGE)
    assert {len(packet.body.prepared) for packet in left} == {window}
    assert {sum(len(batch.hashes) for batch in packet.envelope.batches) for packet in left} == {window * count}
    stage.settle()
    started = next(packet for packet in stage.sent if packet.kind == NEW_VIEW)
    assert max(len(packet.data) for packet in [*left, started]) < MESSAGE_BYTES_MAX // 32
    assert stage.views() == [1] * 4
    assert stage.heights("sealed_height") == [window] * 4
    assert len(stage.transactions(3)) == window * count


@pytest.mark.parametrize(("members", "window"), [(60, 64), (200, 8)])
def test_44_the_largest_new_view_that_a_genesis_allows_fits_a_message(make_stage, members, window):
    """As many members as a genesis may have with that window and 2,000 transactions a block: every one of them shows a
    seal and a certificate for every height, signed by all, as far up as numbers go. It is below the bound of a message,
    and opens. A genesis whose could be larger is refused when it is read."""
    forge = make_stage(members, byzantine=range(members), start=False).forge
    _check_new_view_fits(Parameters(window=window), members)
    with pytest.raises(GenesisError, match="the message that starts a view could take"):
        _check_new_view_fits(Parameters(window=window), 2 * members)
    top = HEIGHT_MAX - window
    signatures = tuple(SealSignature(member, bytes(64)) for member in range(members))
    hashes = tuple(bytes([number % 256]) * 32 for number in range(2000))
    batches = [
        Batch(0, top + each, VIEW_MAX - 1, members - 1, HEIGHT_MAX, hashes, top) for each in range(1, window + 1)
    ]
    certificates = tuple(PreparedCertificate(VIEW_MAX - 1, each.height, each.digest, signatures) for each in batches)
    seal = Seal(0, top, bytes(32), signatures)
    bodies = [ViewChange(0, VIEW_MAX, member, seal, certificates) for member in range(members)]
    signed = tuple(SignedViewChange(body.encode(), bytes(64)) for body in bodies)
    largest = forge.sign(NEW_VIEW, members - 1, NewView(0, VIEW_MAX, members - 1, signed), batches).encode()
    assert MESSAGE_BYTES_MAX // 3 < len(largest) < MESSAGE_BYTES_MAX
    assert open_envelope(largest)[0].kind == NEW_VIEW


# ── 45: a NEW-VIEW that few hear ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("backup", [0, 2, 3])
@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("then", ["healed at once", "healed late", "cut in two"])
def test_45_a_new_view_that_reaches_one_backup_only(make_stage, backup, prepared, then):
    """Member 1 starts view 1, and one backup alone hears of it, perhaps after a height was prepared in view 0. The
    others wait, then run out of patience; whatever the two sides hold, they meet in one view with the same chain
    (P4.2, P7.2).

    SmartBFT, TestNodePreparesTheRestInPartitionThenPartitionHeals.
    """
    stage = make_stage()
    stage.lose(lambda packet: packet.kind == (COMMIT if prepared else PRE_PREPARE))
    stage.submit("a")
    stage.settle()
    stage.heal()
    rule = stage.lose(lambda packet: packet.kind == NEW_VIEW and packet.receiver != backup)
    stage.expire(*EVERYBODY)
    stage.deliver(kind=SUSPECT)
    stage.deliver(kind=VIEW_CHANGE)
    stage.deliver(kind=NEW_VIEW)
    told = {1, backup}
    assert {member for member in EVERYBODY if not stage.replicas[member].changing_view} == told
    if then == "cut in two":
        stage.cut(told, set(EVERYBODY) - told)
    if then != "healed at once":
        stage.run(20_000)
        assert then == "healed late" or stage.deliveries == []
    stage.lost.clear()
    if then == "healed late":
        stage.lost.append(rule)
        stage.run(10_000)
        stage.heal()
    took = stage.run_until(lambda: stage.has("a"))
    assert took <= 2 * TIMEOUT_MAX_MS
    stage.submit("b")
    stage.run_until(lambda: stage.has("b"))
    assert len({tuple(stage.chain(member).items()) for member in EVERYBODY}) == 1
    if prepared:
        assert stage.chain(0)[1] == stage.said(0, PRE_PREPARE)[0].digest
