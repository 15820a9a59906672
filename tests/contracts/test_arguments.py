"""Arguments of a transaction: what cannot be read is refused, and what takes long to read is paid for beforehand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import codes, costs
from contracts.arguments import decode_arguments, pay_for_parts
from contracts.language import Meter
from contracts.language.interface import Failure
from contracts.language.limits import VALUE_DEPTH_MAX
from ledger import codec

FREE, PART = costs.ARGUMENT_PARTS_FREE, costs.ARGUMENT_PART
WIDE = "\U0001f600"

scalars = st.none() | st.booleans() | st.integers(-(2**255), 2**255) | st.binary(max_size=40) | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=60) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
)


def paid(arguments):
    meter = Meter(10**12)
    pay_for_parts(meter, codec.encode(arguments))
    return meter.used


def parts_of(value):
    """The lists, dicts and integers beyond 64 bits inside."""
    if type(value) is list:
        return 1 + sum(map(parts_of, value))
    if type(value) is dict:
        return 1 + sum(map(parts_of, value.values()))
    return int(type(value) is int and not -(2**63) <= value < 2**64)


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "arguments",
    [
        [[{}] * 20_000],
        [[[]] * 20_000],
        [{"a": [[]] * 5_000}],
        [["a"] * 50_000],
        [2**64 + number for number in range(15)],
        [[2**255 - 1] * 300],
    ],
)
def test_every_list_dict_and_large_integer_is_paid_for(arguments):
    least = PART * max(sum(map(parts_of, arguments)) - FREE, 0)
    assert least <= paid(arguments) <= least + PART * 20


@given(st.lists(values, max_size=20))
def test_what_is_paid_is_never_less_than_what_is_there(arguments):
    assert paid(arguments) >= PART * (sum(map(parts_of, arguments)) - FREE)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [None, True, 5, -5, 200, -200, 70_000, 2**40, -(2**40), 2**63],
        ["ab" * 32, 100],
        ["a" * 100_000, WIDE * 20_000, bytes(range(256)) * 200],
        [bytes(range(256)) * 200, ["writer", "deployer"]],
        [[[1, "a"]] * (FREE - 2)],
    ],
)
def test_texts_numbers_and_a_few_lists_cost_nothing_besides(arguments):
    assert paid(arguments) == 0


@pytest.mark.parametrize(
    "data", [b"", b"\xd9", b"\x92\xdb\xff\xff\xff\xff" + b"\x90" * 500, b"\x90" * 500, b"\xdc" * 500]
)
def test_bytes_that_are_no_arguments_are_paid_for_and_refused(data):
    meter = Meter(10**9)
    pay_for_parts(meter, data)
    with pytest.raises(Failure) as caught:
        decode_arguments(data)
    assert caught.value.code == codes.BAD_ARGUMENTS
    assert (meter.used > 0) == (data[:1] in (b"\x90", b"\xdc") and len(data) == 500)


def test_what_cannot_be_paid_for_is_not_read(chain):
    chain.deploy("counter")
    arguments = [[{}] * 30_000]
    receipt = chain.send("cleo", ("counter", "give", *arguments), gas=200_000)
    assert (receipt.code, receipt.gas_used) == ("out_of_gas", 200_000)
    assert chain.send("cleo", ("counter", "give", *arguments), gas=10_000_000).code == "ok"


def test_a_view_pays_for_its_arguments_too(chain):
    chain.deploy("counter")
    few, many = chain.view("counter", "give", [[]] * 90), chain.view("counter", "give", [[]] * 10_090)
    assert many.gas_used - few.gas_used >= 10_000 * PART


@pytest.mark.parametrize("leaf", [1, "a", [], {}])
def test_values_are_nested_as_deep_as_the_limit_and_no_deeper(leaf):
    for wrap in (lambda value: [value], lambda value: {"k": value}):
        value = leaf
        for _ in range(VALUE_DEPTH_MAX - (leaf in ([], {}))):
            value = wrap(value)
        assert decode_arguments(codec.encode([value])) == [value]
        with pytest.raises(Failure) as caught:
            decode_arguments(codec.encode([wrap(value)]))
        assert caught.value.code == codes.BAD_ARGUMENTS


@pytest.mark.parametrize("data", [b"\x91\x81\x01\x02", b"\x91\x91\x81\xc0\x02", b"\x91\x82\xa1a\x01\xc4\x01a\x02"])
def test_a_dict_with_other_keys_than_texts_is_refused_wherever_it_stands(data):
    with pytest.raises(Failure) as caught:
        decode_arguments(data)
    assert caught.value.code == codes.BAD_ARGUMENTS
