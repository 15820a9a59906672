"""The system contract: who may send, who may deploy, and which code each contract has.

Native Python behind the same calls, gas and receipts as every other contract. Its state is ordinary authenticated
state under the reserved name `system`, so accounts and code are proven like balances:

    accounts[address] -> {name, roles}            admins -> how many accounts have the role admin
    contracts[name] -> {version, code_hash, owner, height}
    sources[name, version] -> {source, code_hash, by, height}
    layouts[name] -> {variable: type}, of every variable that any version ever declared
    programs -> bytes of memory that the newest versions of all contracts take when they are compiled

An address is the lower-case hex of a public key. A contract that calls has its name for an address, which is
shorter, so it is no account and has no role here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import msgspec

from contracts import codes, costs
from contracts.catalogue import CONTRACTS, LAYOUTS, PROGRAMS, SOURCES, SYSTEM, Loaded
from contracts.keys import Key, state_key
from contracts.language.interface import Bounds, Context, Failure, Host, Meter, Method, SourceRefused
from contracts.language.source import memory_of
from ledger import codec, hashing
from ledger.points import is_public_key
from ledger.types import NAME_PATTERN, Account, Parameters

ACCOUNTS: Final = "accounts"
ADMINS: Final = "admins"
ROLES: Final = ("admin", "deployer", "writer", "auditor")
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


def deploy(host: SystemHost, meter: Meter, name: str, source: str, args: list[Any]) -> None:
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
    _make_room(host, memory_of(source), memory_of(_get(host, SOURCES, (name, record["version"]))["source"]))
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
    _require_address(owner)
    if _get(host, ACCOUNTS, (owner,)) is None:
        raise Failure(codes.BAD_VALUE, "the new owner is no account of this network; make it one first")
    _put(host, CONTRACTS, (name,), {**record, "owner": owner})
    host.emit("OwnerSet", {"name": name, "old": record["owner"], "new": owner})


def set_account(host: SystemHost, meter: Meter, public_key: str, name: str, roles: list[str]) -> None:
    """Make a key a known account, or change its name and roles. For admins."""
    _require_role(host, "admin")
    _require_address(public_key)
    if not _NAME.fullmatch(name):
        raise Failure(codes.BAD_NAME, f"an account's name must match {NAME_PATTERN}")
    if not roles or len(set(roles)) != len(roles) or not set(roles) <= set(ROLES):
        raise Failure(codes.BAD_VALUE, f"roles must be some of {', '.join(ROLES)}, each once")
    before = _get(host, ACCOUNTS, (public_key,))
    if before is None:
        _require_key(meter, public_key)
    _count_admins(host, before is not None and "admin" in before["roles"], "admin" in roles)
    ordered = [role for role in ROLES if role in roles]
    _put(host, ACCOUNTS, (public_key,), {"name": name, "roles": ordered})
    host.emit("AccountSet", {"public_key": public_key, "name": name, "roles": ordered})


def remove_account(host: SystemHost, _meter: Meter, public_key: str) -> None:
    """Make a key unknown: it can send nothing more. For admins; the last admin stays."""
    _require_role(host, "admin")
    _require_address(public_key)
    before = _get(host, ACCOUNTS, (public_key,))
    if before is None:
        raise Failure(codes.KEY_ERROR, "there is no such account")
    _count_admins(host, "admin" in before["roles"], False)
    host.put(ACCOUNTS, (public_key,), None)
    host.emit("AccountRemoved", {"public_key": public_key, "name": before["name"]})


def account(host: SystemHost, _meter: Meter, public_key: str) -> Any:
    """The name and roles of an account, None for a stranger."""
    return _get(host, ACCOUNTS, (public_key,))


def accounts(host: SystemHost, _meter: Meter, after: str, limit: int) -> list[Any]:
    """Accounts by ascending public key, from the one after `after` ("" for the first), at most 100."""
    found = _page(host, ACCOUNTS, after, limit)
    return [{"public_key": key, **codec.decode(value)} for key, value in found]


def contract(host: SystemHost, _meter: Meter, name: str) -> Any:
    """The record of a contract: version, code hash, owner and the height of that version; None where there is none."""
    return _get(host, CONTRACTS, (name,))


def contracts(host: SystemHost, _meter: Meter, after: str, limit: int) -> list[Any]:
    """Records of contracts by ascending name, from the one after `after` ("" for the first), at most 100."""
    found = _page(host, CONTRACTS, after, limit)
    return [{"name": key, **codec.decode(value)} for key, value in found]


def source(host: SystemHost, _meter: Meter, name: str, version: int) -> Any:
    """One version of a contract's code: the source, who put it there and when; None where there is none."""
    return _get(host, SOURCES, (name, version))


def versions(host: SystemHost, _meter: Meter, name: str, after: int, limit: int) -> list[Any]:
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


# ── the program ───────────────────────────────────────────────────────────────────────────────────

