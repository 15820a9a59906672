"""The registry example: the first to register a hash owns the entry, and the entry says when."""

import hashlib

import pytest

from contracts import Error
from contracts.examples.registry import Registered, Registry
from contracts.testing import LocalChain


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


BAD_DIGESTS = ["", "ab", "g" * 64, "A" * 64, "a" * 63, "a" * 65, "a" * 31 + " " + "a" * 32, "\u0661" * 64]


def test_natively_an_entry_is_made_once():
    registry = Registry()
    registry.ctx.sender, registry.ctx.height, registry.ctx.time = "alice", 7, 123
    registry.register(digest("a"), "a.txt")
    assert registry.entry(digest("a")) == {"name": "a.txt", "owner": "alice", "height": 7, "time": 123}
    assert registry.entry(digest("b")) is None
    assert registry.ctx.events == [Registered(digest=digest("a"), name="a.txt", owner="alice")]
    registry.ctx.sender = "bob"
    with pytest.raises(Error, match="registered already"):
        registry.register(digest("a"), "mine.txt")
    assert registry.entry(digest("a"))["owner"] == "alice"
    assert registry.count() == 1


@pytest.mark.parametrize("bad", BAD_DIGESTS)
def test_natively_what_is_no_hash_is_refused(bad):
    with pytest.raises(Error, match="64 lower-case hex digits"):
        Registry().register(bad, "a.txt")


@pytest.fixture
def chain():
    chain = LocalChain("alice", "bob")
    chain.deploy(Registry, "registry")
    return chain


def test_a_file_is_registered_with_its_block(chain):
    outcome = chain.call("alice", "registry", "register", digest("a"), "a.txt")
    expected = {"name": "a.txt", "owner": chain.address("alice"), "height": outcome.height, "time": chain.time_ms}
    assert chain.view("registry", "entry", digest("a")) == expected
    assert chain.state("registry", "entries", digest("a")) == expected
    assert chain.view("registry", "entry", digest("b")) is None
    assert [event.name for event in outcome.events] == ["Registered"]


def test_a_hash_is_registered_once_whoever_comes(chain):
    chain.call("alice", "registry", "register", digest("a"), "a.txt")
    for sender in ("alice", "bob"):
        refused = chain.call(sender, "registry", "register", digest("a"), "again.txt", check=False)
        assert (refused.code, refused.message) == ("failed", "registered already")
    assert chain.view("registry", "entry", digest("a"))["name"] == "a.txt"


def test_many_are_registered_all_or_none(chain):
    items = [[digest(str(number)), f"{number}.txt"] for number in range(50)]
    assert chain.call("alice", "registry", "register_many", items).result == 50
    assert chain.view("registry", "count") == 50
    more = [[digest("new"), "new.txt"], items[7]]
    assert chain.call("bob", "registry", "register_many", more, check=False).message == "registered already"
    assert chain.view("registry", "entry", digest("new")) is None
    assert chain.view("registry", "count") == 50


def test_one_batch_cannot_hold_the_same_hash_twice(chain):
    items = [[digest("a"), "a.txt"], [digest("a"), "b.txt"]]
    assert chain.call("bob", "registry", "register_many", items, check=False).code == "failed"
    assert chain.view("registry", "count") == 0


@pytest.mark.parametrize("bad", BAD_DIGESTS)
def test_what_is_no_hash_is_refused(chain, bad):
    assert chain.call("alice", "registry", "register", bad, "a.txt", check=False).code == "failed"


@pytest.mark.parametrize("name", ["", "x" * 257])
def test_a_name_out_of_bounds_is_refused(chain, name):
    assert chain.call("alice", "registry", "register", digest("a"), name, check=False).code == "failed"


@pytest.mark.parametrize("items", [[], [["a"]], [["a", "b", "c"]], "ab", None, [[1, 2]]])
def test_many_of_the_wrong_shape_are_refused(chain, items):
    refused = chain.call("alice", "registry", "register_many", items, check=False)
    assert refused.code in ("failed", "bad_arguments")


def test_entries_are_listed_in_order_page_by_page(chain):
    hashes = sorted(digest(str(number)) for number in range(7))
    chain.call("alice", "registry", "register_many", [[each, "x"] for each in hashes])
    first = chain.view("registry", "listing", "", 4)
    rest = chain.view("registry", "listing", first[-1][0], 4)
    assert [each for each, _ in first + rest] == hashes
