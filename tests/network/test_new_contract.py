"""`quorate new-contract`, and what pytest offers beside it: what is written passes at once, in every mode, and mypy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts import check
from network.cli import main

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def quorate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Typed:
    """Types a command line in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def type_it(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["quorate", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        found = capsys.readouterr()
        return int(ended.value.code or 0), found.out, found.err

    return type_it


def written(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


# ── the files ─────────────────────────────────────────────────────────────────────────────────────


def test_a_contract_its_tests_and_what_to_do_next(quorate: Typed, tmp_path: Path) -> None:
    code, out, err = quorate("new-contract", "auction")
    assert (code, err, written(tmp_path)) == (0, "", ["auction.py", "conftest.py", "tests/test_auction.py"])
    assert [line.split("#")[0].strip() for line in out.splitlines()] == [
        "Made auction.py, tests/test_auction.py, conftest.py.",
        "Next:",
        "pytest tests/test_auction.py",
        "pytest tests/test_auction.py --contracts=both --gas-report",
        "mypy --strict auction.py tests/test_auction.py",
        "quorate check auction.py",
        "quorate deploy auction.py 20 --key net/accounts/admin.pem",
    ]
    assert check((tmp_path / "auction.py").read_text()) == []
    assert quorate("check", "auction.py") == (0, "auction.py: accepted\n", "")


def test_a_name_of_several_words_and_a_directory_of_its_own(quorate: Typed, tmp_path: Path) -> None:
    code, out, _ = quorate("new-contract", "sealed-bid2", "--into", "house/new", "--json")
    files = ["house/new/sealed_bid2.py", "house/new/tests/test_sealed_bid2.py", "house/new/conftest.py"]
    assert (code, json.loads(out)) == (0, {"name": "sealed-bid2", "class": "SealedBid2", "files": files})
    assert written(tmp_path) == sorted(files)
    tests = (tmp_path / files[1]).read_text()
    assert 'NAME = "sealed-bid2"' in tests
    assert "from sealed_bid2 import SealedBid2, Stored" in tests


def test_a_second_contract_joins_the_first(quorate: Typed, tmp_path: Path) -> None:
    quorate("new-contract", "auction")
    (tmp_path / "conftest.py").write_text("# mine\n")
    assert quorate("new-contract", "house")[0] == 0
    assert (tmp_path / "conftest.py").read_text() == "# mine\n"
    assert "house.py" in written(tmp_path)


@pytest.mark.parametrize("taken", ["auction.py", "tests/test_auction.py"])
def test_nothing_is_overwritten_and_then_nothing_written(quorate: Typed, tmp_path: Path, taken: str) -> None:
    path = tmp_path / taken
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine\n")
    assert quorate("new-contract", "auction") == (1, "", f"quorate: {taken} exists already: nothing is overwritten\n")
    assert (written(tmp_path), path.read_text()) == ([taken], "mine\n")


def test_what_lies_in_the_way_leaves_nothing_half_written(quorate: Typed, tmp_path: Path) -> None:
    (tmp_path / "tests").write_text("a file\n")
    assert quorate("new-contract", "auction")[0] == 1
    assert written(tmp_path) == ["tests"]
    (tmp_path / "tests").unlink()
    (tmp_path / "auction.py").symlink_to("nowhere")
    assert quorate("new-contract", "auction") == (1, "", "quorate: auction.py exists already: nothing is overwritten\n")
    assert not (tmp_path / "tests").exists()


def test_a_disk_that_fills_up_on_the_way_takes_back_what_was_made(
    quorate: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open = Path.open

    def full(path: Path, *args: object, **options: object) -> object:
        if path.name == "test_auction.py":
            raise OSError(28, "No space left on device", str(path))
        return really_open(path, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    assert "No space left on device" in quorate("new-contract", "auction")[2]
    assert written(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Auction", "NAME 'Auction' is no name for a contract: write a small letter"),
        ("2nd", "is no name for a contract"),
        ("../auction", "is no name for a contract"),
        ("auction.py", "is no name for a contract"),
        ("a" * 64, "is no name for a contract"),
        ("", "is no name for a contract"),
        ("system", "the name of what every chain has already; try my-system"),
        ("class", "'class' is a word of Python, the tests could not import the contract; try my-class"),
        ("token", "'token' is a module that Python finds already"),
        ("contracts", "'contracts' is a module that Python finds already"),
        ("conftest", "pytest would take conftest.py for its own; try my-conftest"),
        ("test-auction", "pytest would take test_auction.py for its own"),
        ("map", "the class would be called Map, a name that the language has taken; try my-map"),
        ("stored", "the class would be called Stored, a name that the language has taken"),
    ],
)
def test_a_name_that_would_not_do_is_refused(quorate: Typed, tmp_path: Path, name: str, why: str) -> None:
    code, out, err = quorate("new-contract", name)
    assert (code, out, written(tmp_path)) == (1, "", [])
    assert why in err


def test_the_longest_name_will_do(quorate: Typed, tmp_path: Path) -> None:
    assert quorate("new-contract", "a" * 63)[0] == 0
    assert "a" * 63 + ".py" in written(tmp_path)


# ── pytest, as the author runs it ─────────────────────────────────────────────────────────────────


def python(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=250, check=False)


@pytest.fixture
def project(quorate: Typed, pytester: pytest.Pytester) -> pytest.Pytester:
    """A new contract, in a project in which only Quorate adds to pytest."""
    pytester.chdir()
    quorate("new-contract", "auction")
    pytester.makeini("[pytest]\naddopts = -q -p no:asyncio -p no:cacheprovider\n")
    return pytester


@pytest.mark.timeout(300)  # a process of its own, on whatever machine
def test_the_tests_pass_at_once_without_a_warning(project: pytest.Pytester) -> None:
    ran = python(project.path, "pytest", "-W", "error")
    assert (ran.returncode, ran.stdout.splitlines()[-1][:10]) == (0, "10 passed ")


@pytest.mark.timeout(300)
def test_mypy_is_content_with_contract_and_tests(project: pytest.Pytester) -> None:
    cache = str(ROOT / ".mypy_cache" / "authors")
    ran = python(project.path, "mypy", "--strict", "--cache-dir", cache, "auction.py", "tests/test_auction.py")
    assert (ran.returncode, ran.stdout) == (0, "Success: no issues found in 2 source files\n")


def test_one_flag_runs_them_with_the_interpreter_and_another_shows_gas(project: pytest.Pytester) -> None:
    ran = project.runpytest_inprocess("--contracts=both", "--gas-report", "--import-mode=importlib")
    ran.assert_outcomes(passed=10)
    begin = next(number for number, line in enumerate(ran.outlines) if "gas of successful calls" in line) + 1
    rows = [line.rsplit(maxsplit=4) for line in ran.outlines[begin:-1]]
    assert rows[0] == ["method", "calls", "min", "median", "max"]
    gas = {name: figures for name, *figures in rows[1:]}
    assert list(gas) == [
        "auction.set_longest",
        "auction.store",
        "auction.text_of",
        "auction.texts_after",
        "deploy auction",
    ]
    assert gas["auction.set_longest"][0] == "1"
    assert 30_000 < int(gas["auction.store"][3].replace(",", "")) < 60_000


def test_a_difference_between_the_two_fails_where_both_run_and_not_where_python_does(project: pytest.Pytester) -> None:
    path = project.path / "auction.py"
    path.write_text(path.read_text().replace("len(text) <= longest,", "len(text) + (1 == 2) <= longest,"))
    project.runpytest_inprocess("-k", "is_stored_and_told").assert_outcomes(passed=1)
    both = project.runpytest_inprocess("--contracts=both", "-k", "is_stored_and_told")
    both.assert_outcomes(failed=1)
    both.stdout.fnmatch_lines(["*Disagreement: auction.store: plain Python and the interpreter disagree", "*bad_type*"])


def test_gas_without_the_interpreter_is_a_mistake_that_is_told(project: pytest.Pytester) -> None:
    ran = project.runpytest_inprocess("--contracts=python", "--gas-report")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(["*--gas-report needs --contracts=interpreter or both: plain Python has no gas"])
