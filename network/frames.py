"""Length-prefixed frames: how a stream of bytes is cut into messages, between peers and between processes alike.

A frame is four bytes of length, big-endian, and the body. The length is judged before a byte of the body is
kept, so nobody makes this process buffer more than the limit it was given. What a body means is not known here.
"""

from __future__ import annotations

HEADER_BYTES = 4
PEER_FRAME_BYTES_MAX = 32 << 20  # a NEW-VIEW of a full window, or a block of the largest size, fits several times


class FrameTooLarge(Exception):
    """A frame announces, or is given, a body above the limit. The stream cannot be read any further."""


def header(body_bytes: int, frame_bytes_max: int = PEER_FRAME_BYTES_MAX) -> bytes:
    """The four bytes before a body of that many bytes, for writers that do not want the body copied."""
    if body_bytes > frame_bytes_max:
        raise FrameTooLarge(f"a frame of {body_bytes} bytes, expected at most {frame_bytes_max}")
    return body_bytes.to_bytes(HEADER_BYTES, "big")


def frame(payload: bytes, frame_bytes_max: int = PEER_FRAME_BYTES_MAX) -> bytes:
    """The payload as one frame. Raises `FrameTooLarge` rather than write what no reader would take."""
    return header(len(payload), frame_bytes_max) + payload


class FrameReader:
    """Takes bytes as they come, gives frames as they complete. Every byte is copied at most twice."""

    def __init__(self, frame_bytes_max: int = PEER_FRAME_BYTES_MAX) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the frame that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that `data` completes, in order.

        Raises `FrameTooLarge` for an oversized length; frames in front of it in the same `data` are dropped with
        it, because whoever sends such a length is about to be disconnected.
        """
        if not self._buffer:
            frames, used = self._split(data)
            self._buffer += memoryview(data)[used:]
            return frames
        self._buffer += data
        frames, used = self._split(self._buffer)
        del self._buffer[:used]
        return frames

    def _split(self, data: bytes | bytearray) -> tuple[list[bytes], int]:
        """The complete frames at the front of `data`, and how many bytes they took."""
        frames: list[bytes] = []
        start, end = 0, len(data)
        with memoryview(data) as view:
            while end - start >= HEADER_BYTES:
                length = int.from_bytes(view[start : start + HEADER_BYTES], "big")
                if length > self._frame_bytes_max:
                    raise FrameTooLarge(f"a frame of {length} bytes, expected at most {self._frame_bytes_max}")
                stop = start + HEADER_BYTES + length
                if stop > end:
                    break
                frames.append(bytes(view[start + HEADER_BYTES : stop]))
                start = stop
        return frames, start
