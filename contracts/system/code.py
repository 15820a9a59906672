"""Deployment, upgrades and their rights, and what a key is: the half of the contract `system` that is Python.

The language can express none of it: a source is compiled here, and a point of a curve is multiplied, which takes
integers of more than 256 bits. The rules run in the same frames, with the same gas and receipts, as every other
contract's; their refusals have codes of their own.

    contracts[name] -> {version, code_hash, owner, height}
    sources[name, version] -> {source, code_hash, by, height}
    layouts[name] -> {variable: type}, of every variable that any version ever declared
    programs -> bytes of memory that the newest versions of all contracts take when they are compiled
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from contracts import codes, costs
from contracts.catalogue import CONTRACTS, LAYOUTS, PROGRAMS, SOURCES, SYSTEM, Loaded
from contracts.keys import Key
from contracts.language.interface import Bounds, Context, Failure, Host, Meter, Method, SourceRefused, Value
from contracts.language.source import memory_of
from contracts.system.roles import REGISTERED, roles_in
from ledger import codec, hashing, points
from ledger.types import NAME_PATTERN

RESERVED_NAMES: Final = frozenset({SYSTEM})
PAGE_MAX: Final = 100  # entries in one answer of a list view
PROBLEMS_SHOWN_MAX: Final = 20  # of a refused source, in the receipt's message

_ADDRESS: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(NAME_PATTERN.removeprefix("^").removesuffix("$"))


class SystemHost(Host, Protocol):
    """What the system contract may do beyond any other: compile a source and start what it deploys."""

    def compile(self, source: str) -> Loaded:
        """The program of a source. Raises `SourceRefused`."""
        ...

    def start(self, name: str, loaded: Loaded, args: list[Any]) -> None:
        """Run the `init` of a contract that is being deployed, as the sender of this call."""
        ...


# ── entry points ──────────────────────────────────────────────────────────────────────────────────


def deploy(host: SystemHost, meter: Meter, name: str, source: str, args: list[Value]) -> None:
    """Deploy a contract and run its init with these arguments. Needs the role deployer."""
    _require_role(host, "deployer")
    _require_name(name)
    if _get(host, CONTRACTS, (name,)) is not None:
        raise Failure(codes.NAME_TAKEN, f"contract {name} is deployed already; its owner may upgrade it")
    loaded = _compile(host, meter, source)
    _make_room(host, memory_of(source), 0)
    _put_version(host, name, 1, host.context.sender, loaded)
    _put(host, LAYOUTS, (name,), dict(loaded.program.state))
    host.emit("Deployed", {"name": name, "version": 1, "code_hash": loaded.program.code_hash})
    host.start(name, loaded, args)


def upgrade(host: SystemHost, meter: Meter, name: str, source: str) -> int:
    """Give a contract new code over its old state, and the new version's number. For its owner and for admins."""
    record = _get(host, CONTRACTS, (name,)) if _NAME.fullmatch(name) else None
    if record is None:
        raise Failure(codes.UNKNOWN_CONTRACT, "there is no such contract to upgrade")
    roles = _roles(host)
    if "admin" not in roles and not ("deployer" in roles and record["owner"] == host.context.sender):
        raise Failure(codes.NOT_PERMITTED, f"contract {name} may be upgraded by its owner, as deployer, or by an admin")
    loaded = _compile(host, meter, source)
    if loaded.program.code_hash == record["code_hash"]:
        raise Failure(codes.BAD_VALUE, f"this very source is version {record['version']} of contract {name}")
    old = _get(host, SOURCES, (name, record["version"]))["source"]
    meter.charge(costs.REPLACED_BYTE * len(old))
    _make_room(host, memory_of(source), memory_of(old))
    _put(host, LAYOUTS, (name,), _grown_layout(_get(host, LAYOUTS, (name,)), loaded))
    version: int = record["version"] + 1
    _put_version(host, name, version, record["owner"], loaded)
    host.emit("Upgraded", {"name": name, "version": version, "code_hash": loaded.program.code_hash})
    return version


