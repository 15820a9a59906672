"""Write-sets laid over a state, against their obvious twin: one dict in which everything has been written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import storage
from contracts.memory import MemoryState
from contracts.storage import PAGE_BYTES, CachedReader, HeightReader
from contracts.writes import Span, WriteSet, overlaid

ALL = Span(b"", b"", b"\xff" * 4, reverse=False)

keys = st.binary(min_size=1, max_size=3)
writes = st.dictionaries(keys, st.none() | st.binary(max_size=3), max_size=8)


def layer_of(values, sort_first):
    layer = WriteSet()
    if sort_first:
        list(layer.keys_in(ALL))
    for key, value in values.items():
        layer.put(key, value)
    return layer


@settings(max_examples=100, deadline=None)
@given(
    writes,
    st.lists(st.tuples(writes, st.booleans()), max_size=3),
    st.binary(max_size=2),
    st.tuples(keys, keys),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from([1, 3, PAGE_BYTES]),
)
def test_layers_over_a_state_read_like_one_dict(stored, layers, prefix, bounds, page, reverse, page_bytes):
    state = MemoryState()
    state.commit(0, stored, {})
    plain = dict(stored)
    for values, _ in layers:
        plain |= values
    start, end = max(prefix, bounds[0]), min(prefix + b"\xff" * 4, bounds[1])
    upper_first = [layer_of(values, sort_first) for values, sort_first in reversed(layers)]
    span = Span(prefix, start, end, reverse)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "PAGE_BYTES", page_bytes)
        patch.setattr("contracts.writes.PAGE_BYTES", page_bytes)
        found = [(key, value) for key, value, _ in overlaid(upper_first, HeightReader(state, 0), span, page)]
    assert [key for key, _ in found] == sorted({key for key, _ in found}, reverse=reverse)
    alive = [(key, value) for key, value in found if value is not None]
    inside = [(k, v) for k, v in plain.items() if v is not None and k.startswith(prefix) and start <= k < end]
    assert alive == sorted(inside, reverse=reverse)


@settings(max_examples=50, deadline=None)
@given(writes, writes, writes, st.booleans())
def test_a_merged_layer_reads_like_both(first, second, third, scanned):
    layer = layer_of(first, False)
    if scanned:
        list(layer.keys_in(ALL))
    layer.merge(layer_of(second, False))
    layer.merge(layer_of(third, True))
    assert layer.values == first | second | third
    assert list(layer.keys_in(ALL)) == sorted(layer.values)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.lists(keys, max_size=6), writes), max_size=6), st.sampled_from([400, 1_000, 10**6]))
def test_a_cached_reader_reads_like_the_state_however_small_it_is(history, bytes_max):
    state = MemoryState()
    cached = CachedReader(state, bytes_max)
    for height, (reads, changes) in enumerate(history):
        state.commit(height, changes, {})
        cached.on_commit(changes)
        for key in reads:
            assert cached.read(key) == state.get(key)


@pytest.mark.parametrize("reverse", [False, True])
def test_long_values_are_not_read_far_ahead_of_what_is_paid(reverse):
    state = MemoryState()
    state.commit(0, {bytes([number]): bytes(PAGE_BYTES // 2) for number in range(32)}, {})
    for reader in (CachedReader(state), HeightReader(state, 0)):
        read = []
        whole = reader.scan_back if reverse else reader.scan
        setattr(reader, whole.__name__, lambda *at, whole=whole, read=read: read.append(len(whole(*at))) or whole(*at))
        assert len(list(overlaid([], reader, ALL._replace(reverse=reverse), 32))) == 32
        assert read == [2] * 16 + [0]
