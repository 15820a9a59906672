"""The codec: one encoding a value, any other bytes refused, and no input that hurts."""

from __future__ import annotations

import collections
import contextlib
import datetime
import decimal
import json
import sys
import time
import unicodedata
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import codec
from ledger.errors import CodecError, Malformed, NotCanonical
from ledger.types import Batch, Header, Receipt, Seal, Transaction

VECTORS = Path(__file__).parents[1] / "vectors"

INTEGERS = st.integers(-(2**256) + 1, 2**256 - 1)
SCALARS = st.none() | st.booleans() | INTEGERS | st.text(max_size=20) | st.binary(max_size=40)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
)


def same(one, other) -> bool:
    """Equal, and of the same types all the way down (1, True and 1.0 are equal in Python)."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, list):
        return all(map(same, one, other))
    if isinstance(one, dict):
        return all(same(one[key], other[key]) for key in one)
    return True


# ── one encoding a value ──────────────────────────────────────────────────────────────────────────


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_every_plain_value_comes_back_as_it_was(value):
    data = codec.encode(value)
    assert same(codec.decode(data), value)
    assert codec.encode(codec.decode(data)) == data


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_are_refused_or_are_the_one_encoding(data):
    try:
        value = codec.decode(data)
    except CodecError:
        return
    assert codec.encode(value) == data


@settings(max_examples=200, deadline=None)
@given(VALUES, st.data())
def test_a_changed_byte_is_another_value_or_refused(value, draw):
    data = bytearray(codec.encode(value))
    place = draw.draw(st.integers(0, len(data) - 1))
    data[place] ^= draw.draw(st.integers(1, 255))
    with contextlib.suppress(CodecError):
        assert not same(codec.decode(bytes(data)), value)


@given(VALUES)
def test_what_was_encoded_here_is_read_without_another_look(value):
    assert same(codec.decode_own(codec.encode(value)), value)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x91", b"\x01\x02", b"\xc7\x01\x02\x05", b"\xa1\xff"])
def test_bytes_that_are_no_value_are_told_apart_from_one_all_the_same(data):
    with pytest.raises(Malformed):
        codec.decode_own(data)


def test_integers_take_the_shortest_form_up_to_256_bits():
    assert codec.encode(2**64 - 1).hex() == "cf" + "ff" * 8
    assert codec.encode(2**64).hex() == "c70901" + "01" + "00" * 8
    assert codec.encode(-(2**63)).hex() == "d3" + "80" + "00" * 7
    assert codec.encode(-(2**63) - 1).hex() == "c70901" + "ff7fffffffffffffff"
    assert codec.encode(-(2**71)).hex() == "c70901" + "80" + "00" * 8, "nine bytes hold it"
    for value in (2**256 - 1, -(2**256) + 1):
        assert codec.decode(codec.encode(value)) == value
        with pytest.raises(Malformed, match="257 bits is outside 256 bits"):
            codec.encode(value + 1 if value > 0 else value - 1)


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("a small integer as an extension", "d40105"),
        ("an integer of 64 bits as an extension", "c70801" + "7f" + "ff" * 7),
        ("a padded extension", "c70a01" + "00" + "01" + "00" * 8),
        ("a padded negative extension", "c70a01" + "ff" + "ff7fffffffffffffff"),
        ("an empty extension", "c70001"),
        ("ext16 where ext8 does", "c8000901" + "01" + "00" * 8),
    ],
)
def test_big_integers_have_no_second_encoding(what, data):
    with pytest.raises(NotCanonical):
        codec.decode(bytes.fromhex(data))


def test_big_integers_past_256_bits_are_refused():
    with pytest.raises(Malformed, match="outside 256 bits"):
        codec.decode(bytes.fromhex("c72101" + "01" + "00" * 32))
    with pytest.raises(Malformed, match="34 bytes is outside 256 bits"):
        codec.decode(bytes.fromhex("c72201" + "01" + "00" * 33))


def test_a_tuple_is_written_as_a_list_and_map_keys_in_order():
    assert codec.encode((1, (2,))) == codec.encode([1, [2]])
    assert codec.encode({"b": 1, "a": 2}) == codec.encode({"a": 2, "b": 1}) == bytes.fromhex("82a16102a16201")


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("unsorted map keys", "82a16201a16102"),
        ("a repeated map key", "82a16101a16101"),
        ("uint8 where a fixint does", "cc05"),
        ("str8 where a fixstr does", "d90161"),
        ("bin16 where bin8 does", "c5000100"),
        ("array16 where a fixarray does", "dc000101"),
        ("map16 where a fixmap does", "de0001a16101"),
        ("int64 for a positive", "d30000000000000005"),
    ],
)
def test_scenario_85_the_same_value_in_other_bytes_is_refused(what, data):
    with pytest.raises(NotCanonical):
        codec.decode(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("NaN", "cb7ff8000000000000"),
        ("another NaN", "cb7ff0000000000001"),
        ("minus zero", "cb8000000000000000"),
        ("a half", "cb3fe0000000000000"),
        ("a float32", "ca3f000000"),
        ("a timestamp", "d6ff00000001"),
        ("an unknown extension", "d40200"),
        ("integer map keys", "810102"),
        ("text that is not UTF-8", "a1ff"),
        ("an encoded surrogate", "a3eda080"),
        ("an overlong slash", "a2c0af"),
        ("the byte that is never used", "c1"),
        ("nothing", ""),
        ("a value and one byte more", "c0c0"),
        ("half a string", "a261"),
    ],
)
def test_scenario_85_what_is_no_plain_value_is_refused(what, data):
    for nested in ("", "91", "81a161"):
        with pytest.raises(Malformed):
            codec.decode(bytes.fromhex(nested + data))


@pytest.mark.parametrize(
    "value",
    [
        *(0.5, float("nan"), 1j, decimal.Decimal(1), datetime.date(2000, 1, 1)),
        *({1}, frozenset(), range(3), bytearray(b"x"), memoryview(b"x"), "\ud800"),
        *({1: 2}, {b"a": 1}, {None: 1}, {("a",): 1}),
        *(object(), int, ValueError()),
    ],
)
def test_what_has_no_encoding_is_refused_wherever_it_stands(value):
    for nested in (value, [value], {"a": [value]}, (1, (value,))):
        with pytest.raises(Malformed):
            codec.encode(nested)


def test_a_struct_with_too_big_an_integer_is_refused():
    with pytest.raises(Malformed, match="an integer in a struct is outside 64 bits"):
        Batch(0, 1 << 70, 0, 0, 0, ()).encode()


def test_structs_are_read_as_their_type_only():
    batch = Batch(0, 1, 2, 3, 4, (b"\x05" * 32,))
    assert codec.decode(batch.encode(), Batch) == batch
    for kind in (Header, Receipt, Seal, Transaction):
        with pytest.raises(Malformed, match=f"not a {kind.__name__}"):
            codec.decode(batch.encode(), kind)
    for fields in ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4, [], 6, 7], [0, -1, 2, 3, 4, []], [0, 1, 2, 3, 4, [b"short"]]):
        with pytest.raises(Malformed, match="not a Batch"):
            codec.decode(codec.encode(fields), Batch)
    with pytest.raises(NotCanonical):  # a field with a default may not be left out: there is one encoding
        codec.decode(codec.encode([0, 1, 2, 3, 4, []]), Batch)


# ── public vectors ────────────────────────────────────────────────────────────────────────────────


def test_scenario_85_the_msgpack_test_suite_in_its_137_non_canonical_encodings_is_refused():
    suite = json.loads((VECTORS / "msgpack/msgpack-test-suite.json").read_text())
    kinds = collections.Counter()
    accepted = 0
    for name, cases in suite.items():
        for encoding in (bytes.fromhex(text.replace("-", "")) for case in cases for text in case["msgpack"]):
            kind = kind_of(encoding)
            kinds[kind] += 1
            try:
                value = codec.decode(encoding)
            except CodecError:
                float64_or_extension = encoding[0] in (0xCB, 0xC7, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8)
                assert kind != "canonical" or float64_or_extension, f"{name}: {encoding.hex()} was refused"
                continue
            assert kind == "canonical", f"{name}: {encoding.hex()} was accepted"
            assert codec.encode(value) == encoding
            accepted += 1
    assert kinds == {"canonical": 77, "not canonical": 137, "timestamp": 19}
    assert accepted == 57, "all canonical ones but 13 floats and 7 extensions, which are no plain values"


def kind_of(encoding: bytes) -> str:
    """By msgspec alone, with no rule of ours: is it what msgspec would write for the value that it reads?"""
    if encoding[:2] in (b"\xd6\xff", b"\xd7\xff") or encoding[:3] == b"\xc7\x0c\xff":
        return "timestamp"
    value = msgspec.msgpack.decode(encoding)
    return "canonical" if msgspec.msgpack.encode(value) == encoding else "not canonical"


def test_scenario_90_naughty_strings_keep_their_bytes():
    """One rule: text is kept as it came, never normalised, so no two nodes see different names."""
    strings = json.loads((VECTORS / "blns/blns.json").read_text())
    assert len(strings) == 515
    for text in strings:
        data = codec.encode({"memo": [text]})
        assert codec.decode(data) == {"memo": [text]}
        for form in ("NFC", "NFD", "NFKC", "NFKD"):
            other = unicodedata.normalize(form, text)
            assert (codec.encode(other) == codec.encode(text)) is (other == text)


# ── bombs ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("arrays 100,000 deep", b"\x91" * 100_000 + b"\xc0"),
        ("arrays 100,000 deep, cut off", b"\x91" * 100_000),
        ("maps 100,000 deep", b"\x81\xa1a" * 100_000 + b"\xc0"),
        ("arrays in map keys", b"\x81" * 100_000),
        ("array32 of 2^32-1", b"\xdd\xff\xff\xff\xff"),
        ("array32 of 2^32-1 with some items", b"\xdd\xff\xff\xff\xff" + b"\xc0" * 1000),
        ("map32 of 2^32-1", b"\xdf\xff\xff\xff\xff"),
        ("bin32 that claims 4 GiB and has 5 bytes", b"\xc6\xff\xff\xff\xff12345"),
        ("str32 that claims 2 GiB and has 5 bytes", b"\xdb\x80\x00\x00\x0012345"),
        ("ext32 that claims 4 GiB", b"\xc9\xff\xff\xff\xff\x01"),
        ("array32 in array32", b"\xdd\xff\xff\xff\xff" * 1000),
    ],
)
def test_scenario_89_a_bomb_is_a_quick_error(what, data):
    for kind in (object, Transaction, Header):
        best = min(refusal_time_s(data, kind) for _ in range(3))
        assert best < 0.010, f"{what} took {best * 1000:.1f} ms"


def refusal_time_s(data: bytes, kind: type) -> float:
    start = time.perf_counter()
    with pytest.raises(Malformed):
        codec.decode(data) if kind is object else codec.decode(data, kind)
    return time.perf_counter() - start


def nested(depth: int):
    value = None
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_bounded_the_same_both_ways():
    assert codec.decode(b"\x91" * codec.DEPTH_MAX + b"\xc0") == nested(codec.DEPTH_MAX)
    assert codec.encode(nested(codec.DEPTH_MAX)) == b"\x91" * codec.DEPTH_MAX + b"\xc0"
    for depth in (codec.DEPTH_MAX + 1, 200, 5000):
        with pytest.raises(Malformed, match="nested deeper than 64"):
            codec.decode(b"\x91" * depth + b"\xc0")
        with pytest.raises(Malformed, match="nested deeper than 64"):
            codec.encode(nested(depth))


def test_a_verdict_never_depends_on_how_deep_the_host_stands():
    """Near the end of the host's stack the answer is the same, or RecursionError: never "malformed"."""
    allowed = b"\x91" * codec.DEPTH_MAX + b"\xc0"
    too_deep = b"\x91" * 5000 + b"\xc0"

    def verdict(data: bytes, frames: int) -> str:
        if frames:
            return verdict(data, frames - 1)
        try:
            codec.decode(data)
        except (Malformed, RecursionError) as error:
            return type(error).__name__
        return "accepted"

    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(600)
        for frames in range(0, 500, 5):
            try:
                verdicts = verdict(allowed, frames), verdict(too_deep, frames)
            except RecursionError:
                break
            assert verdicts[0] in ("accepted", "RecursionError")
            assert verdicts[1] in ("Malformed", "RecursionError")
    finally:
        sys.setrecursionlimit(limit)
