"""The key-value example: owners, versions that are compared before they change, listings in key order."""

import pytest

from contracts.examples.key_value import KEY_CHARACTERS_MAX, KeyValue


@pytest.fixture
def store(world):
    world.deploy(KeyValue, "store")
    return world


def put(world, key, value, version=0, sender="ann"):
    return world.call(sender, "store", "put", key, value, version)


def keys(entries):
    return [key for key, _ in entries]


def test_what_was_put_is_got_with_its_owner_and_version(store):
    assert put(store, "a", {"x": [1, b"\x02", None]}) == 1
    assert store.view("store", "get", "a") == {"x": [1, b"\x02", None]}
    expected = {"value": {"x": [1, b"\x02", None]}, "owner": store.address("ann"), "version": 1, "height": store.height}
    assert store.view("store", "entry", "a") == expected
    assert store.events("store") == [("Changed", {"key": "a", "owner": store.address("ann"), "version": 1})]
    assert (store.view("store", "get", "b"), store.view("store", "entry", "b")) == (None, None)


def test_a_change_names_the_version_it_is_based_on(store):
    put(store, "a", "old")
    assert put(store, "a", "new", version=1) == 2
    assert store.refused("ann", "store", "put", "a", "late", 1) == "the entry has version 2 by now"
    assert store.refused("ann", "store", "put", "a", "late", 3) == "the entry has version 2 by now"
    assert store.refused("ann", "store", "put", "a", "late", 0) == "the entry has version 2 by now"
    assert store.view("store", "get", "a") == "new"


def test_a_new_key_has_no_version_before(store):
    assert store.refused("ann", "store", "put", "a", "x", 1) == "there is no such key"
    assert put(store, "a", "x", version=0) == 1


def test_a_version_never_comes_twice(store):
    put(store, "a", "first")
    store.call("ann", "store", "delete", "a", 1)
    assert put(store, "a", "second") == 2
    assert store.refused("ann", "store", "put", "a", "based on the first", 1) == "the entry has version 2 by now"


def test_only_the_owner_changes_deletes_and_gives(store):
    put(store, "a", "x")
    for method, args in [("put", ["a", "y", 1]), ("delete", ["a", 1]), ("give", ["a", store.address("ben"), 1])]:
        assert store.refused("ben", "store", method, *args) == "only the owner changes an entry"
    assert store.view("store", "get", "a") == "x"


def test_a_deleted_key_is_free_again(store):
    put(store, "a", "x")
    assert store.refused("ann", "store", "delete", "a", 2) == "the entry has version 1 by now"
    store.call("ann", "store", "delete", "a", 1)
    assert store.events("store")[-1] == ("Deleted", {"key": "a", "version": 1})
    assert store.view("store", "entry", "a") is None
    assert store.refused("ann", "store", "delete", "a", 1) == "there is no such key"
    put(store, "a", "mine", sender="ben")
    assert store.view("store", "entry", "a")["owner"] == store.address("ben")


def test_an_entry_is_given_with_its_value(store):
    put(store, "a", "x")
    ben = store.address("ben")
    assert store.refused("ann", "store", "give", "a", "", 1) == "an entry is given to somebody else"
    assert store.refused("ann", "store", "give", "a", store.address("ann"), 1) == "an entry is given to somebody else"
    assert store.refused("ann", "store", "give", "b", ben, 1) == "there is no such key"
    assert store.call("ann", "store", "give", "a", ben, 1) == 2
    assert store.view("store", "get", "a") == "x"
    assert store.refused("ann", "store", "put", "a", "y", 2) == "only the owner changes an entry"
    assert put(store, "a", "y", version=2, sender="ben") == 3


@pytest.mark.parametrize("key", ["", "k" * (KEY_CHARACTERS_MAX + 1)])
def test_a_key_out_of_bounds_is_refused(store, key):
    assert store.refused("ann", "store", "put", key, "x", 0) == f"a key has 1 to {KEY_CHARACTERS_MAX} characters"


@pytest.mark.parametrize("letter", ["k", "\0", "\u00e9", "\U0001f511"])
def test_the_longest_key_fits_whatever_its_letters(store, letter):
    put(store, letter * KEY_CHARACTERS_MAX, "x")
    assert store.view("store", "get", letter * KEY_CHARACTERS_MAX) == "x"


@pytest.mark.parametrize(
    "args", [[], ["a"], ["a", 1], [1, "x", 0], ["a", "x", True], ["a", "x", "0"], ["a", "x", None]]
)
def test_arguments_of_another_shape_are_refused(store, args):
    assert store.refused("ann", "store", "put", *args) == "bad_arguments"


@pytest.fixture
def filled(store):
    for key in ["b", "a/2", "a", "a/10", "a0", "a/1", "\u00e4", "B"]:
        put(store, key, key.upper(), version=0)
    return store


def test_a_prefix_is_listed_in_key_order_page_by_page(filled):
    assert keys(filled.view("store", "listing", "a", "", 100)) == ["a", "a/1", "a/10", "a/2", "a0"]
    assert keys(filled.view("store", "listing", "a/", "", 2)) == ["a/1", "a/10"]
    assert keys(filled.view("store", "listing", "a/", "a/10", 2)) == ["a/2"]
    assert keys(filled.view("store", "listing", "a", "", 1)) == ["a"]
    assert keys(filled.view("store", "listing", "a", "a", 2)) == ["a/1", "a/10"]
    assert filled.view("store", "listing", "x", "", 100) == []
    assert keys(filled.view("store", "listing", "", "", 100)) == ["B", "a", "a/1", "a/10", "a/2", "a0", "b", "\u00e4"]
    assert filled.view("store", "listing", "b", "", 1)[0][1]["value"] == "B"


def test_a_range_has_its_first_key_and_not_its_end(filled):
    assert keys(filled.view("store", "between", "a/1", "a0", 100)) == ["a/1", "a/10", "a/2"]
    assert keys(filled.view("store", "between", "a/1", "a0", 2)) == ["a/1", "a/10"]
    assert keys(filled.view("store", "between", "a/10\0", "a0", 2)) == ["a/2"]
    assert keys(filled.view("store", "between", "a/0", "a/2", 100)) == ["a/1", "a/10"]
    assert filled.view("store", "between", "b", "a", 100) == []


def test_listings_out_of_bounds_are_refused(filled):
    for limit in (0, -1, 101):
        assert "1 to 100 entries at once" in filled.refuses_view("store", "listing", "a", "", limit)
        assert "1 to 100 entries at once" in filled.refuses_view("store", "between", "a", "b", limit)
    said = filled.refuses_view("store", "listing", "a/", "b", 10)
    assert "the key to go on from begins with the prefix" in said
