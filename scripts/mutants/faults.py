"""Which faults bring out which bug: seeds whose plans hold them are tried before the others. Only saves time.

A fault is named as the plan names it: a behaviour of a liar, a kind of disturbance, another way to be faulty. `loss`
is a network that loses a third of everything, `any-liar` a plan with a Byzantine member.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from consensus.simulation import Plan, swarm

HEAVY_LOSS_PERMILLE = 300
SMALL = 4  # members: such a run is quick

FAULTS: dict[str, tuple[str, ...]] = {
    "weak-quorum-prepares": ("conspire", "equivocate"),
    "second-vote-unreported": ("equivocate",),
    "second-proposal-unreported": ("equivocate",),
    "second-checkpoint-unreported": ("two_headers",),
    "member-index-off-by-one": ("mutate",),
    "prepare-signature-unchecked": ("impersonate",),
    "commit-signature-unchecked": ("impersonate",),
    "proposal-signature-unchecked": ("usurp",),
    "kind-not-signed": ("relabel",),
    "place-unchecked": ("mutate", "misplace"),
    "prepares-of-other-views": ("stuff", "mutate", "flood"),
    "commits-of-other-views": ("stuff", "mutate", "flood"),
    "certificate-with-one-good-signature": ("show_forged", "forged_final"),
    "certificate-with-repeated-signers": ("show_forged", "forged_final"),
    "certificate-of-a-weak-quorum": ("show_forged", "forged_final", "false_seal"),
    "repeated-transactions-allowed": ("misplace",),
    "oversized-batch-allowed": ("misplace",),
    "clock-of-the-primary-believed": ("misplace",),
    "anybody-proposes": ("usurp",),
    "bodies-not-awaited": ("make_up", "withhold"),
    "invalid-bodies-voted-for": ("make_up",),
    "window-unchecked": ("mutate", "slow-node"),
    "view-change-certificates-unchecked": ("show_forged",),
    "view-change-seal-unchecked": ("false_seal",),
    "view-change-signature-unchecked": ("usurp",),
    "lower-view-wins": ("partition", "show_old", "ring", "hide_one"),
    "null-batch-over-a-certificate": ("mute", "partition"),
    "one-view-change-is-heard": ("show_old", "hide_one", "hide_prepared"),
    "lowest-seal-is-the-base": ("old_seal", "hide_prepared", "false_seal"),
    "new-view-of-a-weak-quorum": ("hide_prepared", "partition"),
    "new-view-of-too-few-believed": ("short_new_view",),
    "new-view-of-one-member-repeated": ("short_new_view",),
    "new-view-choice-believed": ("wrong_proposals",),
    "new-view-from-anybody": ("forged_new_view",),
    "new-view-signatures-unchecked": ("forged_new_view",),
    "new-view-certificates-unchecked": ("short_new_view",),
    "stale-view-changes-in-a-new-view": ("short_new_view",),
    "old-new-view-entered": ("replay",),
    "votes-before-the-new-view": ("partition", "slow-node"),
    "prepared-batches-hidden": ("partition", "mute"),
    "first-certificate-stays": ("partition", "mute", "ring"),
    "delivered-again-by-the-new-view": ("mute", "partition"),
    "old-batch-judged-by-todays-clock": ("freeze", "clock"),
    "one-suspicion-moves": ("impatient",),
    "views-drift-apart": ("mute", "ring", "loss"),
    "suspect-signature-unchecked": ("usurp",),
    "old-suspicions-count": ("partition", "impatient"),
    "laggards-suspect": ("freeze", "slow-node"),
    "time-out-never-doubled": ("mute", "slow-node"),
    "time-out-uncapped": ("mute", "partition"),
    "time-out-never-reset": ("mute", "partition"),
    "seal-of-mixed-headers": ("two_headers", "wrong_header"),
    "checkpoint-signature-unchecked": ("two_headers",),
    "divergence-not-noticed": ("diverges", "crash", "power-cut"),
    "seal-needs-everybody": ("mute",),
    "checkpoints-not-sent-again": ("loss", "partition", "ring"),
    "votes-kept-for-any-height": ("flood",),
    "votes-kept-for-any-view": ("flood",),
    "fetched-seal-unchecked": ("any-liar", "crash", "freeze"),
    "fetched-header-unchecked": ("any-liar", "crash", "freeze"),
    "fetched-batch-unchecked": ("any-liar", "crash", "freeze"),
    "status-seal-unchecked": ("false_seal",),
    "handed-over-certificate-unchecked": ("forged_final",),
    "final-heights-kept-to-oneself": ("loss", "partition", "ring"),
    "status-not-answered": ("loss",),
    "source-never-changed": ("any-liar", "crash", "freeze"),
    "fetch-never-given-up": ("any-liar", "crash", "freeze"),
    "certificate-not-persisted": ("power-cut", "crash-at"),
    "commit-certificate-not-persisted": ("power-cut",),
    "new-view-not-persisted": ("crash-at", "power-cut"),
    "restart-forgets-votes": ("power-cut", "crash-at"),
    "restart-forgets-the-view-change": ("power-cut", "crash-at"),
    "restart-forgets-the-view": ("power-cut",),
    "restart-forgets-what-was-prepared": ("power-cut",),
    "restart-forgets-the-halt": ("diverges", "crash", "power-cut"),
    "journal-ends-at-the-seal": ("power-cut", "crash"),
    "proposals-and-votes-share-a-place": ("power-cut",),
    "lost-journal-trusted": ("forgetful",),
    "doubt-ends-at-once": ("forgetful",),
    "doubt-ends-too-early": ("forgetful",),
    "restored-journal-trusted": ("restored",),
}


def fitting_first(mutant: str, seeds: Iterable[int]) -> list[int]:
    """These seeds: first those of small clusters whose plans hold most of what brings out the mutant."""
    wanted = FAULTS.get(mutant, ())

    def misfit(seed: int) -> tuple[int, bool, int]:
        plan = swarm(seed)
        return -len(_faults(plan).intersection(wanted)), plan.members > SMALL, seed

    return sorted(seeds, key=misfit)


def _faults(plan: Plan) -> set[str]:
    """What goes wrong in a plan, by name."""
    behaviours = {each for _, names in plan.byzantine for each in names.split("+")}
    kinds = {each.kind for each in plan.disturbances}
    others: Sequence[tuple[str, object]] = (
        ("any-liar", plan.byzantine),
        ("forgetful", plan.forgetful),
        ("restored", plan.restored),
        ("diverges", plan.diverges),
        ("loss", plan.network.loss_permille >= HEAVY_LOSS_PERMILLE),
    )
    return behaviours | kinds | {name for name, there in others if there}
