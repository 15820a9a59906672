"""Frames: what goes in comes out, however the stream is cut, and an oversized length never gets a buffer."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.frames import FrameReader, FrameTooLarge, frame, header


def test_a_frame_is_its_length_and_its_body() -> None:
    assert frame(b"vote") == b"\x00\x00\x00\x04vote"
    assert frame(b"") == b"\x00\x00\x00\x00"
    assert header(4) + b"vote" == frame(b"vote")


@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(1, 200), min_size=1, max_size=50))
def test_frames_survive_any_cut_of_the_stream(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(payload) for payload in payloads)
    reader, got, position, turn = FrameReader(), [], 0, 0
    while position < len(stream):
        step = cuts[turn % len(cuts)]
        got += reader.feed(stream[position : position + step])
        position, turn = position + step, turn + 1
    assert got == payloads
    assert reader.buffered_bytes == 0


def test_an_incomplete_frame_waits_for_its_last_byte() -> None:
    reader = FrameReader()
    assert reader.feed(frame(b"prepare")[:-1]) == []
    assert reader.buffered_bytes == 10
    assert reader.feed(b"e" + frame(b"commit")) == [b"prepare", b"commit"]


def test_the_limit_itself_passes_and_one_byte_more_does_not() -> None:
    assert FrameReader(8).feed(frame(b"12345678")) == [b"12345678"]
    with pytest.raises(FrameTooLarge, match="a frame of 9 bytes, expected at most 8"):
        FrameReader(8).feed(frame(b"123456789"))
    with pytest.raises(FrameTooLarge, match="a frame of 9 bytes, expected at most 8"):
        frame(b"123456789", 8)


@pytest.mark.parametrize("claim", [0x80000000, 0xFFFFFFFF, (32 << 20) + 1])
def test_a_huge_length_is_refused_at_its_fourth_byte(claim: int) -> None:
    reader = FrameReader()
    prefix = claim.to_bytes(4, "big")
    assert reader.feed(prefix[:3]) == []
    started = time.perf_counter()
    with pytest.raises(FrameTooLarge):
        reader.feed(prefix[3:])
    assert time.perf_counter() - started < 0.01
    assert reader.buffered_bytes == 4


def test_a_large_frame_in_small_pieces_takes_linear_time() -> None:
    body = bytes(8 << 20)
    stream = frame(body)
    reader, got = FrameReader(), []
    started = time.perf_counter()
    for start in range(0, len(stream), 4096):
        got += reader.feed(stream[start : start + 4096])
    assert got == [body]
    assert time.perf_counter() - started < 2, "quadratic copying would take minutes"