_EVENTS: Final = (
    ("Deployed", (("name", "str"), ("version", "int"), ("code_hash", "bytes"))),
    ("Upgraded", (("name", "str"), ("version", "int"), ("code_hash", "bytes"))),
    ("OwnerSet", (("name", "str"), ("old", "str"), ("new", "str"))),
    ("AccountSet", (("public_key", "str"), ("name", "str"), ("roles", "list[str]"))),
    ("AccountRemoved", (("public_key", "str"), ("name", "str"))),
)
_STATE: Final = (
    (ACCOUNTS, "Map[str, dict]"),
    (ADMINS, "int"),
    (CONTRACTS, "Map[str, dict]"),
    (SOURCES, "Map[tuple[str, int], dict]"),
    (LAYOUTS, "Map[str, dict]"),
    (PROGRAMS, "int"),
)
_Entry = Callable[..., Any]
_CALLS: Final[tuple[_Entry, ...]] = (deploy, upgrade, set_owner, set_account, remove_account)
_VIEWS: Final[tuple[_Entry, ...]] = (account, accounts, contract, contracts, source, versions)


class SystemProgram:
    """The system contract as a `Program`, for one network's parameters."""

    name: Final = "System"
    state: Final = _STATE
    events: Final = _EVENTS

    def __init__(self, parameters: Parameters) -> None:
        self.doc = (__doc__ or "").strip()
        self.code_hash = hashing.code_hash(b"system 3")
        self._parameters: dict[str, Any] = msgspec.structs.asdict(parameters)
        entries = {entry.__name__: ("call", entry) for entry in _CALLS}
        entries |= {entry.__name__: ("view", entry) for entry in (*_VIEWS, self.parameters)}
        self._entries = {name: (_method(kind, entry), entry) for name, (kind, entry) in entries.items()}
        self.methods = tuple(method for method, _ in self._entries.values())

    def parameters(self, _host: SystemHost, _meter: Meter) -> dict[str, Any]:
        """What every member agreed on in the genesis: windows, sizes, times."""
        return dict(self._parameters)

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


_TAKES: Final[dict[str, Callable[[Any], bool]]] = {
    "str": lambda value: type(value) is str,
    "int": lambda value: type(value) is int,
    "list[str]": lambda value: type(value) is list and all(type(item) is str for item in value),
    "list[Any]": lambda value: type(value) is list,
}


def _check_arguments(method: Method, args: list[Any]) -> None:
    if len(args) != len(method.parameters):
        raise Failure(
            codes.BAD_ARGUMENTS, f"{method.name} takes {len(method.parameters)} arguments, {len(args)} were given"
        )
    for (name, text), value in zip(method.parameters, args, strict=True):
        if not _TAKES[text](value):
            raise Failure(codes.BAD_ARGUMENTS, f"argument {name} of {method.name} must be {text}")


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────


def roles_in(account_record: bytes | None) -> frozenset[str]:
    """The roles that an account's state value grants; an admin has every role. Empty for a stranger."""
    if account_record is None:
        return frozenset()
    roles = frozenset(codec.decode(account_record)["roles"])
    return frozenset(ROLES) if "admin" in roles else roles


def account_key(address: str) -> bytes:
    """The state key of an account."""
    return state_key(SYSTEM, ACCOUNTS, (address,))


def genesis_writes(accounts_at_start: tuple[Account, ...]) -> dict[bytes, bytes | None]:
    """The state at height 0."""
    writes: dict[bytes, bytes | None] = {}
    for entry in accounts_at_start:
        ordered = [role for role in ROLES if role in entry.roles]
        writes[account_key(entry.public_key.hex())] = codec.encode({"name": entry.name, "roles": ordered})
    admins = sum("admin" in entry.roles for entry in accounts_at_start)
    writes[state_key(SYSTEM, ADMINS, ())] = codec.encode(admins)
    return writes


def _roles(host: SystemHost) -> frozenset[str]:
    return roles_in(host.get(ACCOUNTS, (host.context.sender,)))


def _require_role(host: SystemHost, role: str) -> None:
    if role not in _roles(host):
        raise Failure(codes.NOT_PERMITTED, f"this needs the role {role}, which the sender does not have")


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Failure(codes.BAD_NAME, f"a contract's name must match {NAME_PATTERN}")
    if name in RESERVED_NAMES:
        raise Failure(codes.BAD_NAME, f"the name {name} is reserved")


def _require_address(text: str) -> None:
    if not _ADDRESS.fullmatch(text):
        raise Failure(codes.BAD_VALUE, "a public key is written as 64 lower-case hex digits")


def _require_key(meter: Meter, address: str) -> None:
    """Only what somebody can have made as a key: for points of small order anybody can sign, and libraries disagree."""
    meter.charge(costs.KEY_CHECK)
    if not is_public_key(bytes.fromhex(address)):
        raise Failure(codes.BAD_VALUE, "this is no Ed25519 public key: no point of prime order, canonically encoded")


def _count_admins(host: SystemHost, before: bool, after: bool) -> None:
    """Keep the number of admins, which never falls to zero: nobody could make another."""
    if before == after:
        return
    count: int = _get(host, ADMINS, ()) + (1 if after else -1)
    if count < 1:
        raise Failure(codes.LAST_ADMIN, "this is the last admin; make another one first")
    _put(host, ADMINS, (), count)


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
