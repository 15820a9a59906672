"""The canonical bytes inside a proof file, read without the node's codec: what has another writing is refused.

Every value is msgpack in its shortest form (`ledger.codec` writes it so); a record is the list of its fields, named
here in their order. A key of the state has an encoding of its own (`contracts.keys`). Reading raises `InvalidProof`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ledger.errors import InvalidProof

KEY_BYTES_MAX = 1024
NUMBER_MAX = (1 << 53) - 1  # exact in every JSON reader
CONTRACT_NAME = re.compile(rb"[a-z][a-z0-9_-]{0,62}")
VARIABLE_NAME = re.compile(
    rb"[A-Za-z][A-Za-z0-9_]*"
)  # others would be true proofs of absence that tell people anything

Parts = dict[str, Any]  # the named parts of something that was read

# Of each kind of item: the first byte of the short form, the largest number in it, and the first bytes of the longer
# forms with how many bytes the number then has. Only the shortest form that holds a number is accepted.
_FORMS = {
    "number": (0x00, 0x7F, {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}),
    "list": (0x90, 15, {0xDC: 2, 0xDD: 4}),
    "text": (0xA0, 31, {0xD9: 1, 0xDA: 2, 0xDB: 4}),
    "bytes": (0xC4, -1, {0xC4: 1, 0xC5: 2, 0xC6: 4}),
}


class _Reader:
    """Bytes, read front to back."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.data, self.at = name, data, 0

    def fault(self, why: str) -> InvalidProof:
        return InvalidProof(f"the {self.name} cannot be read: {why}")

    def take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        if len(taken) != count:
            raise self.fault("it is cut short")
        self.at += count
        return taken

    def head(self, kind: str, least: int = 0, most: int = NUMBER_MAX) -> int:
        """A number, or how many follow."""
        short, short_most, longer = _FORMS[kind]
        first = self.take(1)[0]
        if short <= first <= short + short_most:
            value = first - short
        elif first in longer:
            width = longer[first]
            value = int.from_bytes(self.take(width), "big")
            if value <= max([short_most, *((1 << 8 * each) - 1 for each in longer.values() if each < width)]):
                raise self.fault(f"a {kind} is in a longer form than it needs")
        else:
            raise self.fault(f"expected a {kind}")
        if not least <= value <= most:
            raise self.fault(f"a {kind} has or is {value}, expected {least} to {most}")
        return value

    def utf8(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise self.fault("a text is not UTF-8") from None

    def end(self) -> None:
        if self.at != len(self.data):
            raise self.fault("bytes follow its end")


Shape = Callable[[_Reader], Any]  # how to read a value


def decode(name: str, data: bytes, shape: Shape) -> Parts:
    """The record of this shape that `data` is; `name` is what a refusal calls it."""
    reader = _Reader(name, data)
    value: Parts = shape(reader)
    reader.end()
    return value


def encode_number(value: int) -> bytes:
    """The encoding of a number: its shortest form."""
    _, short_most, longer = _FORMS["number"]
    if value <= short_most:
        return bytes([value])
    first, width = next((first, width) for first, width in longer.items() if value < 1 << 8 * width)
    return bytes([first]) + value.to_bytes(width, "big")


def _count(least: int = 0, most: int = NUMBER_MAX) -> Shape:
    return lambda reader: reader.head("number", least, most)


def _data(least: int = 0, most: int = NUMBER_MAX) -> Shape:
    return lambda reader: reader.take(reader.head("bytes", least, most))


def _words(least: int = 0, most: int = NUMBER_MAX) -> Shape:
    def read(reader: _Reader) -> str:
        text = reader.utf8(reader.take(reader.head("text")))
        if not least <= len(text) <= most:
            raise reader.fault(f"a text has {len(text)} characters, expected {least} to {most}")
        return text

    return read


def _list(item: Shape, least: int = 0, most: int = NUMBER_MAX) -> Shape:
    return lambda reader: [item(reader) for _ in range(reader.head("list", least, most))]


def _record(**fields: Shape) -> Shape:
    def read(reader: _Reader) -> Parts:
        reader.head("list", len(fields), len(fields))
        return {name: shape(reader) for name, shape in fields.items()}

    return read


_COUNT, _HASH, _NAME, _MEMBER = _count(), _data(32, 32), _words(1, 63), _count(0, 1023)

HEADER = _record(
    chain_id=_HASH,
    epoch=_COUNT,
    height=_COUNT,
    previous_hash=_HASH,
    batch_digest=_HASH,
    batch_view=_COUNT,
    batch_proposer=_MEMBER,
    batch_since=_COUNT,
    time_ms=_COUNT,
    transactions_root=_HASH,
    receipts_root=_HASH,
    state_root=_HASH,
    validators_hash=_HASH,
    next_validators_hash=_HASH,
    transaction_count=_COUNT,
    gas_used=_COUNT,
)
SEAL = _record(
    epoch=_COUNT,
    height=_COUNT,
    header_hash=_HASH,
    signatures=_list(_record(member=_MEMBER, signature=_data(64, 64))),
)
VALIDATOR_SET = _record(
    members=_list(
        _record(name=_NAME, public_key=_HASH, power=_count(1, 1 << 32), tls_certificate=_data()), least=1, most=1024
    )
)
TRANSACTION = _record(
    body=_record(
        chain_id=_HASH,
        sender=_HASH,
        calls=_list(_record(contract=_NAME, method=_NAME, args=_data()), least=1, most=64),
        gas_limit=_COUNT,
        valid_until=_COUNT,
        salt=_data(16, 16),
    ),
    signature=_data(64, 64),
)
RECEIPT = _record(
    height=_COUNT,
    index=_COUNT,
    transaction_id=_HASH,
    transaction_hash=_HASH,
    code=_words(),
    message=_words(),
    contract=_words(),
    line=_COUNT,
    gas_used=_COUNT,
    results=_list(_data()),
    events=_list(_record(contract=_words(), name=_words(), fields=_data())),
)
STATE_PROOF = _record(present=_data(), siblings=_data(), other=_data())


# ── a key of the state: contract, variable, and the parts of a Map's key (`contracts.keys` writes them) ──


def read_key(key: bytes) -> Parts:
    """A key in any other writing than its one would pass for absent where the real one is present."""
    reader = _Reader("key", key)
    if len(key) > KEY_BYTES_MAX:
        raise reader.fault(f"it has {len(key)} bytes, at most {KEY_BYTES_MAX} are allowed")
    contract, variable = (reader.take(reader.take(1)[0]) for _ in range(2))
    if not CONTRACT_NAME.fullmatch(contract):
        raise reader.fault("it is of no contract: no name is written like that")
    if not VARIABLE_NAME.fullmatch(variable):
        raise reader.fault("it is of no state variable: no name is written like that")
    elements = []
    while (tag := reader.take(1)[0]) != 0:
        elements.append(_read_element(reader, tag))
    reader.end()
    return {"contract": contract.decode(), "variable": variable.decode(), "elements": elements}


def element_text(element: bool | int | bytes | str) -> str:
    """A part of a key as paths and commands have it, where its type is known."""
    if isinstance(element, bool):
        return "true" if element else "false"
    return element.hex() if isinstance(element, bytes) else str(element)


def element_label(element: bool | int | bytes | str) -> str:
    """The same, so that no two look alike: a str in quotes, bytes behind 0x."""
    if isinstance(element, str):
        return json.dumps(element, ensure_ascii=False)
    return ("0x" if isinstance(element, bytes) else "") + element_text(element)


def _read_element(reader: _Reader, tag: int) -> bool | int | bytes | str:
    if tag == 1:
        value = reader.take(1)[0]
        if value > 1:
            raise reader.fault("a bool is neither 0 nor 1")
        return value == 1
    if tag == 2:
        return _read_integer(reader)
    if tag not in (3, 4):
        raise reader.fault(f"no part of a key begins with {tag}")
    data = _read_escaped(reader)
    return data if tag == 3 else reader.utf8(data)


def _read_escaped(reader: _Reader) -> bytes:
    """Up to 00 01; 00 FF stands for 00."""
    data = bytearray()
    while True:
        byte = reader.take(1)
        if byte == b"\x00":
            follower = reader.take(1)
            if follower == b"\x01":
                return bytes(data)
            if follower != b"\xff":
                raise reader.fault("a zero byte is neither escaped nor a stop")
        data += byte


def _read_integer(reader: _Reader) -> int:
    """80 + n, or 80 - n below zero; then n bytes, complemented below zero."""
    size = reader.take(1)[0] - 0x80
    if abs(size) > 32:
        raise reader.fault("an integer is outside 256 bits")
    magnitude = int.from_bytes(reader.take(abs(size)), "big")
    if size < 0:
        magnitude = (1 << 8 * -size) - 1 - magnitude
    if (magnitude.bit_length() + 7) // 8 != abs(size):
        raise reader.fault("an integer is longer than it must be")
    return -magnitude if size < 0 else magnitude
