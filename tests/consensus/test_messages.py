"""Form: one encoding, no stray parts, bounds before anything is believed."""

import msgspec
import pytest

from consensus.errors import MessageRefused
from consensus.messages import BODIES, PREPARE, Envelope, Vote, open_envelope


def every_kind(bench):
    batch = bench.batch()
    certificate = bench.certificate(batch)
    left = bench.view_change(1, prepared=[(certificate, batch)])
    return [
        bench.pre_prepare(batch),
        bench.prepare(2, batch),
        bench.commit(2, batch),
        bench.checkpoint(2, 1),
        bench.suspect(2),
        left,
        bench.new_view([left], batches=[batch]),
        bench.status(2, seal=bench.seal(1)),
    ]


def test_every_kind_reads_back_as_it_was_written(bench):
    messages = every_kind(bench)
    assert sorted(each.kind for each in messages) == sorted(BODIES)
    for envelope in messages:
        opened, body = open_envelope(envelope.encode())
        assert opened == envelope
        assert body.encode() == envelope.body


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\x91" * 10_000, b"\xc6\xff\xff\xff\xff"]
)
def test_what_is_no_message_is_malformed(data):
    with pytest.raises(MessageRefused, match="malformed"):
        open_envelope(data)


def test_another_encoding_of_the_same_message_is_refused(bench):
    data = bench.prepare(2, bench.batch()).encode()
    assert data[0] == 0x94
    with pytest.raises(MessageRefused, match="malformed"):
        open_envelope(b"\xdc\x00\x04" + data[1:])  # the same array with a longer header


def test_another_encoding_of_the_body_is_refused(bench):
    envelope = bench.prepare(2, bench.batch())
    loose = msgspec.structs.replace(envelope, body=b"\xdc\x00\x05" + envelope.body[1:])
    with pytest.raises(MessageRefused, match="malformed"):
        open_envelope(loose.encode())


def test_trailing_bytes_are_refused(bench):
    with pytest.raises(MessageRefused, match="malformed"):
        open_envelope(bench.suspect(2).encode() + b"\x00")


def test_an_unknown_kind_is_refused(bench):
    data = bench.prepare(2, bench.batch()).encode().replace(b"prepare", b"propose")
    with pytest.raises(MessageRefused, match="malformed"):
        open_envelope(data)


@pytest.mark.parametrize("view", [-1, 1 << 53, 1 << 63])
def test_a_view_out_of_range_does_not_decode(view, bench):
    body = Vote(0, view, 1, 2, bytes(32)).encode()
    with pytest.raises(MessageRefused, match="malformed"):
        open_envelope(Envelope(PREPARE, body, bytes(64)).encode())


def test_a_message_beyond_the_frame_limit_is_not_even_decoded(monkeypatch):
    monkeypatch.setattr("consensus.messages.MESSAGE_BYTES_MAX", 10)
    with pytest.raises(MessageRefused, match="too_large"):
        open_envelope(bytes(11))
