"""Bugs of those who follow: STATUS, commit certificates handed over, fetched blocks (docs/protocol.md, section 7)."""

from __future__ import annotations

from scripts.mutants.mutant import Edit, Mutant

D = "D. catching up"

MUTANTS = (
    Mutant(
        "fetched-seal-unchecked",
        D,
        "a single lying source",
        "a fetched block's seal is believed",
        (Edit("consensus.catch_up:_holds", "and seal_holds(core.committee, seal)", ""),),
    ),
    Mutant(
        "fetched-header-unchecked",
        D,
        "a wrong block at a height",
        "a fetched header is not compared with its seal",
        (Edit("consensus.catch_up:_holds", "and header.hash == seal.header_hash\n", "\n"),),
    ),
    Mutant(
        "fetched-batch-unchecked",
        D,
        "a wrong block at a height",
        "a fetched batch is not compared with its header",
        (Edit("consensus.catch_up:_holds", "and header.batch_digest == batch.digest\n", "\n"),),
    ),
    Mutant(
        "fetched-blocks-delivered-again",
        D,
        "delivered by catching up again",
        "a fetched block is delivered although its height is",
        (
            Edit(
                "consensus.catch_up:on_block_fetched",
                "if height == core.delivered_height + 1:",
                "if height <= core.delivered_height + 1:",
            ),
        ),
    ),
    Mutant(
        "status-seal-unchecked",
        D,
        "a claim of a height that does not exist",
        "the seal in a STATUS is believed",
        (
            Edit(
                "consensus.status:_take_seal",
                "if not seal_holds(core.committee, body.seal):",
                "if not core.committee:",
            ),
        ),
    ),
    Mutant(
        "handed-over-certificate-unchecked",
        D,
        "a commit certificate from a liar",
        "a commit certificate that a peer hands over is believed",
        (
            Edit(
                "consensus.ordering:on_final",
                "if not commit_holds(core.committee, certificate):",
                "if not core.committee:",
            ),
        ),
    ),
    Mutant(
        "final-heights-kept-to-oneself",
        D,
        "a laggard answered with silence",
        "who has a batch final neither votes for it in the next view nor hands over its certificate",
        (
            Edit(
                "consensus.ordering:_advance_slot",
                "if current and current.proposal:",
                "if current and current.proposal and not slot.final:",
            ),
            Edit(
                "consensus.status:_final_above",
                "if slot and slot.final and slot.final.certificate and",
                "if slot and not slot and",
            ),
        ),
    ),
    Mutant(
        "status-not-answered",
        D,
        "a laggard answered with silence",
        "what was lost on the way is not sent again",
        (Edit("consensus.status:on_status", "_answer(core, peer, body, before)", "pass"),),
    ),
    Mutant(
        "source-never-changed",
        D,
        "a source that does not deliver",
        "after a failure the same member is asked again",
        (Edit("consensus.catch_up:CatchUp.give_up", "self._turn = self.member + 1", "self._turn = self.member"),),
    ),
    Mutant(
        "fetch-never-given-up",
        D,
        "a source that stops half way",
        "a source that sends nothing is waited for",
        (Edit("consensus.catch_up:CatchUp.tick", "self._idle_ticks >= IDLE_TICKS_MAX", "self._idle_ticks < 0"),),
    ),
    Mutant(
        "laggards-do-not-fetch",
        D,
        "a laggard that never catches up",
        "a member behind waits for votes that nobody sends any more",
        (Edit("consensus.catch_up:CatchUp._start", "if member is None:", "if member is not None or member is None:"),),
    ),
)
