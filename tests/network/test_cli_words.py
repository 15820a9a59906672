"""Words of the command line: negative numbers among arguments, files to be written, files that are something else."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from network.cli.console import UserError
from network.cli.contracts import _send
from network.cli.keyfiles import open_key
from network.cli.negatives import TakesNegatives
from network.cli.newfiles import refuse_existing, write_new
from network.cli.reading import _lack_of_quorum
from network.client import Outcome, Undecided


@pytest.mark.parametrize(
    ("typed", "words", "key", "flag"),
    [
        ("ann -5", ["ann", "-5"], None, False),
        ("ann -5 --key k.pem --json", ["ann", "-5"], "k.pem", True),
        ("--key k.pem ann -1.5 bob", ["ann", "-1.5", "bob"], "k.pem", False),
        ("--key=k.pem -5", ["-5"], "k.pem", False),
        ("--json -5 7", ["-5", "7"], None, True),
        ("--key -5 -6", ["-6"], "-5", False),
        ("ann --key k.pem -- -5 --json", ["ann", "-5", "--json"], "k.pem", False),
        ("ann 5", ["ann", "5"], None, False),
    ],
)
def test_a_negative_number_is_an_argument(typed: str, words: list[str], key: str | None, flag: bool) -> None:
    found = _run(typed)
    assert (found.exit_code, found.output.strip()) == (0, repr((words, key, flag))), found.output


@pytest.mark.parametrize("typed", ["ann -5 --kee k.pem", "ann -x", "ann -5x", "ann -5 --key"])
def test_what_is_no_number_is_still_no_option(typed: str) -> None:
    assert _run(typed).exit_code == 2


def _run(typed: str) -> Any:
    app = typer.Typer()

    @app.command(cls=TakesNegatives)
    def command(
        words: list[str],
        key: Annotated[str | None, typer.Option("--key", "-k")] = None,
        flag: Annotated[bool, typer.Option("--json")] = False,
    ) -> None:
        typer.echo(repr((words, key, flag)))

    return CliRunner().invoke(app, typed.split())


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "receipt.json"
    write_new(target, "ä")
    assert target.read_bytes() == "ä".encode()
    with pytest.raises(UserError, match=r"receipt\.json exists already: take another"):
        refuse_existing(target, "take another")
    with pytest.raises(FileExistsError):
        write_new(target, "b")
    assert target.read_text() == "ä"


def test_a_full_disk_is_told_with_the_name_and_leaves_no_empty_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def open_full(path: Path, *words: Any, **options: Any) -> Any:
        opened(path, *words, **options).close()
        return opened(Path("/dev/full"), "w")

    monkeypatch.setattr(Path, "open", open_full)
    target = tmp_path / "receipt.json"
    with pytest.raises(OSError, match=f"No space left on device: '{target}'") as full:
        write_new(target, "text")
    assert (full.value.errno, full.value.filename, target.exists()) == (errno.ENOSPC, str(target), False)


def test_a_file_that_holds_no_key_is_named_as_that_whatever_its_mode(tmp_path: Path) -> None:
    """Nobody is told to run chmod on a genesis file."""
    for mode in (0o644, 0o600):
        (tmp_path / "genesis.json").write_text("{}")
        (tmp_path / "genesis.json").chmod(mode)
        with pytest.raises(UserError, match=r"genesis\.json holds no private key: give a PEM file"):
            open_key(tmp_path / "genesis.json")


def test_a_transaction_without_an_outcome_is_not_to_be_sent_again(capsys: pytest.CaptureFixture[str]) -> None:
    """The same command would make another, with another salt: what was paid would be paid twice."""

    def send() -> Outcome:
        raise Undecided(bytes(32), b"raw", "no seal within the time")

    for as_json in (False, True):
        with pytest.raises(UserError) as told:
            _send(send, as_json)
        assert str(told.value) == (
            f"transaction {'00' * 32} is undecided: no seal within the time. It may still be executed, and the same "
            f"command again would be a second transaction: ask for this one with quorate tx {'00' * 32}; "
            "quorate status says whether a quorum is connected"
        )
        out = capsys.readouterr().out
        assert (json.loads(out)["state"], json.loads(out)["id"]) == ("pending", "00" * 32) if as_json else out == ""


@pytest.mark.parametrize(
    ("powers", "connected", "told"),
    [
        ([1, 1, 1, 1], [1, 1, 1, 0], ""),
        ([1, 1, 1, 1], [1, 1, 0, 0], "NO QUORUM: it reaches power 2 of 4, 3 are needed to seal a block"),
        ([5, 1, 1, 1], [0, 1, 1, 1], "NO QUORUM: it reaches power 3 of 8, 6 are needed to seal a block"),
        ([1], [1], ""),
    ],
)
def test_status_says_when_too_few_are_connected_for_a_seal(powers: list[int], connected: list[int], told: str) -> None:
    members = [{"power": power, "connected": bool(link)} for power, link in zip(powers, connected, strict=True)]
    client = SimpleNamespace(get=lambda path: {"validators": members} if path == "/v1/validators" else None)
    assert _lack_of_quorum(client) == told  # type: ignore[arg-type]
