"""Bugs of checkpoints and seals (docs/protocol.md, rules P3.8, P3.9 and P6.3)."""

from __future__ import annotations

from scripts.mutants.mutant import Edit, Mutant

C = "C. checkpoints and seals"

MUTANTS = (
    Mutant(
        "seal-of-a-weak-quorum",
        C,
        "a seal of too few",
        "a weak quorum of CHECKPOINTs makes a seal",
        (
            Edit(
                "consensus.sealing:_gather",
                "votes.digest_with(core.committee.quorum)",
                "votes.digest_with(core.committee.weak_quorum)",
            ),
        ),
    ),
    Mutant(
        "seal-of-mixed-headers",
        C,
        "a checkpoint certificate with mixed digests",
        "a quorum of CHECKPOINTs seals one's own header, whatever they name",
        (
            Edit(
                "consensus.sealing:_gather",
                "votes.digest_with(core.committee.quorum)",
                "core.executed.get(height) if votes.voted_power >= core.committee.quorum else None",
            ),
        ),
    ),
    Mutant(
        "checkpoint-signature-unchecked",
        C,
        "the sender is not the signer",
        "CHECKPOINTs are believed without their signature",
        (Edit("consensus.sealing:on_checkpoint", "    core.require_signature(envelope, checkpoint.sender)\n", ""),),
    ),
    Mutant(
        "sealed-before-execution",
        C,
        "a stable checkpoint before one's own execution",
        "a block is sealed by the others' votes before this member has executed it",
        (
            Edit(
                "consensus.sealing:advance",
                "in core.executed and height in core.seals",
                "in core.slots and height in core.seals",
            ),
        ),
    ),
    Mutant(
        "divergence-not-noticed",
        C,
        "a member whose execution differs",
        "one's own header is not compared with the sealed one",
        (
            Edit(
                "consensus.sealing:_require_same_header",
                "if seal is not None and",
                "if seal is None and seal is not None and",
            ),
        ),
    ),
    Mutant(
        "one-wrong-header-stops-all",
        C,
        "a wrong state root from one member",
        "what was not heard yet is taken for lost: one liar stops everybody",
        (Edit("consensus.sealing:_gather", "votes.highest_power() + unheard", "votes.highest_power() + 0 * unheard"),),
    ),
    Mutant(
        "seal-needs-everybody",
        C,
        "checkpoints withheld",
        "a seal waits for every member's CHECKPOINT",
        (
            Edit(
                "consensus.sealing:_gather",
                "votes.digest_with(core.committee.quorum)",
                "votes.digest_with(core.committee.total)",
            ),
        ),
    ),
    Mutant(
        "checkpoints-not-sent-again",
        C,
        "a laggard answered with silence",
        "a CHECKPOINT that was lost is lost for good",
        (
            Edit(
                "consensus.status:_send_checkpoints",
                "if sent is not None:",
                "if sent is not None and sealed_height < 0:",
            ),
        ),
    ),
    Mutant(
        "votes-kept-for-any-height",
        C,
        "a flood of votes for the future",
        "votes are kept for heights far above the window",
        (
            Edit(
                "consensus.core:Core.require_buffered",
                "if not self.sealed_height < height <= self.sealed_height + BUFFERED_WINDOWS * self.window:",
                "if not self.sealed_height < height:",
            ),
        ),
    ),
    Mutant(
        "votes-kept-for-any-view",
        C,
        "a flood of votes for the future",
        "votes are kept for views far ahead",
        (Edit("consensus.ordering:_require_place", "<= core.view + FUTURE_VIEWS_MAX or", "or"),),
    ),
)
