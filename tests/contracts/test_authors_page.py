"""The guide of authors is held to the code: what it names exists, and its code runs."""

import re
from pathlib import Path

import pytest

from contracts import Address
from contracts.pytest_plugin import MODES
from contracts.testing import LocalChain, Outcome
from contracts.testing.sources import load_class
from network.cli.contract_template import contract_text

PAGE = (Path(__file__).parents[2] / "docs" / "authors.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_word_about_a_chain_is_one_of_a_chain():
    named = set(re.findall(r"\bchain\.(\w+)", PAGE))
    assert {"deploy", "snapshot", "revert", "gas_report", "advance_to"} <= named
    assert sorted(name for name in named if not hasattr(LocalChain(), name)) == []


def test_every_word_about_an_outcome_is_one_of_an_outcome():
    (row,) = re.findall(r"^\| outcome \| (.*) \|$", PAGE, re.MULTILINE)
    named = set(re.findall(r"`\.(\w+)`", row))
    assert named == {*Outcome.__slots__, "ok", "result", "gas_used"} - {"gas", "results"}


def test_every_mode_is_shown():
    assert set(re.findall(r"--contracts=(\w+)", PAGE)) == set(MODES) - {"python"}


@pytest.mark.parametrize("mode", MODES)
def test_the_code_of_the_page_runs(mode):
    auction = load_class(contract_text("Auction"), "Auction", None)
    module = {
        "__name__": "page",
        "Auction": auction,
        "Stored": auction.store.entry.function.__globals__["Stored"],
        "Address": Address,
    }
    for block in BLOCKS:
        exec(block.replace("from auction import Auction\n", ""), module)
    chain = LocalChain("ann", "ben", mode=mode)
    chain.deploy(contract_text("Auction"), "auction", 20, sender="ann")
    module["test_only_the_owner_says_how_long_a_text_may_be"](chain)
    module["test_the_class_alone"]()
    assert len(BLOCKS) == 2