def set_owner(host: SystemHost, _meter: Meter, name: str, owner: str) -> None:
    """Hand the right to upgrade a contract to another account. For its owner and for admins."""
    record = _get(host, CONTRACTS, (name,)) if _NAME.fullmatch(name) else None
    if record is None:
        raise Failure(codes.UNKNOWN_CONTRACT, "there is no such contract to hand over")
    if record["owner"] != host.context.sender and "admin" not in _roles(host):
        raise Failure(codes.NOT_PERMITTED, f"contract {name} may be handed over by its owner or by an admin")
    if not _ADDRESS.fullmatch(owner):
        raise Failure(codes.BAD_VALUE, "a public key is written as 64 lower-case hex digits")
    if _get(host, REGISTERED, (owner,)) is None:
        raise Failure(codes.BAD_VALUE, "the new owner is no account of this network; make it one first")
    _put(host, CONTRACTS, (name,), {**record, "owner": owner})
    host.emit("OwnerSet", {"name": name, "old": record["owner"], "new": owner})


def contract(host: SystemHost, _meter: Meter, name: str) -> Value:
    """The record of a contract: version, code hash, owner and the height of that version; None where there is none."""
    return _get(host, CONTRACTS, (name,))


def contracts(host: SystemHost, _meter: Meter, after: str, limit: int) -> list[Value]:
    """Records of contracts by ascending name, from the one after `after` ("" for the first), at most 100."""
    found = _page(host, CONTRACTS, after, limit)
    return [{"name": key, **codec.decode(value)} for key, value in found]


def source(host: SystemHost, _meter: Meter, name: str, version: int) -> Value:
    """One version of a contract's code: the source, who put it there and when; None where there is none."""
    return _get(host, SOURCES, (name, version))


def versions(host: SystemHost, _meter: Meter, name: str, after: int, limit: int) -> list[Value]:
    """The versions of a contract above `after` (0 for all), at most 100: code hash, who put it there and when."""
    if not 1 <= limit <= PAGE_MAX or after < 0:
        raise Failure(codes.BAD_VALUE, f"limit must be 1 to {PAGE_MAX}, and after a version or 0")
    record = _get(host, CONTRACTS, (name,))
    last = 0 if record is None else min(record["version"], after + limit)
    found = []
    for version in range(after + 1, last + 1):
        stored = _get(host, SOURCES, (name, version))
        found.append({"version": version, **{key: stored[key] for key in ("code_hash", "by", "height")}})
    return found


def is_public_key(_host: SystemHost, meter: Meter, key: str) -> bool:
    """Whether 64 lower-case hex digits are a key that somebody can have made: a point of prime order, canonically
    encoded."""
    meter.charge(costs.KEY_CHECK)
    return _ADDRESS.fullmatch(key) is not None and points.is_public_key(bytes.fromhex(key))


# ── the program ───────────────────────────────────────────────────────────────────────────────────

_EVENTS: Final = (
    ("Deployed", (("name", "str"), ("version", "int"), ("code_hash", "bytes"))),
    ("Upgraded", (("name", "str"), ("version", "int"), ("code_hash", "bytes"))),
    ("OwnerSet", (("name", "str"), ("old", "str"), ("new", "str"))),
)
_STATE: Final = (
    (CONTRACTS, "Map[str, dict]"),
    (SOURCES, "Map[tuple[str, int], dict]"),
    (LAYOUTS, "Map[str, dict]"),
    (PROGRAMS, "int"),
)
_Entry = Callable[..., Any]
_CALLS: Final[tuple[_Entry, ...]] = (deploy, upgrade, set_owner)
_VIEWS: Final[tuple[_Entry, ...]] = (contract, contracts, source, versions, is_public_key)


class CodeProgram:
    """This half as a `Program`."""

    name: Final = "Code"
    doc: Final = (__doc__ or "").strip()
    code_hash: Final = hashing.code_hash(b"system code 4")
    state: Final = _STATE
    events: Final = _EVENTS

    def __init__(self) -> None:
        entries = [("call", entry) for entry in _CALLS] + [("view", entry) for entry in _VIEWS]
        self._entries = {entry.__name__: (_method(kind, entry), entry) for kind, entry in entries}
        self.methods = tuple(method for method, _ in self._entries.values())

    def run(self, method: str, args: list[Any], host: Host, meter: Meter) -> Any:
        """Run one entry point. Raises `Failure`."""
        if method not in self._entries:
            raise Failure(codes.UNKNOWN_METHOD, "the system contract has no such method")
        declared, entry = self._entries[method]
        _check_arguments(declared, args)
        return entry(cast(SystemHost, host), meter, *args)


def _method(kind: str, entry: _Entry) -> Method:
    """The interface of an entry point, as its signature has it."""
    types = {name: text for name, text in entry.__annotations__.items() if not name.startswith("_")}
    returns = types.pop("return", "None")
    parameters = tuple((name, text) for name, text in types.items() if name not in ("host", "meter"))
    return Method(entry.__name__, kind, parameters, returns, (entry.__doc__ or "").strip(), 0)


