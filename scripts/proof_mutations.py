"""Ways to change a proof file: its text, or its content and then the text that the content has.

Drawn from a given generator, so that a campaign can be played again. What a change gives may happen to be no change, or
another true proof; telling that is the campaign's business (`scripts.mutate_proofs`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from ledger import codec
from ledger.errors import InvalidProof
from ledger.proof_file import KINDS, as_text, write_proof

ENCODED = ("header", "seal", "transaction", "receipt", "state_proof")  # parts that are msgpack
ED25519_ORDER = (1 << 252) + 27742317777372353535851937790883648493
VALUES: Sequence[Any] = (None, True, 0, -1, 1.5, 1 << 60, "", "00", "constructor", [], {}, [[]], {"header": "c0"})
NUMBERS = (0, (1 << 53) - 1, 1 << 53, (1 << 64) - 1)
KEY_ENDS = (  # other ends of a key, most of which no key has
    b"\x02\x81\x07\x00",
    b"\x02\x82\x00\x07\x00",
    b"\x02\x7f\xf8\x00",
    b"\x02\x7f\xff\x00",
    b"\x01\x02\x00",
    b"\x04\xff\x00\x01\x00",
    b"",
    b"\x00\x00",
    b"\x05\x00",
)

Document = dict[str, Any]
Draw = random.Random


# ── mutations of the text ─────────────────────────────────────────────────────────────────────────


def _change_byte(draw: Draw, data: bytes) -> bytes:
    place = draw.randrange(len(data))
    return data[:place] + bytes([draw.randrange(256)]) + data[place + 1 :]


def _flip_bit(draw: Draw, data: bytes) -> bytes:
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


def _leave_out(draw: Draw, data: bytes) -> bytes:
    place, length = draw.randrange(len(data)), draw.choice((1, 1, 2, 8, 64))
    return data[:place] + data[place + length :]


def _insert(draw: Draw, data: bytes) -> bytes:
    place = draw.randrange(len(data) + 1)
    return data[:place] + draw.randbytes(draw.choice((1, 1, 2, 8))) + data[place:]


def _double(draw: Draw, data: bytes) -> bytes:
    place, length = draw.randrange(len(data)), draw.choice((1, 2, 64))
    return data[: place + length] + data[place:]


def _cut_short(draw: Draw, data: bytes) -> bytes:
    return data[: draw.randrange(len(data))]


def _other_hex_digit(draw: Draw, data: bytes) -> bytes:
    places = [place for place, byte in enumerate(data) if byte in b"0123456789abcdef"]
    place = draw.choice(places)
    return data[:place] + bytes([draw.choice(b"0123456789abcdefABCDEF")]) + data[place + 1 :]


def _other_space(draw: Draw, data: bytes) -> bytes:
    places = [place for place, byte in enumerate(data) if byte in b" \n"]
    place = draw.choice(places)
    return data[:place] + draw.choice((b"", b"\t", b"\r\n", b"  ", b"\n", b" ")) + data[place + 1 :]


def _other_value(draw: Draw, data: bytes) -> bytes:
    """One value of the JSON replaced by something of any type, in the file or in its summary."""
    document = json.loads(data)
    holder = document["summary"] if draw.random() < 0.3 else document
    name = draw.choice(list(holder))
    holder[name] = draw.choice(
        (None, True, 0, -1, 1.5, 1 << 60, "", "00", "constructor", [], {}, [[]], {"header": "c0"})
    )
    return as_text(document).encode()


def _other_keys(draw: Draw, data: bytes) -> bytes:
    """A key left out, one added, or two in another order."""
    document: Document = json.loads(data)
    names = list(document)
    which = draw.randrange(3)
    if which == 0:
        del document[draw.choice(names)]
    elif which == 1:
        document[draw.choice(("note", "__proto__", "anchor", "index"))] = None
    else:
        one, other = draw.sample(range(len(names)), 2)
        names[one], names[other] = names[other], names[one]
        document = {name: document[name] for name in names}
    return as_text(document).encode()


def _nest(draw: Draw, data: bytes) -> bytes:
    """A value wrapped in lists or objects, a few or more than any reader of JSON goes down."""
    document: Document = json.loads(data)
    name, depth = draw.choice(list(document)), draw.choice((1, 3, 100, 2_000, 20_000))
    head, tail = draw.choice(((b"[", b"]"), (b'{"a":', b"}")))
    text = as_text({name: document[name]}).encode()
    inner = text[text.index(b":") + 1 : text.rindex(b"}")].strip()
    return data.replace(inner, head * depth + inner + tail * depth, 1)


def _say_twice(draw: Draw, data: bytes) -> bytes:
    """A key that stands twice, first or last with another value: readers of JSON differ in which they take."""
    document: Document = json.loads(data)
    name, value = draw.choice(list(document)), draw.choice(VALUES)
    again = json.dumps({name: value})[1:-1].encode()
    if draw.random() < 0.5:
        return b"{\n  " + again + b"," + data[1:]
    return data[: data.rindex(b"\n}")] + b",\n  " + again + b"\n}\n"


def _not_utf8(draw: Draw, data: bytes) -> bytes:
    """Bytes that are no text inside one of the strings: cut short, too long, a surrogate, beyond the last character."""
    places = [place for place, byte in enumerate(data) if byte in b'"']
    place = draw.choice(places) + 1
    strange = draw.choice((b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\\ud800", b"\\u0000"))
    return data[:place] + strange + data[place:]


def _blow_up(draw: Draw, data: bytes) -> bytes:
    """Far too many items in the place of a value, or the value itself many times."""
    document: Document = json.loads(data)
    name, count = draw.choice(list(document)), 20_000
    again = [document[name]] * (count // len(str(document[name])) + 1)
    many: Sequence[Any] = (again, "00" * count, "é" * count, 10**300, [0] * count)
    return as_text(document | {name: draw.choice(many)}).encode()


TEXT: Sequence[Callable[[Draw, bytes], bytes]] = (
    _change_byte,
    _flip_bit,
    _leave_out,
    _insert,
    _double,
    _cut_short,
    _other_hex_digit,
    _other_space,
    _other_value,
    _other_keys,
    _nest,
    _say_twice,
    _not_utf8,
    _blow_up,
)


# ── mutations of the content ──────────────────────────────────────────────────────────────────────


def _hex_part(draw: Draw, document: Document, names: Sequence[str]) -> tuple[Document, str] | None:
    """A place in the document that holds one of these parts in hex: in the proof, a closing, or the anchor."""
    holders = [document, *document["closings"], *([document["anchor"]] if "anchor" in document else [])]
    places = [(holder, name) for holder in holders for name in names if isinstance(holder.get(name), str)]
    return draw.choice(places) if places else None


def _flip_in_part(draw: Draw, document: Document, _: Document) -> None:
    place = _hex_part(draw, document, (*ENCODED, "key", "value", "validators"))
    if place is not None and (raw := bytearray.fromhex(place[0][place[1]])):
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
        place[0][place[1]] = raw.hex()


def _resize_part(draw: Draw, document: Document, _: Document) -> None:
    place = _hex_part(draw, document, (*ENCODED, "key", "value", "validators"))
    if place is not None:
        raw = bytes.fromhex(place[0][place[1]])
        place[0][place[1]] = draw.choice((raw[:-1], raw + b"\x00", raw[1:], b"", raw + raw)).hex()


def _change_inside(draw: Draw, document: Document, _: Document) -> None:
    """One number, text, bytes or list inside an encoded part, encoded again as it must be."""
    place = _hex_part(draw, document, (*ENCODED, "validators"))
    if place is not None:
        value = codec.decode(bytes.fromhex(place[0][place[1]]))
        place[0][place[1]] = codec.encode(_changed(draw, value)).hex()


def _changed(draw: Draw, value: Any) -> Any:
    if isinstance(value, list) and value and draw.random() < 0.8:
        place = draw.randrange(len(value))
        return [*value[:place], _changed(draw, value[place]), *value[place + 1 :]]
    if isinstance(value, list):
        return draw.choice(([*value, *value[-1:]], value[:-1], value[::-1], [*value, 0], None))
    if isinstance(value, int):
        return draw.choice((value + 1, value - 1, value ^ 1 << draw.randrange(20), *NUMBERS))
    if isinstance(value, str):
        return draw.choice((value + "x", value[:-1], "", "ok", "failed", "\x00", value.encode()))
    raw = bytes(value or b"")
    flipped = bytes([raw[0] ^ 1]) + raw[1:] if raw else b"\x01"
    same_size = (flipped, bytes(len(raw)), b"\xff" * len(raw), draw.randbytes(len(raw)))
    return draw.choice((*same_size, raw[:-1], raw + b"\x00"))


def _encode_otherwise(draw: Draw, document: Document, _: Document) -> None:
    """The same value in a longer form: the first head that has one, at a random place of the bytes."""
    place = _hex_part(draw, document, (*ENCODED, "validators"))
    if place is None:
        return
    raw = bytes.fromhex(place[0][place[1]])
    at = draw.randrange(len(raw)) if draw.random() < 0.5 else 0
    byte = raw[at]
    if byte <= 0x7F:
        wider = bytes([0xCC, byte])
    elif 0x90 <= byte <= 0x9F:
        wider = bytes([0xDC, 0, byte - 0x90])
    elif 0xA0 <= byte <= 0xBF:
        wider = bytes([0xD9, byte - 0xA0])
    elif byte == 0xC4:
        wider = b"\xc5\x00"
    else:
        wider = bytes([byte ^ 1])
    place[0][place[1]] = (raw[:at] + wider + raw[at + 1 :]).hex()


def _take_from_another(draw: Draw, document: Document, other: Document) -> None:
    names = [name for name in document if name in other and name not in ("format", "kind", "summary")]
    for name in draw.sample(names, draw.choice((1, 1, 2))):
        document[name] = other[name]


def _call_it_another_kind(draw: Draw, document: Document, other: Document) -> None:
    kind = draw.choice(list(KINDS))
    document |= {name: document.get(name, other.get(name)) for name in KINDS[kind]}
    document["kind"] = kind


def _change_path(draw: Draw, document: Document, other: Document) -> None:
    names = [name for name in ("transaction_path", "receipt_path") if document.get(name)]
    if names:
        name = draw.choice(names)
        path, place = list(document[name]), draw.randrange(len(document[name]))
        changes = (
            path[:place] + path[place + 1 :],
            [*path[:place], draw.randbytes(32).hex(), *path[place:]],
            [*path[:place], path[place], *path[place:]],
            path[::-1],
            list(other.get(name, [])),
            [*path[:place], draw.randbytes(32).hex(), *path[place + 1 :]],
        )
        document[name] = draw.choice(changes)


def _change_seal(draw: Draw, document: Document, other: Document) -> None:
    """Signatures left out, repeated, reordered, given to other members, or taken from another seal."""
    holder = draw.choice([document, *document["closings"]])
    epoch, height, name, signatures = codec.decode(bytes.fromhex(holder["seal"]))
    strange = codec.decode(bytes.fromhex(other["seal"]))[3]
    place = draw.randrange(len(signatures))
    member, signature = signatures[place]
    changes: Sequence[Any] = (
        signatures[: draw.randrange(len(signatures))],
        signatures[:place] + signatures[place + 1 :],
        [*signatures[: place + 1], *signatures[place:]],
        signatures[::-1],
        [*signatures[:place], [member, strange[0][1]], *signatures[place + 1 :]],
        [*signatures[:place], [(member + 1) % 1024, signature], *signatures[place + 1 :]],
        [*signatures[:place], [member, malleated(signature)], *signatures[place + 1 :]],
        strange,
        [],
    )
    holder["seal"] = codec.encode([epoch, height, name, draw.choice(changes)]).hex()


def malleated(signature: bytes) -> bytes:
    """The same signature with S + L for S: careless libraries take it for another good one."""
    return signature[:32] + (int.from_bytes(signature[32:], "little") + ED25519_ORDER).to_bytes(32, "little")


def _change_closings(draw: Draw, document: Document, other: Document) -> None:
    closings = document["closings"]
    extra = {name: other[name] for name in ("header", "seal")} | {"validators": "00"}
    choice = [*other["closings"], extra]
    place = draw.randrange(len(closings) + 1)
    changes: list[list[Any]] = [closings[:place] + closings[place + 1 :], closings[::-1], closings + closings, []]
    changes += [[*closings[:place], draw.choice(choice), *closings[place:]], other["closings"]]
    document["closings"] = draw.choice(changes)


def _change_beginning(draw: Draw, document: Document, other: Document) -> None:
    if "anchor" in document and draw.random() < 0.3:
        del document["anchor"]
    elif "anchor" in document:
        name = draw.choice(("header", "validators"))
        document["anchor"][name] = other.get("anchor", other).get(name, "c0")
    else:
        document["anchor"] = other.get("anchor", {"header": other["header"], "validators": "c0"})


def _change_state(draw: Draw, document: Document, _: Document) -> None:
    """A value denied, or claimed where there is none; a level more or less; another leaf in the key's place."""
    if document["kind"] != "state":
        return
    present, siblings, leaf = codec.decode(bytes.fromhex(document["state_proof"]))
    which = draw.randrange(6)
    if which == 0:
        document["value"] = codec.encode(draw.choice((0, None, "")) if document["value"] is None else None).hex()
    elif which == 1:
        document["value"] = None
    elif which == 2:
        leaf = draw.choice((b"", draw.randbytes(64), leaf[:32] + bytes(32), bytes(64)))
    elif which == 3:
        present, siblings = present + b"\x01", siblings + draw.randbytes(32)
    elif which == 4:
        present = present[:-1]
        siblings = siblings[: 32 * sum(bits.bit_count() for bits in present)]
    else:
        place = draw.randrange(len(present) or 1)
        present = present[:place] + bytes([draw.randrange(64)]) + present[place + 1 :]
        siblings = (siblings * 8)[: 32 * sum(bits.bit_count() for bits in present)]
    document["state_proof"] = codec.encode([present, siblings, leaf]).hex()


