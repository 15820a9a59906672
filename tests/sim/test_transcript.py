"""What a reader of a transcript sees: the protocol's words, the right heights, the end. Watching changes no run."""

import pytest

from consensus.actions import Broadcast, Deliver, Evidence, Fetch, Halt, Persist, Send, SetTimer, ViewChanged
from consensus.events import BatchReady, Executed, Received, TimerFired
from consensus.messages import (
    CommitCertificate,
    Envelope,
    NewView,
    PreparedCertificate,
    SignedViewChange,
    Status,
    Suspect,
    ViewChange,
    Vote,
)
from consensus.recovery import Anchor, BatchHeld, Certified, CheckpointSigned, Left, Voted
from consensus.simulation import words
from consensus.simulation.campaign import plan_of, play
from consensus.simulation.transcript import LINES_SHOWN, Transcript, excerpt, heights_of, whole
from ledger.types import Batch, Checkpoint, Seal

D = bytes.fromhex("ab12cd34") + bytes(28)
SIGNATURE = bytes(64)
BATCH = Batch(0, 3, 0, 1, 1000, (D, D[::-1]))
SHOWN = "[2 transactions, first proposed in v0 by 1]"
NULL = Batch(0, 4, 2, 2, 0, ())
SEAL = Seal(0, 2, D, ())


def sent(kind, body, *batches):
    return Envelope(kind, body.encode(), SIGNATURE, batches).encode()


PREPARE = sent("prepare", Vote(0, 0, 3, 2, D))
STATUS = Status(
    epoch=0, view=1, sender=3, changing=False, height=5, seal=SEAL, progress=(1, 2), final=(), forgetful=False
)


@pytest.mark.parametrize(
    ("data", "text", "heights"),
    [
        (PREPARE, "PREPARE v0 h3 d=ab12cd34 by 2", (3,)),
        (
            sent("pre-prepare", Vote(0, 0, 3, 1, D), BATCH),
            f"PRE-PREPARE v0 h3 d=ab12cd34 by 1 {SHOWN}",
            (3,),
        ),
        (sent("checkpoint", Checkpoint(0, 3, 2, D)), "CHECKPOINT h3 header=ab12cd34 by 2", (3,)),
        (sent("suspect", Suspect(0, 7, 4, 1)), "SUSPECT v7 h4 by 1", (4,)),
        (sent("view-change", ViewChange(0, 2, 3, None, ())), "VIEW-CHANGE to v2 by 3: no seal, prepared nothing", ()),
        (
            sent("view-change", ViewChange(0, 2, 3, SEAL, (PreparedCertificate(1, 3, D, ()),)), BATCH),
            "VIEW-CHANGE to v2 by 3: seal h2, prepared v1 h3 d=ab12cd34",
            (3,),
        ),
        (
            sent("new-view", NewView(0, 2, 2, (SignedViewChange(b"", SIGNATURE),) * 3), BATCH, NULL),
            f"NEW-VIEW v2 by 2 from 3 VIEW-CHANGEs: proposes again h3 {SHOWN}, h4 [null batch]",
            (3, 4),
        ),
        (b"rubbish", "7 bytes that are no message (malformed)", ()),
    ],
)
def test_every_message_in_its_own_words(data, text, heights):
    assert words.message(data)[:2] == (text, heights)


def test_a_status_is_chatter_unless_it_hands_something_over():
    import msgspec

    silent = words.message(sent("status", STATUS))
    assert silent == ("STATUS v1 by 3: delivered h5, seal h2, further 12", (), True, "")
    final = msgspec.structs.replace(STATUS, final=(CommitCertificate(0, 3, D, ()),))
    text, heights, chatter, _ = words.message(sent("status", final, BATCH))
    assert text.endswith("hands over v0 h3 d=ab12cd34")
    assert (heights, chatter) == ((3,), False)


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (BatchHeld(D, BATCH), f"persists batch h3 d=ab12cd34 {SHOWN}"),
        (Voted("prepare", Vote(0, 0, 3, 2, D), SIGNATURE), "persists PREPARE v0 h3 d=ab12cd34"),
        (
            Certified(PreparedCertificate(0, 3, D, ()), SIGNATURE),
            "persists prepared certificate v0 h3 d=ab12cd34, and COMMIT",
        ),
        (CheckpointSigned(Checkpoint(0, 3, 2, D), SIGNATURE), "persists CHECKPOINT h3 header=ab12cd34"),
        (
            Left(2, Envelope("view-change", ViewChange(0, 2, 3, None, ()).encode(), SIGNATURE)),
            "persists VIEW-CHANGE to v2 by 3: no seal, prepared nothing",
        ),
        (Anchor(9), "persists Anchor height 9"),
    ],
)
def test_what_is_written_down(record, text):
    assert words.action(Persist(record.encode())).text == text


