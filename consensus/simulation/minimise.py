"""A failing plan made as small as it gets while it still breaks the same rule.

Delta debugging (Zeller and Hildebrandt, 2002) over the plan's fields: lists lose halves, then single entries; numbers
go to their quietest value, then half-way there. Knows the shape of a plan, not what its fields mean: what breaks the
rule is asked, never guessed. Every step makes the plan lighter, so it ends; who is in a hurry ends it earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec

from consensus.simulation.plan import Plan
from consensus.simulation.plan_rules import bears, check, faulty

SIZES = (4, 7)  # of the network, tried before the one that failed
MEMBER_WEIGHT = 10_000
ENTRY_WEIGHT = 1000  # an entry of a list against a number's last unit
AND = "+"  # joins the behaviours of one member
STEP = 8  # the shortest step of a number: an eighth of its way to quiet
UNTOUCHED = ("seed", "members", "powers", "at_ms")  # another seed is another run, earlier is not simpler
QUIET = {"transactions": 1, "window": 1, "heal_ms": 1000}  # where that is not the field's default

Fails = Callable[[Plan], str]  # the kind of violation that a plan leads to, empty for none
MayGoOn = Callable[[], bool]


class Minimised(msgspec.Struct, frozen=True):
    """The smallest plan that was found, and what it took."""

    plan: Plan
    runs: int
    complete: bool  # no single step makes it smaller; False where the time ran out


def minimise(plan: Plan, kind: str, fails: Fails, may_go_on: MayGoOn) -> Minimised:
    """The smallest plan found that still fails with that kind of violation."""
    runs, tried = 0, {msgspec.json.encode(plan)}
    found: Plan | None = plan
    while found is not None:
        plan, found = found, None
        for candidate in simpler(plan):
            name = msgspec.json.encode(candidate)
            if name in tried:
                continue
            if not may_go_on():
                return Minimised(plan, runs, complete=False)
            tried.add(name)
            runs += 1
            if fails(candidate) == kind:
                found = candidate
                break
    return Minimised(plan, runs, complete=True)


def weight(plan: Plan) -> int:
    """How much a reader has to keep in mind: members, entries of lists, and how far each number is from quiet."""
    return plan.members * MEMBER_WEIGHT + _weight_of(plan)


def _weight_of(owner: msgspec.Struct) -> int:
    return sum(_weight(getattr(owner, name), _quiet(owner, name)) for name in _fields(owner))


def _weight(value: Any, quiet: Any) -> int:
    match value:
        case msgspec.Struct():
            return _weight_of(value)
        case tuple():
            return sum(ENTRY_WEIGHT + _weight(each, 0) for each in value)
        case int():
            return abs(value - quiet) if isinstance(quiet, int) else abs(value)
        case str():
            return ENTRY_WEIGHT * value.count(AND)
    return 0


def simpler(plan: Plan) -> Iterator[Plan]:
    """Every plan one step lighter, the lightest first."""
    found = [(weight(candidate), candidate) for candidate in _steps(plan)]
    heaviest = weight(plan)
    for each, candidate in sorted(found, key=lambda pair: pair[0]):
        if each < heaviest:
            yield candidate


def _steps(plan: Plan) -> Iterator[Plan]:
    yield from _fewer_members(plan)
    for name in _fields(plan):
        for value in _smaller(getattr(plan, name), _quiet(plan, name)):
            candidate = msgspec.structs.replace(plan, **{name: value})
            if _holds(candidate):
                yield candidate


def _fewer_members(plan: Plan) -> Iterator[Plan]:
    """A smaller network of the first members, where no more of them are faulty than it bears."""
    for size in SIZES:
        if size < plan.members:
            smaller = msgspec.structs.replace(
                plan,
                members=size,
                powers=plan.powers[:size],
                byzantine=tuple(each for each in plan.byzantine if each[0] < size),
                twins=tuple(each for each in plan.twins if each < size),
                forgetful=tuple(each for each in plan.forgetful if each < size),
                restored=tuple(each for each in plan.restored if each < size),
                skewed=tuple(each for each in plan.skewed if each[0] < size),
                disturbances=tuple(each for each in plan.disturbances if all(member < size for member in each.members)),
            )
            if bears(smaller, faulty(smaller)):
                yield smaller


def _fields(owner: msgspec.Struct) -> list[str]:
    return [name for name in owner.__struct_fields__ if name not in UNTOUCHED]


def _holds(plan: Plan) -> bool:
    """Whether a file of it could be played."""
    try:
        check(plan)
    except ValueError:
        return False
    return True


def _quiet(owner: msgspec.Struct, name: str) -> Any:
    """The value of a field at which the least happens."""
    return _quiet_values(type(owner))[name]


@cache
def _quiet_values(kind: type[msgspec.Struct]) -> dict[str, Any]:
    fields = {field.name: field.default for field in msgspec.structs.fields(kind)}
    return {name: QUIET.get(name, 0 if default is msgspec.NODEFAULT else default) for name, default in fields.items()}


def _smaller(value: Any, quiet: Any) -> Iterator[Any]:
    """Values that may be simpler than this one."""
    match value:
        case tuple():
            yield from _shorter(value)
        case msgspec.Struct():
            for name in _fields(value):
                for part in _smaller(getattr(value, name), _quiet(value, name)):
                    yield msgspec.structs.replace(value, **{name: part})
        case str() if AND in value:
            yield from value.split(AND)
        case bool() if value:
            yield False
        case int() if value != quiet and isinstance(quiet, int):
            distance = value - quiet
            yield quiet
            yield quiet + distance // 2
            yield value - (distance // STEP or (1 if distance > 0 else -1))


def _shorter(entries: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Without a half, a quarter, and so on down to a single entry; and with a simpler entry."""
    length = len(entries)
    while length:
        for start in range(0, len(entries), length):
            yield entries[:start] + entries[start + length :]
        length //= 2
    for index, entry in enumerate(entries):
        for simpler_entry in _simpler_entries(entry):
            yield (*entries[:index], simpler_entry, *entries[index + 1 :])


def _simpler_entries(entry: Any) -> Iterator[Any]:
    if isinstance(entry, msgspec.Struct):
        yield from _smaller(entry, 0)
    elif isinstance(entry, tuple):  # (member, what of it): the member stays
        for part in _smaller(entry[-1], 0) if isinstance(entry[-1], str) else ():
            yield (*entry[:-1], part)
