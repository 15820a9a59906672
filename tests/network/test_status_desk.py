"""What an operator is told: the figures of the moment when asked, and each silence once, with its end."""

import logging
from types import SimpleNamespace

import pytest

from ledger.blocks import genesis_record
from ledger.crypto import SigningKey
from ledger.store import BlockStore
from ledger.types import Genesis, Parameters, Validator, ValidatorSet
from network.api import ScrubStatus
from network.mempool import Mempool
from network.status_desk import StatusDesk

MEMBERS = ValidatorSet((Validator("v0", SigningKey.from_seed(bytes(32)).public_key, 1, b"cert"),))
GENESIS = Genesis(1, "test", 1000, Parameters(), MEMBERS, ())
SCRUB = ScrubStatus("blocks", 3, 4)


@pytest.fixture
def asked(tmp_path):
    """A desk, and what it asks."""
    store = BlockStore(tmp_path / "blocks")
    store.put(genesis_record(GENESIS, bytes(32)))
    replica = SimpleNamespace(view=2, primary=0, changing_view=True, silence="it was restarted")
    ending = SimpleNamespace(halted="")
    desk = StatusDesk(
        genesis=GENESIS,
        member=0,
        store=store,
        mempool=Mempool(),
        peers=SimpleNamespace(statuses=tuple),
        ending=ending,
        replica=lambda: replica,
        scrub=lambda: SCRUB,
        counters=lambda: {"events_dropped": 5},
    )
    yield SimpleNamespace(desk=desk, replica=replica, ending=ending, store=store)
    store.close()


def test_a_status_has_the_figures_of_each_part(asked):
    status = asked.desk.status()
    assert (status.name, status.member, status.view, status.primary, status.changing_view) == ("v0", 0, 2, 0, True)
    assert (status.sealed_height, status.sealed_hash) == (0, asked.store.header(0).hash)
    assert (status.scrub, status.counters, status.peers) == (SCRUB, {"events_dropped": 5}, ())
    assert (status.halted, status.silence) == ("", "it was restarted")


def test_one_that_has_halted_is_silent_for_no_other_reason(asked):
    asked.ending.halted = "diverged at height 7"
    status = asked.desk.status()
    assert (status.halted, status.silence) == ("diverged at height 7", "")


def test_a_silence_is_told_once_a_new_reason_again_and_its_end(asked, caplog):
    caplog.set_level(logging.INFO, "quorate.validator")
    for silence in ("it was restarted", "it was restarted", "its journal is in doubt", "", ""):
        asked.replica.silence = silence
        asked.desk.tell_silence()
    assert caplog.messages == [
        "this validator does not vote: it was restarted",
        "this validator does not vote: its journal is in doubt",
        "this validator votes again",
    ]
