"""The demonstration runs to its end on a part of its files, and leaves a receipt that holds, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.demo import FILES_MIN, real_files

ROOT = Path(__file__).parents[2]


def test_the_real_input_is_more_than_a_thousand_distinct_files() -> None:
    files, _ = real_files(5000)
    assert len(files) > FILES_MIN
    assert len({file.digest for file in files}) == len(files)
    assert all(0 < len(file.name) <= 256 for file in files)


@pytest.mark.timeout(180)
def test_the_whole_story(tmp_path: Path) -> None:
    network = tmp_path / "net"
    command = [sys.executable, "-m", "scripts.demo", "--exit", "--files", "120", "--directory", str(network)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for step in (
        "four validators run, three processes each",
        "first transaction sealed (contract registry, block 1)",
        "real files notarised, one signed transaction each",
        "verified offline against the genesis file",
        "changed: refused",
        "all 4 nodes agree",
        "the primary: SIGKILL to processes",
        "25 more files sealed by the other three",
        "is back, and caught up",
        "the network is shut down, and the receipt still verifies",
    ):
        assert step in ended.stdout
    assert processes_that_mention(network) == []
    assert (network / "receipt.json").is_file()


def processes_that_mention(directory: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(directory) in words:
            found.append(words)
    return found
