"""Contract values as JSON: what goes in comes out, and what is no value is refused with the reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from network.json_values import DEPTH_MAX, NotAValue, from_json, to_json

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**256) + 1, 2**256 - 1) | st.text(max_size=20) | st.binary(max_size=20)
)
KEYS = st.text(max_size=8) | st.sampled_from(["$bytes", "$int", "$map", "$$", "$", "$other"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)


@given(VALUES)
def test_every_value_survives_json_text_exactly(value):
    text = json.dumps(to_json(value))
    assert from_json(json.loads(text)) == value
    assert codec.encode(from_json(json.loads(text))) == codec.encode(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\x00\xff", {"$bytes": "00ff"}),
        (2**53 - 1, 2**53 - 1),
        (2**53, {"$int": "9007199254740992"}),
        (-(2**53), {"$int": "-9007199254740992"}),
        (True, True),
        ({"$bytes": "x"}, {"$$bytes": "x"}),
        ({"$$": 1}, {"$$$": 1}),
        ({"$a": 1, "b": 2}, {"$a": 1, "b": 2}),
        ({1: "x"}, {"$map": [[1, "x"]]}),
        ((1, 2), [1, 2]),
    ],
)
def test_how_values_look(value, shown):
    assert to_json(value) == shown
    assert type(to_json(value)) is type(shown)


def test_maps_with_other_keys_come_back():
    value = {1: "a", b"\x00": "b", False: None, (1, "x"): [2]}
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (1.0, "float"),
        (float("nan"), "float"),
        ([{"a": 0.5}], "float"),
        (2**256, "outside 256 bits"),
        ({"$int": str(2**256)}, "outside 256 bits"),
        ({"$int": "9" * 5000}, "not a decimal integer"),
        ({"$int": "1_0"}, "not a decimal integer"),
        ({"$int": "+1"}, "not a decimal integer"),
        ({"$int": "٣"}, "not a decimal integer"),
        ({"$int": 5}, "no tag"),
        ({"$bytes": "0g"}, "not hexadecimal"),
        ({"$bytes": "00 ff"}, "without spaces"),
        ({"$bytes": [0]}, "no tag"),
        ({"$date": "today"}, "no tag"),
        ({"$map": [[1]]}, "pairs"),
        ({"$map": [[{"a": 1}, 2]]}, "no map key"),
        ({"$map": [[[{"a": 1}], 2]]}, "no part of a map key"),
    ],
)
def test_what_is_no_value(shown, reason):
    with pytest.raises(NotAValue, match=reason):
        from_json(shown)


def test_nesting_has_a_limit():
    value = 0
    for _ in range(DEPTH_MAX):
        value = [value]
    assert from_json(value) == value
    with pytest.raises(NotAValue, match="nested deeper"):
        from_json([value])


@pytest.mark.parametrize("value", [1.5, {1, 2}, object()])
def test_what_has_no_json(value):
    with pytest.raises(NotAValue, match="no contract value"):
        to_json(value)
