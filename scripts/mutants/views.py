"""Bugs of the view change: what a new view must start from, and what moves a member (docs/protocol.md, 4 and 5)."""

from __future__ import annotations

from scripts.mutants.mutant import Edit, Mutant

B = "B. view change"

MUTANTS = (
    Mutant(
        "view-change-certificates-unchecked",
        B,
        "a VIEW-CHANGE that claims a certificate",
        "what a VIEW-CHANGE says was prepared is believed",
        (
            Edit(
                "consensus.view_change:require_view_change",
                "if not prepared_holds(committee, certificate):",
                "if not committee:",
            ),
        ),
    ),
    Mutant(
        "view-change-seal-unchecked",
        B,
        "a VIEW-CHANGE that claims a seal",
        "a VIEW-CHANGE's seal is believed",
        (Edit("consensus.view_change:require_view_change", "or not seal_holds(committee, body.seal)", ""),),
    ),
    Mutant(
        "view-change-signature-unchecked",
        B,
        "the sender is not the signer",
        "anybody leaves in another member's name",
        (Edit("consensus.view_changing:on_view_change", "    core.require_signature(envelope, body.sender)\n", ""),),
    ),
    Mutant(
        "lower-view-wins",
        B,
        "two certificates at one height",
        "of two certificates at one height, that of the lower view is proposed again",
        (Edit("consensus.view_change:choose", "rival.view < certificate.view", "rival.view > certificate.view"),),
    ),
    Mutant(
        "null-batch-over-a-certificate",
        B,
        "a null batch where a certificate exists",
        "the first height of the range gets the null batch, certificate or not",
        (
            Edit(
                "consensus.view_change:choose",
                "certificate.height > base_height and",
                "certificate.height > base_height + 1 and",
            ),
        ),
    ),
    Mutant(
        "one-view-change-is-heard",
        B,
        "a certificate dropped by the new primary",
        "the start of a view follows from one VIEW-CHANGE instead of all",
        (Edit("consensus.view_change:choose", "for body in view_changes:", "for body in view_changes[-1:]:"),),
    ),
    Mutant(
        "lowest-seal-is-the-base",
        B,
        "a base chosen from different seals",
        "a view starts above the lowest of the seals that were shown",
        (Edit("consensus.view_change:choose", "base = max(seals", "base = min(seals"),),
    ),
    Mutant(
        "new-view-of-a-weak-quorum",
        B,
        "a NEW-VIEW of too few",
        "a view starts when a weak quorum has left for it",
        (
            Edit(
                "consensus.view_change:open_view_changes",
                "if power < committee.quorum:",
                "if power < committee.weak_quorum:",
            ),
            Edit("consensus.view_changing:advance", ">= core.committee.quorum", ">= core.committee.weak_quorum"),
        ),
    ),
    Mutant(
        "new-view-of-too-few-believed",
        B,
        "a NEW-VIEW of too few",
        "a NEW-VIEW from another member is entered with a weak quorum in it",
        (
            Edit(
                "consensus.view_change:open_view_changes",
                "if power < committee.quorum:",
                "if power < committee.weak_quorum:",
            ),
        ),
    ),
    Mutant(
        "new-view-of-one-member-repeated",
        B,
        "a NEW-VIEW with a repeated VIEW-CHANGE",
        "one member's VIEW-CHANGE, repeated, makes a quorum",
        (Edit("consensus.view_change:open_view_changes", ") < view_change.sender <", ") <= view_change.sender <"),),
    ),
    Mutant(
        "new-view-choice-believed",
        B,
        "a NEW-VIEW that proposes something else",
        "what a NEW-VIEW proposes again is not recomputed",
        (
            Edit(
                "consensus.view_changing:on_new_view",
                "    _require_chosen_batches(choice, envelope.batches)\n",
                "",
            ),
            Edit(
                "consensus.view_change:proposals",
                "by_height[height] if certificate",
                "by_height[height] if height in by_height",
            ),
        ),
    ),
    Mutant(
        "new-view-from-anybody",
        B,
        "a NEW-VIEW from the wrong primary",
        "any member may start a view",
        (
            Edit(
                "consensus.view_changing:on_new_view",
                "if body.sender != core.committee.primary(body.view):",
                "if body.sender >= core.committee.size:",
            ),
        ),
    ),
    Mutant(
        "new-view-signatures-unchecked",
        B,
        "a NEW-VIEW with forged VIEW-CHANGEs",
        "the VIEW-CHANGEs inside a NEW-VIEW are believed without their signatures",
        (
            Edit(
                "consensus.view_changing:_require_checked",
                "if not core.committee.signed_by(VIEW_CHANGE, view_change.sender, signed.body, signed.signature):",
                "if not VIEW_CHANGE:",
            ),
        ),
    ),
    Mutant(
        "new-view-certificates-unchecked",
        B,
        "one bad VIEW-CHANGE inside of a NEW-VIEW",
        "the certificates inside a NEW-VIEW are not checked",
        (
            Edit(
                "consensus.view_changing:_require_checked",
                "    require_view_change(core.committee, core.window, view_change)\n",
                "",
            ),
        ),
    ),
    Mutant(
        "stale-view-changes-in-a-new-view",
        B,
        "a stale VIEW-CHANGE replayed",
        "VIEW-CHANGEs for other views count in a NEW-VIEW",
        (
            Edit(
                "consensus.view_change:open_view_changes",
                "if view_change.view != body.view or view_change.epoch != body.epoch:",
                "if view_change.epoch != body.epoch:",
            ),
        ),
    ),
    Mutant(
        "old-new-view-entered",
        B,
        "a NEW-VIEW for an old view",
        "a NEW-VIEW is entered whatever was promised since",
        (Edit("consensus.safety:Safety.may_enter", "return view > self.view or", "return view >= 0 or"),),
    ),
    Mutant(
        "votes-before-the-new-view",
        B,
        "a vote in a view that has not started",
        "a member that left votes for what the next primary proposes, before any NEW-VIEW",
        (
            Edit("consensus.safety:Safety._vote", "if self.changing or not", "if not"),
            Edit("consensus.ordering:_advance_slot", "None if core.changing else slot", "slot"),
        ),
    ),
    Mutant(
        "prepared-batches-hidden",
        B,
        "a certificate dropped on the way",
        "VIEW-CHANGE shows no prepared certificate",
        (
            Edit("consensus.view_changing:_leave", "if slot and slot.prepared:", "if slot and not slot:"),
            Edit("consensus.safety:Safety.leave", "or not self._committed_heights() <= shown", ""),
        ),
    ),
    Mutant(
        "first-certificate-stays",
        B,
        "two certificates at one height",
        "VIEW-CHANGE shows the first certificate of a height, not its latest",
        (
            Edit(
                "consensus.ordering:_commit",
                "slot.prepared = certificate",
                "slot.prepared = slot.prepared or certificate",
            ),
        ),
    ),
    Mutant(
        "delivered-again-by-the-new-view",
        B,
        "delivered by a view change again",
        "entering a view delivers its range once more",
        (
            Edit(
                "consensus.view_changing:enter",
                "    core.touch_all()\n",
                "    core.touch_all()\n"
                "    core.delivered_height = min(core.delivered_height, max(core.sealed_height, choice.base_height))\n",
            ),
        ),
    ),
    Mutant(
        "old-batch-judged-by-todays-clock",
        B,
        "a batch proposed again is too old by the clock",
        "a re-proposal must be timely",
        (
            Edit(
                "consensus.view_changing:_propose_again",
                "timely=True",
                "timely=abs(batch.time_ms - core.now_ms) <= core.parameters.clock_drift_max_ms",
            ),
        ),
    ),
    Mutant(
        "one-suspicion-moves",
        B,
        "a single member jumps views",
        "one member's wish for another view is enough",
        (Edit("consensus.view_changing:wanted_view", ">= core.committee.weak_quorum", ">= 1"),),
    ),
    Mutant(
        "views-drift-apart",
        B,
        "views that drift apart",
        "a member joins a quorum only, not a weak quorum, and its timer waits for those in exactly its own view",
        (
            Edit("consensus.view_changing:wanted_view", ">= core.committee.weak_quorum", ">= core.committee.quorum"),
            Edit("consensus.liveness:_awaited", "left_power(core, VIEW_MAX)", "left_power(core, core.view)"),
        ),
    ),
    Mutant(
        "suspect-signature-unchecked",
        B,
        "the sender is not the signer",
        "anybody suspects in another member's name",
        (Edit("consensus.view_changing:on_suspect", "    core.require_signature(envelope, body.sender)\n", ""),),
    ),
    Mutant(
        "old-suspicions-count",
        B,
        "a stale suspicion replayed",
        "a SUSPECT of an earlier view counts in this one",
        (Edit("consensus.view_changing:_wish", "doubt.view == core.view", "core.view - 2 <= doubt.view <= core.view"),),
    ),
    Mutant(
        "laggards-suspect",
        B,
        "a member that is behind moves the others",
        "a SUSPECT about a height that is delivered here counts",
        (Edit("consensus.view_changing:_wish", "and doubt.height > core.delivered_height", ""),),
    ),
    Mutant(
        "timer-runs-when-idle",
        B,
        "a view change with no request pending",
        "the timer runs whether work waits or not",
        (Edit("consensus.liveness:_awaited", "if core.waiting or _in_flight(core) else None", ""),),
    ),
    Mutant(
        "time-out-never-doubled",
        B,
        "views that drift apart",
        "every view gets the same patience",
        (Edit("consensus.liveness:timeout_ms", "core.failed_views - 1", "core.failed_views * 0"),),
    ),
    Mutant(
        "time-out-uncapped",
        B,
        "time-outs that grow for ever",
        "the doubling has no limit",
        (
            Edit(
                "consensus.liveness:timeout_ms",
                "min(core.parameters.request_timeout_ms << doublings, core.parameters.timeout_max_ms)",
                "core.parameters.request_timeout_ms << doublings",
            ),
        ),
    ),
    Mutant(
        "time-out-never-reset",
        B,
        "time-outs that grow for ever",
        "progress does not restore the patience",
        (Edit("consensus.ordering:deliver", "    core.failed_views = 0\n", ""),),
    ),
)