def _change_key(draw: Draw, document: Document, _: Document) -> None:
    """Another key for the same proof, also in ways of writing that no key has."""
    if document["kind"] == "state":
        key = bytes.fromhex(document["key"])
        document["key"] = (key[:-1] + draw.choice(KEY_ENDS)).hex()


def _change_event(draw: Draw, document: Document, _: Document) -> None:
    if document["kind"] == "event":
        document["event"] = draw.choice((document["event"] + 1, 3, 99, (1 << 53) - 1, 1 << 53, -1, True, 0.0, None))


CONTENT: Sequence[Callable[[Draw, Document, Document], None]] = (
    _flip_in_part,
    _flip_in_part,
    _resize_part,
    _change_inside,
    _change_inside,
    _encode_otherwise,
    _take_from_another,
    _take_from_another,
    _call_it_another_kind,
    _change_path,
    _change_seal,
    _change_closings,
    _change_beginning,
    _change_state,
    _change_key,
    _change_event,
)


def rewritten(document: Document) -> bytes:
    """The document in the one form that its content has; in that of its parts where its content has none."""
    fields = {name: part for name, part in document.items() if name not in ("format", "kind", "summary")}
    try:
        return write_proof(document["kind"], fields).encode()
    except (InvalidProof, TypeError, KeyError, AttributeError):
        return as_text(document).encode()