@pytest.mark.parametrize(
    ("action", "text", "chatter"),
    [
        (Broadcast(PREPARE), "-> all PREPARE v0 h3 d=ab12cd34 by 2", False),
        (Send(3, PREPARE), "-> 3 PREPARE v0 h3 d=ab12cd34 by 2", False),
        (Deliver(4, NULL, D), "== delivers h4 d=ab12cd34 [null batch]", False),
        (Fetch(2, 5, 7), "asks 2 for the sealed blocks h5 to h7", False),
        (ViewChanged(4, 0), "ViewChanged view 4, primary 0", False),
        (Halt("diverged"), "!! halts: diverged", False),
        (SetTimer("progress", 1000), "SetTimer name progress, after_ms 1000", True),
        (
            Evidence("two-votes", 2, PREPARE, PREPARE),
            "!! evidence of two-votes against 2: PREPARE v0 h3 d=ab12cd34 by 2 / PREPARE v0 h3 d=ab12cd34 by 2",
            False,
        ),
    ],
)
def test_what_is_asked_for(action, text, chatter):
    assert (words.action(action).text, words.action(action).chatter) == (text, chatter)


@pytest.mark.parametrize(
    ("event", "text", "chatter"),
    [
        (Received(PREPARE, 5), "<- PREPARE v0 h3 d=ab12cd34 by 2", False),
        (BatchReady(3, 0, (D,), 5, 5), "its node offers 1 transactions for v0 h3", False),
        (Executed(3, D, 5), "executed h3: header=ab12cd34", False),
        (TimerFired("progress", 5), "TimerFired name progress", True),
    ],
)
def test_what_is_heard(event, text, chatter):
    assert (words.event(event).text, words.event(event).chatter) == (text, chatter)


def told():
    """A transcript of three heights, with chatter and a crash."""
    transcript = Transcript()
    for height in (1, 2, 3):
        transcript.on_action(height * 1000, 0, Broadcast(sent("prepare", Vote(0, 0, height, 0, D))))
        transcript.on_action(height * 1000 + 1, 0, SetTimer("progress", 1000))
    transcript.on_world(3500, 2, "crashes")
    transcript.on_violation(61_002, "height 2: member 0 delivered ab12, member 1 cd34")
    return transcript.lines


def test_a_line_says_when_who_and_what():
    assert whole(told())[0] == "   1.000   m0  -> all PREPARE v0 h1 d=ab12cd34 by 0"
    assert whole(told())[-1] == "  61.002  all  !! VIOLATION height 2: member 0 delivered ab12, member 1 cd34"


def test_an_excerpt_is_about_the_heights_of_the_violation_and_hides_chatter():
    assert excerpt(told(), "height 2: two digests") == [
        "(5 other lines: see them with --trace)",
        "   2.000   m0  -> all PREPARE v0 h2 d=ab12cd34 by 0",
        "   3.500   m2  ## crashes",
        "  61.002  all  !! VIOLATION height 2: member 0 delivered ab12, member 1 cd34",
    ]


def test_an_excerpt_without_heights_is_about_all_of_them():
    assert len(excerpt(told(), "no progress after healing")) == 1 + 5


def test_an_excerpt_without_heights_is_about_the_members_named():
    assert excerpt(told(), "member 2 remembers too much") == [
        "(6 other lines: see them with --trace)",
        "   3.500   m2  ## crashes",
        "  61.002  all  !! VIOLATION height 2: member 0 delivered ab12, member 1 cd34",
    ]


def test_an_excerpt_says_nothing_again_and_a_trace_everything():
    transcript = Transcript()
    for now_ms in (1, 2):
        transcript.on_event(now_ms, 0, Received(PREPARE, 5))
    transcript.on_action(3, 1, Broadcast(PREPARE))
    transcript.on_action(4, 1, Send(0, PREPARE))
    assert [line.split()[:2] for line in excerpt(transcript.lines, "height 3")[1:]] == [
        ["0.001", "m0"],
        ["0.003", "m1"],
    ]
    assert len(whole(transcript.lines)) == 4


def test_an_excerpt_keeps_the_last_lines():
    lines = told()[-1:] * 2 * LINES_SHOWN
    found = excerpt(lines, "no progress")
    assert len(found) == 1 + LINES_SHOWN
    assert found[-1] == str(lines[-1])


@pytest.mark.parametrize(
    ("violation", "heights"),
    [
        ("height 3: member 0 delivered ab12, member 1 cd34", {3}),
        ("delivered height 12 after 10", {12}),
        ("member 1 signed two of ('prepare', 2, 7): Vote(view=2, height=7) and Vote(view=2, height=8)", {7}),
        ("no progress after healing: view 3", set()),
    ],
)
def test_the_heights_that_a_violation_speaks_of(violation, heights):
    assert heights_of(violation) == heights


def test_a_run_that_is_watched_is_the_same_run():
    transcript = Transcript()
    assert play(plan_of(3), transcript) == play(plan_of(3))
    told = "\n".join(whole(transcript.lines))
    for word in ("PRE-PREPARE v0 h1", "persists commit certificate", "== delivers h1", "== sealed h1"):
        assert word in told
