"""Bugs of the normal case: what counts as a vote, a proposal, a quorum, a certificate (docs/protocol.md, 2 and 3)."""

from __future__ import annotations

from scripts.mutants.mutant import Edit, Mutant

A = "A. ordering and voting"

MUTANTS = (
    Mutant(
        "quorum-one-short",
        A,
        "quorum arithmetic",
        "a quorum is one vote smaller, so two quorums overlap in a faulty member only",
        (
            Edit(
                "consensus.committee:Committee.__init__",
                "self.quorum = quorum_power(self.total)",
                "self.quorum = quorum_power(self.total) - 1",
            ),
        ),
    ),
    Mutant(
        "weak-quorum-prepares",
        A,
        "quorum arithmetic",
        "COMMIT rests on a weak quorum of PREPAREs",
        (Edit("consensus.ordering:_commit", ">= core.committee.quorum", ">= core.committee.weak_quorum"),),
    ),
    Mutant(
        "weak-quorum-commits",
        A,
        "quorum arithmetic",
        "a weak quorum of COMMITs makes a batch final",
        (
            Edit(
                "consensus.ordering:_conclude",
                "digest_with(core.committee.quorum)",
                "digest_with(core.committee.weak_quorum)",
            ),
        ),
    ),
    Mutant(
        "vote-counted-every-time",
        A,
        "the same vote delivered many times",
        "a member's vote weighs again each time it arrives",
        (
            Edit("consensus.ordering:on_vote", "if found and held:", "if found and held and held[0] != vote.digest:"),
            Edit("consensus.slot:Votes.add", "if member in self._by_member:", "if member < 0:"),
        ),
    ),
    Mutant(
        "votes-of-any-digest-prepare",
        A,
        "an equivocating primary",
        "PREPAREs are counted by height, whatever they name",
        (Edit("consensus.slot:Votes.power", "self._power.get(digest, 0)", "self.voted_power"),),
    ),
    Mutant(
        "votes-of-any-digest-commit",
        A,
        "an equivocating primary",
        "a batch is final when a quorum committed to anything",
        (Edit("consensus.slot:Votes.digest_with", "if behind >= power:", "if self.voted_power >= power:"),),
    ),
    Mutant(
        "second-vote-unreported",
        A,
        "a backup equivocates votes",
        "a second, different vote of one member is dropped, and the evidence with it",
        (
            Edit(
                "consensus.ordering:report_double_vote",
                "    core.evidence(vote.sender, Envelope(envelope.kind, first.encode(), held[1]), envelope)\n",
                "",
            ),
        ),
    ),
    Mutant(
        "second-proposal-unreported",
        A,
        "an equivocating primary",
        "a second, different proposal of one member is dropped, and the evidence with it",
        (
            Edit(
                "consensus.ordering:_is_known",
                "        core.evidence(vote.sender, open_envelope(held.envelope)[0], envelope)\n",
                "",
            ),
        ),
    ),
    Mutant(
        "second-checkpoint-unreported",
        A,
        "a backup equivocates votes",
        "a second, different CHECKPOINT of one member is dropped, and the evidence with it",
        (
            Edit(
                "consensus.sealing:_report_double_vote",
                "    core.evidence(checkpoint.sender, Envelope(CHECKPOINT, first.encode(), held[1]), envelope)\n",
                "",
            ),
        ),
    ),
    Mutant(
        "member-index-off-by-one",
        A,
        "a vote from a non-member",
        "an index one past the last member is let through",
        (Edit("consensus.core:Core.require_member", "sender >= self", "sender > self"),),
    ),
    Mutant(
        "prepare-signature-unchecked",
        A,
        "the sender is not the signer",
        "PREPAREs are believed without their signature",
        (
            Edit(
                "consensus.ordering:on_vote",
                "    core.require_signature(envelope, vote.sender)\n",
                "    if envelope.kind == COMMIT:\n        core.require_signature(envelope, vote.sender)\n",
            ),
        ),
    ),
    Mutant(
        "commit-signature-unchecked",
        A,
        "the sender is not the signer",
        "COMMITs are believed without their signature",
        (
            Edit(
                "consensus.ordering:on_vote",
                "    core.require_signature(envelope, vote.sender)\n",
                "    if envelope.kind == PREPARE:\n        core.require_signature(envelope, vote.sender)\n",
            ),
        ),
    ),
    Mutant(
        "proposal-signature-unchecked",
        A,
        "the sender is not the signer",
        "anybody proposes in the primary's name",
        (Edit("consensus.ordering:on_pre_prepare", "    core.require_signature(envelope, vote.sender)\n", ""),),
    ),
    Mutant(
        "kind-not-signed",
        A,
        "a vote replayed as one of another kind",
        "the kind is no part of the signed bytes: a PREPARE's signature passes for a COMMIT",
        (Edit("ledger.crypto:signing_message", 'kind.encode("ascii")', 'b"vote"'),),
    ),
    Mutant(
        "place-unchecked",
        A,
        "the height of a proposal changed for one receiver",
        "a batch made for another height or view is accepted",
        (
            Edit(
                "consensus.ordering:_require_own_batch",
                "if place != (vote.epoch, vote.height, vote.view, vote.sender) or",
                "if not place or",
            ),
        ),
    ),
    Mutant(
        "prepares-of-other-views",
        A,
        "a certificate assembled from different slots",
        "PREPAREs of any view count for the current one",
        (
            Edit(
                "consensus.ordering:on_vote",
                ".round(vote.view)",
                ".round(core.view if envelope.kind == PREPARE else vote.view)",
            ),
        ),
    ),
    Mutant(
        "commits-of-other-views",
        A,
        "a certificate assembled from different slots",
        "COMMITs of any view count for the current one",
        (
            Edit(
                "consensus.ordering:on_vote",
                ".round(vote.view)",
                ".round(core.view if envelope.kind == COMMIT else vote.view)",
            ),
        ),
    ),
    Mutant(
        "certificate-with-one-good-signature",
        A,
        "a certificate with garbage signatures in it",
        "a certificate holds if any of its signatures does",
        (Edit("consensus.certificates:_all_signed", "and all(", "and any("),),
    ),
    Mutant(
        "certificate-with-repeated-signers",
        A,
        "duplicate signers inside a certificate",
        "one member's signature, repeated, makes a quorum",
        (
            Edit(
                "consensus.certificates:is_quorum", "if not last < signature.member", "if not last <= signature.member"
            ),
        ),
    ),
    Mutant(
        "certificate-of-a-weak-quorum",
        A,
        "quorum arithmetic",
        "certificates from others need a weak quorum only",
        (Edit("consensus.certificates:is_quorum", "committee.quorum", "committee.weak_quorum"),),
    ),
    Mutant(
        "repeated-transactions-allowed",
        A,
        "a primary's improper batch",
        "a batch may name one transaction twice",
        (Edit("consensus.ordering:_is_improper", " or len(set(batch.hashes)) != count", ""),),
    ),
    Mutant(
        "oversized-batch-allowed",
        A,
        "a primary's improper batch",
        "a batch may be larger than a block",
        (Edit("consensus.ordering:_is_improper", " <= core.parameters.block_transactions_max", ""),),
    ),
    Mutant(
        "clock-of-the-primary-believed",
        A,
        "a primary's improper batch",
        "the batch's time is not compared with one's own clock",
        (Edit("consensus.ordering:accept", "<= core.parameters.clock_drift_max_ms", ">= 0"),),
    ),
    Mutant(
        "anybody-proposes",
        A,
        "a proposal from a backup",
        "a proposal is accepted from whoever signs it",
        (
            Edit(
                "consensus.ordering:on_pre_prepare",
                '        raise MessageRefused("not_the_primary")\n',
                "        pass\n",
            ),
        ),
    ),
    Mutant(
        "bodies-not-awaited",
        A,
        "a vote without the bodies",
        "PREPARE goes out before the bodies are durable",
        (Edit("consensus.ordering:_has_bodies", "return state == READY", "return state != REFUSED"),),
    ),
    Mutant(
        "invalid-bodies-voted-for",
        A,
        "a primary proposes invalid transactions",
        "a batch with invalid transactions is taken for a good one",
        (Edit("consensus.ordering:on_bodies", "READY if valid else REFUSED", "READY"),),
    ),
    Mutant(
        "delivered-with-a-gap",
        A,
        "an out-of-order pipeline",
        "a final height is delivered before the one below it",
        (
            Edit(
                "consensus.ordering:advance",
                "core.slots.get(core.delivered_height + 1)",
                "core.slots.get(max([h for h, s in core.slots.items() if s.final], default=0))",
            ),
            Edit(
                "consensus.ordering:advance",
                "and slot.final:",
                "and slot.final and slot.height > core.delivered_height:",
            ),
        ),
    ),
    Mutant(
        "window-unchecked",
        A,
        "a primary that exhausts the window",
        "votes are cast two windows above the seal",
        (Edit("consensus.safety:Safety.may_vote_at", "+ self._window", "+ 2 * self._window"),),
    ),
)
