"""Bugs of what must survive a crash: records left out, written too late, not read again (docs/protocol.md, 6)."""

from __future__ import annotations

from scripts.mutants.mutant import Edit, Mutant

E = "E. storage, crash, amnesia"

MUTANTS = (
    Mutant(
        "sent-before-durable",
        E,
        "sign, crash, sign again",
        "a vote leaves before its record is on the disk",
        (
            Edit(
                "consensus.core:Core.grant",
                "    self.persist(*permit.records)\n    self.broadcast(permit.envelope)\n",
                "    self.broadcast(permit.envelope)\n    self.persist(*permit.records)\n",
            ),
        ),
    ),
    Mutant(
        "proposal-not-persisted",
        E,
        "sign, crash, sign again",
        "a primary does not record what it proposed",
        (
            Edit(
                "consensus.safety:Safety.propose",
                "(BatchHeld(digest, batch), Voted(PRE_PREPARE, vote, signature))",
                "(BatchHeld(digest, batch),)",
            ),
        ),
    ),
    Mutant(
        "prepare-not-persisted",
        E,
        "sign, crash, sign again",
        "PREPARE is not recorded",
        (
            Edit(
                "consensus.safety:Safety.prepare",
                "(BatchHeld(digest, batch), Voted(PREPARE, vote, signature))",
                "(BatchHeld(digest, batch),)",
            ),
        ),
    ),
    Mutant(
        "batch-not-persisted",
        E,
        "killed at a write point",
        "a vote's batch is not recorded with it",
        (
            Edit(
                "consensus.safety:Safety.prepare",
                "(BatchHeld(digest, batch), Voted(PREPARE, vote, signature))",
                "(Voted(PREPARE, vote, signature),)",
            ),
        ),
    ),
    Mutant(
        "certificate-not-persisted",
        E,
        "sign, crash, sign again",
        "COMMIT is recorded without the prepared certificate that it rests on",
        (
            Edit(
                "consensus.safety:Safety.commit", "Certified(certificate, signature)", "Voted(COMMIT, vote, signature)"
            ),
            Edit("consensus.safety:Safety.leave", "or not self._committed_heights() <= shown", ""),
        ),
    ),
    Mutant(
        "commit-certificate-not-persisted",
        E,
        "killed at a write point",
        "a batch is delivered before its commit certificate is durable",
        (Edit("consensus.ordering:_finish", ", CommitHeld(certificate))", ")"),),
    ),
    Mutant(
        "checkpoint-not-persisted",
        E,
        "sign, crash, sign again",
        "CHECKPOINT is not recorded",
        (Edit("consensus.safety:Safety.checkpoint", "(CheckpointSigned(checkpoint, signature),)", "()"),),
    ),
    Mutant(
        "view-change-not-persisted",
        E,
        "a restart during a view change",
        "VIEW-CHANGE is not recorded",
        (Edit("consensus.safety:Safety.leave", "(Left(body.view, envelope),)", "()"),),
    ),
    Mutant(
        "new-view-not-persisted",
        E,
        "a restart during a view change",
        "a view is entered before its NEW-VIEW is durable",
        (Edit("consensus.view_changing:enter", "    core.persist(Entered(view, envelope))\n", ""),),
    ),
    Mutant(
        "restart-forgets-votes",
        E,
        "a restart that votes again",
        "the votes of the journal are not taken back",
        (
            Edit("consensus.safety:Safety.restore_vote", "if held is None or", "if held is not None and"),
            Edit("consensus.restart:_restore_vote", "slot = _slot_with(core, vote.height, vote.digest)", "return"),
        ),
    ),
    Mutant(
        "restart-forgets-the-view-change",
        E,
        "a restart during a view change",
        "after a restart the promise to leave a view is forgotten",
        (Edit("consensus.restart:_restore_view", "and record.view > core.view:", "and record.view < 0:"),),
    ),
    Mutant(
        "restart-forgets-the-view",
        E,
        "a restart during a view change",
        "after a restart the last view entered is forgotten",
        (Edit("consensus.restart:_restore_view", "and record.view > core.entered_view:", "and record.view < 0:"),),
    ),
    Mutant(
        "restart-forgets-what-was-prepared",
        E,
        "a restart that hides a certificate",
        "prepared certificates of the journal are not taken back",
        (
            Edit("consensus.restart:_restore_height", "slot.prepared is None or", "slot is None or slot.prepared and"),
            Edit("consensus.safety:Safety.leave", "or not self._committed_heights() <= shown", ""),
        ),
    ),
    Mutant(
        "restart-forgets-the-halt",
        E,
        "a halted member that is started again",
        "the halt is not taken back from the journal",
        (Edit("consensus.restart:restore", "core.halted = record.diagnosis", "pass"),),
    ),
    Mutant(
        "journal-forgets-too-early",
        E,
        "a journal rewritten",
        "the rewritten journal leaves out votes above the seal, and its anchor does not say so",
        (
            Edit(
                "consensus.sealing:_seal",
                "core.journal.forget_through(max(0, seal.height - JOURNAL_WINDOWS * core.window))",
                "core.journal.forget_through(seal.height + core.window)",
            ),
            Edit("consensus.recovery:Journal.forget_through", "    self._base = max(self._base, height)\n", ""),
        ),
    ),
    Mutant(
        "journal-ends-at-the-seal",
        E,
        "a block store that lost its last blocks",
        "the journal keeps nothing below the seal, and a store that ends lower votes there again",
        (
            Edit(
                "consensus.sealing:_seal",
                "core.journal.forget_through(max(0, seal.height - JOURNAL_WINDOWS * core.window))",
                "core.journal.forget_through(seal.height)",
            ),
            Edit("consensus.safety:Safety.silent", " or self.sealed_height < self.floor", ""),
        ),
    ),
    Mutant(
        "proposals-and-votes-share-a-place",
        E,
        "a journal rewritten",
        "the record of a PREPARE replaces that of the proposal at its height",
        (Edit("consensus.recovery:_place", 'return (kind, vote.height, b"")', 'return ("vote", vote.height, b"")'),),
    ),
    Mutant(
        "lost-journal-trusted",
        E,
        "amnesia",
        "a member without its journal votes at once, whatever comes back to it",
        (
            Edit("consensus.restart:restore", "core.safety.doubtful = not anchors", "core.safety.doubtful = False"),
            Edit("consensus.amnesia:Past.begin", "core.safety.listening = True", "core.safety.listening = False"),
            Edit("consensus.amnesia:on_own", "        past.lose(core, envelope)\n", "        pass\n"),
        ),
    ),
    Mutant(
        "doubt-ends-at-once",
        E,
        "amnesia",
        "one member's answer is enough to end the doubt",
        (Edit("consensus.amnesia:Past._has_quorum", ">= core.committee.quorum", ">= 1"),),
    ),
    Mutant(
        "doubt-ends-too-early",
        E,
        "amnesia",
        "a member that lost its journal does not wait for the blocks that it may have voted for",
        (
            Edit(
                "consensus.amnesia:Past.advance",
                "elif core.sealed_height >= self.target(core) and",
                "elif core.sealed_height >= 0 and",
            ),
        ),
    ),
    Mutant(
        "restored-journal-trusted",
        E,
        "a restored backup",
        "a journal that is missing what comes back to its member is taken for whole",
        (Edit("consensus.amnesia:on_own", "if verdict == KNOWN or", "if verdict in (KNOWN, LOST) or"),),
    ),
)
