"""One field of one message changed, with a valid signature of the liar's own: any field of any kind (ByzzFuzz).

Knows no protocol: it walks whatever fields a frozen value has, certificates and carried messages included.
"""

from __future__ import annotations

from typing import Any

import msgspec

from consensus.messages import Body, Envelope, NewView, SignedViewChange, open_body
from consensus.simulation.liar import Liar
from consensus.simulation.prng import Prng
from ledger.errors import LedgerError

HUGE = ((1 << 53) - 1, 1 << 31, 1 << 63, 1 << 64)
Path = tuple[str | int, ...]


def mutate(liar: Liar, _receiver: int, envelope: Envelope, body: Body) -> list[Envelope]:
    """Now and then one field off, validly signed."""
    if liar.prng.chance(500):
        return [envelope]
    bent = mutated(liar, envelope, body)
    return [bent] if bent else [envelope]


def mutated(liar: Liar, envelope: Envelope, body: Body) -> Envelope | None:
    """The same message with one field changed; None where the change has no encoding."""
    prng = liar.prng
    if envelope.batches and prng.chance(200):
        return msgspec.structs.replace(envelope, batches=_changed_tuple(prng, envelope.batches))
    try:
        bent = _one_view_change(liar, body) if isinstance(body, NewView) and prng.chance(400) else _changed(prng, body)
        return liar.signed(envelope.kind, bent, envelope.batches)
    except (LedgerError, msgspec.MsgspecError, OverflowError):
        return None


def _one_view_change(liar: Liar, body: NewView) -> Body:
    """One field of one VIEW-CHANGE in a NEW-VIEW, signed anew where the liar can."""
    if not body.view_changes:
        return body
    place = liar.prng.below(len(body.view_changes))
    inner = _changed(liar.prng, open_body("view-change", body.view_changes[place].body))
    signed = liar.signed("view-change", inner)
    listed = list(body.view_changes)
    listed[place] = SignedViewChange(signed.body, signed.signature)
    return msgspec.structs.replace(body, view_changes=tuple(listed))


def _changed(prng: Prng, value: Any) -> Any:
    """The value with one place in it, chosen by chance, changed."""
    places = list(paths(value))
    return changed_at(prng, value, places[prng.below(len(places))])


def paths(value: Any, at: Path = ()) -> list[Path]:
    """Every place in a value: fields, entries, and the tuples themselves."""
    if isinstance(value, msgspec.Struct):
        return [each for name in value.__struct_fields__ for each in paths(getattr(value, name), (*at, name))]
    if isinstance(value, tuple):
        return [at, *(each for index, item in enumerate(value) for each in paths(item, (*at, index)))]
    return [at]


def changed_at(prng: Prng, value: Any, path: Path) -> Any:
    """The value with that one place changed."""
    if not path:
        return _other(prng, value)
    head, rest = path[0], path[1:]
    if isinstance(head, str):
        return msgspec.structs.replace(value, **{head: changed_at(prng, getattr(value, head), rest)})
    return (*value[:head], changed_at(prng, value[head], rest), *value[head + 1 :])


def _other(prng: Prng, value: Any) -> Any:
    """Another value of that type."""
    match value:
        case bool():
            return not value
        case int():
            return (max(0, value - 1), value + 1, 0, HUGE[prng.below(len(HUGE))])[prng.below(4)]
        case bytes() if value:
            place = prng.below(len(value))
            return value[:place] + bytes([value[place] ^ (1 << prng.below(8))]) + value[place + 1 :]
        case str() | bytes():
            return value
        case tuple():
            return _changed_tuple(prng, value)
    return value


def _changed_tuple(prng: Prng, value: tuple[Any, ...]) -> tuple[Any, ...]:
    """An entry dropped, repeated, or swapped with its neighbour; everything dropped."""
    if not value:
        return value
    place = prng.below(len(value))
    swapped = list(value)
    swapped[place], swapped[place - 1] = swapped[place - 1], swapped[place]
    ways = (value[:place] + value[place + 1 :], (*value[:place], value[place], *value[place:]), tuple(swapped), ())
    return ways[prng.below(len(ways))]