_KINDS: Final[dict[str, type]] = {"str": str, "int": int, "list[Value]": list}


def _check_arguments(method: Method, args: list[Any]) -> None:
    """In the words of the language."""
    if len(args) != len(method.parameters):
        wanted = ", ".join([name for name, _ in method.parameters])
        message = f"{method.name} takes {len(method.parameters)} arguments ({wanted}), not {len(args)}"
        raise Failure(codes.BAD_ARGUMENTS, message)
    for (name, text), value in zip(method.parameters, args, strict=True):
        if type(value) is not _KINDS[text]:
            found = "None" if value is None else type(value).__name__
            raise Failure(codes.BAD_ARGUMENTS, f"the argument {name!r} of {method.name} must be {text}, not {found}")


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────


def _roles(host: SystemHost) -> frozenset[str]:
    return roles_in(host.get(REGISTERED, (host.context.sender,)))


def _require_role(host: SystemHost, role: str) -> None:
    if role not in _roles(host):
        raise Failure(codes.NOT_PERMITTED, f"this needs the role {role}, which the sender does not have")


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Failure(codes.BAD_NAME, f"a contract's name must match {NAME_PATTERN}")
    if name in RESERVED_NAMES:
        raise Failure(codes.BAD_NAME, f"the name {name} is reserved")


def _compile(host: SystemHost, meter: Meter, text: str) -> Loaded:
    meter.charge(costs.COMPILE_BYTE * len(text))
    try:
        return host.compile(text)
    except SourceRefused as refused:
        raise Failure(codes.SOURCE_REFUSED, _problems_text(refused)) from None


def _make_room(host: SystemHost, needed: int, freed: int) -> None:
    """Count a program in that takes another's place. All have to fit: to compile one whenever it is called would take
    a thousand times as long as the call."""
    total = (_get(host, PROGRAMS, ()) or 0) + needed - freed
    if total > costs.PROGRAMS_BYTES_MAX:
        raise Failure(
            codes.SIZE_LIMIT,
            f"compiled, all contracts of this network would take {total} bytes of memory, {needed} of them this one; "
            f"at most {costs.PROGRAMS_BYTES_MAX} are allowed",
        )
    _put(host, PROGRAMS, (), total)


def _problems_text(refused: SourceRefused) -> str:
    """Lines and reasons, as many as fit a receipt. The parser's own problem has no place: Pythons disagree on it."""
    problems = refused.problems
    if problems[0].code == "syntax":
        return str(refused)
    lines = [str(problem) for problem in problems[:PROBLEMS_SHOWN_MAX]]
    if len(problems) > PROBLEMS_SHOWN_MAX:
        lines.append(f"and {len(problems) - PROBLEMS_SHOWN_MAX} more")
    return "\n".join(lines)


def _grown_layout(layout: dict[str, str], loaded: Loaded) -> dict[str, str]:
    """The layout with the new program's variables. Raises when one would read what another type wrote."""
    for variable, kind in loaded.program.state:
        old = layout.get(variable, kind)
        if old != kind:
            raise Failure(
                codes.LAYOUT_CHANGED,
                f"state variable {variable} is {old} and cannot become {kind}; name a new variable",
            )
    return layout | dict(loaded.program.state)


def _put_version(host: SystemHost, name: str, version: int, owner: str, loaded: Loaded) -> None:
    context: Context = host.context
    stamp = {"code_hash": loaded.program.code_hash, "height": context.height}
    _put(host, CONTRACTS, (name,), {"version": version, "owner": owner, **stamp})
    _put(host, SOURCES, (name, version), {"source": loaded.source, "by": context.sender, **stamp})


def _page(host: SystemHost, variable: str, after: str, limit: int) -> list[tuple[str, bytes]]:
    if not 1 <= limit <= PAGE_MAX:
        raise Failure(codes.BAD_VALUE, f"limit must be 1 to {PAGE_MAX}")
    found = host.scan(variable, (), Bounds(after=(after,) if after else None), limit)
    return [(str(key[0]), value) for key, value in found]


def _get(host: SystemHost, variable: str, key: Key) -> Any:
    data = host.get(variable, key)
    return None if data is None else codec.decode(data)


def _put(host: SystemHost, variable: str, key: Key, value: Any) -> None:
    host.put(variable, key, codec.encode(value))
