"""`quorate check`, and what `deploy` and `upgrade` refuse before anything is sent: all reasons at once, with places."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from contracts.examples import NAMES
from network.cli import main

Typed = Callable[..., tuple[int, str, str]]
WRONG = """import os
from contracts import Contract, Map, call


class Wrong(Contract):
    counts: Map[str, float]

    @call
    def add(self, amount) -> None:
        print(amount)
        self.count[amount] = lambda: 1.5
"""


@pytest.fixture
def quorate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Typed:
    """Types a command line in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("QUORATE_URL", "QUORATE_KEY", "QUORATE_GENESIS"):
        monkeypatch.delenv(name, raising=False)

    def type_it(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["quorate", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        found = capsys.readouterr()
        return int(ended.value.code or 0), found.out, found.err

    return type_it


@pytest.mark.parametrize("name", NAMES)
def test_what_would_deploy_is_accepted(quorate: Typed, name: str) -> None:
    path = files("contracts.examples").joinpath(f"{name}.py")
    assert quorate("check", path) == (0, f"{path}: accepted\n", "")
    code, out, _ = quorate("check", path, "--json")
    assert (code, json.loads(out)) == (0, {"file": str(path), "accepted": True, "problems": []})


def test_every_problem_is_told_at_once_with_its_place(quorate: Typed, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    code, out, err = quorate("check", "wrong.py")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    places = [tuple(map(int, line.split(":")[1:3])) for line in lines]
    assert places == [(1, 1), (6, 22), (9, 19), (10, 9), (11, 9), (11, 30), (11, 38)]
    assert all(line.startswith("wrong.py:") for line in lines)
    code, out, _ = quorate("check", "wrong.py", "--json")
    found = json.loads(out)
    assert (code, found["accepted"], found["file"]) == (1, False, "wrong.py")
    assert [f"wrong.py:{p['line']}:{p['column']}: {p['code']}: {p['message']}" for p in found["problems"]] == lines


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff\xfe", "1:1: encoding: the source is not UTF-8, it looks like UTF-16; save the file as UTF-8"),
        (b"# caf\xe9", "1:6: encoding: the source is not UTF-8: the byte e9; save the file as UTF-8"),
        (
            "x = 1".encode("utf-16-le"),
            "1:2: character: the invisible character U+0000: this is no text, or text that is",
        ),
        (
            b"\xef\xbb\xbfx = 1",
            "1:1: character: the invisible character U+FEFF, a byte order mark: save the file as UTF-8",
        ),
        (b"x = 1\rx = 2", "1:6: character: the invisible character U+000D: lines end with a newline alone"),
        (b"x = 1\n\xff", "2:1: encoding: the source is not UTF-8"),
        (b"", "1:1: structure: there is no contract: class Name(Contract)"),
        (b"x = '\x00'", "1:6: character: the invisible character U+0000"),
        ("x = '\u202e'".encode(), "1:6: character: the invisible character U+202E: delete it, or write \\u202e in a"),
        (b"[" * (1 << 20), "1:1: too_large: the source has 1048576 bytes or more, at most 65536 fit"),
        (b"class (", "1:7: lexical: a bracket '(' is missing at the end"),
        (b"def def", "1:5: syntax: this is not valid Python"),
    ],
)
def test_what_is_no_contract_at_all_is_refused_with_a_place(
    quorate: Typed, tmp_path: Path, data: bytes, problem: str
) -> None:
    (tmp_path / "wrong.py").write_bytes(data)
    code, out, err = quorate("check", "wrong.py")
    assert (code, err) == (1, "")
    assert out.splitlines()[0].startswith(f"wrong.py:{problem.split(':')[0]}:")
    assert problem.split(": ", 1)[1] in out.splitlines()[0]
    code, out, _ = quorate("check", "wrong.py", "--json")
    assert (code, json.loads(out)["accepted"]) == (1, False)


def test_a_file_that_is_not_there_is_a_mistake_of_one_line(quorate: Typed) -> None:
    assert quorate("check", "none.py") == (1, "", "quorate: none.py: No such file or directory\n")


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_what_is_no_file_is_a_mistake_of_one_line(quorate: Typed, tmp_path: Path, flags: tuple[str, ...]) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    told = {
        "folder": "folder is a directory: give a file with a contract's source",
        "pipe": "pipe is a pipe that nobody writes to: give a file with a contract's source",
    }
    for name, message in told.items():
        assert quorate("check", name, *flags) == (1, "", f"quorate: {message}\n")


def test_a_file_without_end_is_read_no_further_than_it_takes_to_refuse_it(quorate: Typed) -> None:
    code, out, _ = quorate("check", "/dev/zero")
    assert (code, out) == (1, f"/dev/zero:1:1: too_large: the source has {4 << 20} bytes or more, at most 65536 fit\n")


def test_a_source_is_read_from_a_pipe(quorate: Typed, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    source = files("contracts.examples").joinpath("registry.py").read_bytes()
    held = os.open(tmp_path / "pipe.py", os.O_RDWR)
    os.write(held, source)
    closing = threading.Timer(0.2, os.close, (held,))
    closing.start()
    assert quorate("check", "pipe.py") == (0, "pipe.py: accepted\n", "")
    closing.join()


def test_line_ends_of_windows_are_no_matter(quorate: Typed, tmp_path: Path) -> None:
    source = files("contracts.examples").joinpath("token.py").read_bytes()
    (tmp_path / "token.py").write_bytes(source.replace(b"\n", b"\r\n"))
    assert quorate("check", "token.py")[0] == 0


def test_a_file_whose_name_is_no_contract_name_needs_another(quorate: Typed, tmp_path: Path) -> None:
    (tmp_path / "Token.py").write_text(files("contracts.examples").joinpath("token.py").read_text())
    code, out, err = quorate("check", "Token.py")
    assert (code, out) == (0, "Token.py: accepted\n")
    assert "deploy it with --name" in err
    for command in ("deploy", "upgrade"):
        code, out, err = quorate(command, "Token.py")
        assert (code, out) == (1, "")
        assert err.startswith("quorate: 'Token' is no name for a contract: give one with --name")


@pytest.mark.parametrize("command", ["deploy", "upgrade"])
def test_what_would_be_refused_is_not_sent(quorate: Typed, tmp_path: Path, command: str) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    code, out, err = quorate(command, "wrong.py", "--url", "http://127.0.0.1:9")
    assert (code, out) == (1, "")
    assert "the contract would be refused, nothing was sent:" in err
    (tmp_path / "wrong.py").write_bytes(b"\xff")
    assert "is not UTF-8 text, nothing was sent" in quorate(command, "wrong.py")[2]
