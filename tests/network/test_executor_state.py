"""The executor's state is derived, so a state that it cannot read is made again and never ends the node."""

from __future__ import annotations

import plyvel

from ledger import versions
from ledger.state import State
from network.executor_process import open_state


def test_a_state_that_another_version_wrote_is_made_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(versions, "FORMAT_VERSION", versions.FORMAT_VERSION + 1)
    state = State.open(tmp_path / "state")
    state.commit(0, {b"a": b"1"})
    state.close()
    monkeypatch.undo()
    state = open_state(tmp_path / "state")
    assert state.height == -1
    state.close()
    assert "this program reads format" in caplog.text
    assert "it is deleted and rebuilt from the blocks" in caplog.text


def test_a_state_that_lost_its_height_is_made_again(tmp_path):
    state = State.open(tmp_path / "state")
    state.commit(0, {b"a": b"1"})
    state.close()
    database = plyvel.DB(str(tmp_path / "state"))
    database.delete(b"m")
    database.close()
    state = open_state(tmp_path / "state")
    assert state.height == -1
    state.close()


def test_a_state_that_is_whole_is_kept(tmp_path):
    state = State.open(tmp_path / "state")
    state.commit(0, {b"a": b"1"})
    state.close()
    state = open_state(tmp_path / "state")
    assert state.height == 0
    state.close()
