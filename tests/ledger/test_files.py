"""A file is replaced in one step, or not at all."""

import pytest

from ledger import files


def test_the_new_content_takes_the_olds_place_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "file"
    for durable, content in ((True, b"one"), (False, b"two"), (True, b"")):
        files.replace(path, content, durable=durable, mode=0o600)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def fail(*_arguments, **_keywords):
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("step", ["ledger.files.os.write", "ledger.files.os.fsync", "pathlib.Path.rename"])
def test_a_step_that_fails_leaves_the_old_content(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    files.replace(path, b"old")
    monkeypatch.setattr(step, fail)
    with pytest.raises(OSError, match="Input/output"):
        files.replace(path, b"new")
    assert path.read_bytes() == b"old"
