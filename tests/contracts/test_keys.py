"""State keys: two places never share one, and a scan meets them in the order of the keys."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import codes
from contracts.keys import (
    ELEMENTS_MAX,
    KEY_BYTES_MAX,
    BadKey,
    contract_prefix,
    scan_prefix,
    split_key,
    split_suffix,
    state_key,
)

names = st.text(alphabet="abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20)
integers = st.integers(min_value=-(2**256) + 1, max_value=2**256 - 1)
texts = st.text(max_size=20)
elements = st.one_of(st.booleans(), integers, st.binary(max_size=20), texts)
keys = st.lists(elements, max_size=4).map(tuple)


def test_moving_a_letter_between_neighbours_makes_another_key():
    assert state_key("token", "m", ("a", "bc")) != state_key("token", "m", ("ab", "c"))
    assert state_key("a", "bc", ()) != state_key("ab", "c", ())


def test_a_zero_byte_inside_a_key_does_not_end_it():
    assert state_key("t", "m", ("a\0", "b")) != state_key("t", "m", ("a", "\0b"))
    assert state_key("t", "m", ("a", "")) != state_key("t", "m", ("a\0",))


def test_a_key_of_nothing_but_zeros_is_read_in_no_time():
    def seconds(data):
        prefix = len(scan_prefix("t", "m"))
        times = []
        for _ in range(50):
            before = time.thread_time()
            assert split_suffix(state_key("t", "m", (data,)), prefix) == (data,)
            times.append(time.thread_time() - before)
        return min(times)

    assert seconds(bytes(500)) < 20 * seconds(b"a" * 500)  # zero by zero it took 60 times as long


@pytest.mark.parametrize("inside", [b"\0", b"\0\0", b"\0\x02", b"a\0\0\xff", b"\0\xff\0"])
def test_a_zero_that_is_neither_escaped_nor_a_stop_is_in_no_key(inside):
    with pytest.raises(ValueError, match="neither escaped nor a stop"):
        split_key(scan_prefix("t", "m") + b"\x03" + inside + b"\0\x01\0")


def test_one_true_and_their_texts_are_four_keys():
    found = {state_key("t", "m", (key,)) for key in (1, True, "1", b"1")}
    assert len(found) == 4


def test_composed_and_decomposed_letters_are_two_keys():
    assert state_key("t", "m", ("caf\u00e9",)) != state_key("t", "m", ("cafe\u0301",))


@pytest.mark.parametrize("key", [None, 1.0, float("nan"), ["a"], ("a", ("b",)), {}, object(), print])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(BadKey) as refused:
        state_key("t", "m", (key,))
    assert refused.value.code == codes.BAD_TYPE


def test_a_subclass_of_int_or_str_is_refused():
    class Amount(int):
        pass

    class Text(str):
        __slots__ = ()

    for key in (Amount(1), Text("a")):
        with pytest.raises(BadKey):
            state_key("t", "m", (key,))


def test_a_lone_surrogate_is_refused():
    with pytest.raises(BadKey) as refused:
        state_key("t", "m", ("\ud800",))
    assert refused.value.code == codes.BAD_VALUE


def test_integers_reach_256_bits_and_no_further():
    for key in (2**256 - 1, -(2**256) + 1):
        assert split_key(state_key("t", "m", (key,)))[2] == (key,)
    for key in (2**256, -(2**256)):
        with pytest.raises(BadKey) as refused:
            state_key("t", "m", (key,))
        assert refused.value.code == codes.ARITHMETIC


def test_a_key_as_long_as_the_limit_is_taken_and_one_byte_more_is_refused():
    overhead = len(state_key("t", "m", ("",)))
    assert len(state_key("t", "m", ("x" * (KEY_BYTES_MAX - overhead),))) == KEY_BYTES_MAX
    with pytest.raises(BadKey) as refused:
        state_key("t", "m", ("x" * (KEY_BYTES_MAX - overhead + 1),))
    assert refused.value.code == codes.SIZE_LIMIT


def test_a_key_has_at_most_so_many_elements():
    state_key("t", "m", (1,) * ELEMENTS_MAX)
    with pytest.raises(BadKey):
        state_key("t", "m", (1,) * (ELEMENTS_MAX + 1))


@given(names, names, keys)
def test_a_key_decodes_to_what_it_was_made_of(contract, variable, key):
    encoded = state_key(contract, variable, key)
    assert split_key(encoded) == (contract, variable, key)
    assert [type(element) for element in split_key(encoded)[2]] == [type(element) for element in key]
    assert encoded.startswith(contract_prefix(contract))
    assert split_suffix(encoded, len(scan_prefix(contract, variable))) == key


@given(st.tuples(names, names, keys), st.tuples(names, names, keys))
def test_no_key_is_the_beginning_of_another(left, right):
    same = left == right and [type(e) for e in left[2]] == [type(e) for e in right[2]]
    assert same or not state_key(*left).startswith(state_key(*right))


@given(keys, keys)
def test_a_scan_prefix_is_met_by_the_keys_that_begin_with_its_elements_and_no_others(prefix, key):
    def typed(elements):
        return [(type(element), element) for element in elements]

    begins = typed(key)[: len(prefix)] == typed(prefix)
    assert state_key("t", "m", key).startswith(scan_prefix("t", "m", prefix)) == begins


def test_a_scan_prefix_is_not_met_by_a_longer_text_that_goes_on_with_a_zero():
    assert not state_key("t", "m", ("a\0b",)).startswith(scan_prefix("t", "m", ("a",)))
    assert state_key("t", "m", ("a", "b")).startswith(scan_prefix("t", "m", ("a",)))


@given(st.lists(integers, max_size=20))
def test_integer_keys_sort_as_integers(values):
    assert sorted(values) == sorted(values, key=lambda value: state_key("t", "m", (value,)))


@given(st.lists(st.tuples(texts, texts), max_size=20))
def test_text_keys_sort_as_texts_element_by_element(values):
    assert sorted(values) == sorted(values, key=lambda value: state_key("t", "m", value))


@given(st.lists(st.tuples(st.binary(max_size=8), st.integers(-300, 300)), max_size=20))
def test_bytes_keys_sort_as_bytes_element_by_element(values):
    assert sorted(values) == sorted(values, key=lambda value: state_key("t", "m", value))


@given(st.lists(st.lists(st.integers(-3, 3), max_size=4).map(tuple), max_size=20))
def test_a_shorter_tuple_sorts_before_a_longer_one_that_begins_with_it(values):
    assert sorted(values) == sorted(values, key=lambda value: state_key("t", "m", value))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_key_are_refused_and_others_read_back_to_the_same_bytes(data):
    try:
        contract, variable, key = split_key(data)
    except ValueError:
        return
    assert state_key(contract, variable, key) == data


@pytest.mark.parametrize(
    "cut",
    [b"", b"\x05toke", b"\x01t", b"\x01t\x01m", b"\x01t\x01m\x04abc", b"\x01t\x01m\x02\x82\x01", b"\x01t\x01m\x00\x00"],
)
def test_a_key_cut_short_or_too_long_is_refused(cut):
    with pytest.raises(ValueError):
        split_key(cut)


def test_an_integer_written_longer_than_it_must_be_is_refused():
    with pytest.raises(ValueError, match="longer than it must"):
        split_key(b"\x01t\x01m\x02\x82\x00\x01\x00")
