"""The settings of one node: `node.toml`, checked in full before anything starts.

It knows every key there is, its default and what may stand there; `write_config` and the reference page in `docs/`
say the same because both read the types below. A wrong file is reported whole, each problem with its line, what
was found and what is allowed. It opens no port and reads no key: it only says where they are.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from ledger.types import NAME_PATTERN

CONFIG_FILE = "node.toml"
CONFIG_BYTES_MAX = 1 << 20
PEERS_MAX = 1023
_ADDRESS = re.compile(r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*):([0-9]{1,5})$")


class ConfigError(Exception):
    """The settings cannot be used. One line of text a problem: file, line, what was found, what is allowed."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__("\n".join(_told(path, problem) for problem in problems))


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong with a settings file. `line` counts from 1; 0 is the file as a whole."""

    line: int
    text: str


def _told(path: Path, problem: Problem) -> str:
    return f"{path}:{problem.line}: {problem.text}" if problem.line else f"{path}: {problem.text}"


def split_address(address: str) -> tuple[str, int]:
    """("host", port) of "host:port"; an IPv6 host stands in brackets. Raises ValueError saying what is wrong."""
    match = _ADDRESS.match(address)
    if match is None or not 1 <= int(match[2]) <= 65535:
        raise ValueError(f"{address!r} is not host:port with a port from 1 to 65535")
    return match[1].strip("[]"), int(match[2])


def _text(description: str, expected: str, check: Callable[[str], object] | None = None, pattern: str = "") -> Meta:
    extra = {"expected": expected, "check": check}
    if pattern:
        return Meta(description=description, extra=extra, pattern=pattern)
    return Meta(description=description, extra=extra, min_length=1)


def _whole(description: str, low: int, high: int) -> Meta:
    return Meta(description=description, ge=low, le=high, extra={"expected": f"a whole number from {low} to {high}"})


_HOST_PORT = 'host:port, such as "127.0.0.1:9101"'
_HOST = "a host name or address"
_EVERY_HOST = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what a user may write, nothing is bound here
_PATH = "a path"
_NAME = "lower-case letters, digits, _ and -, starting with a letter"


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the tables of a settings file. The docstring of each is the comment above it in a written file."""


class NodeSection(Section, frozen=True):
    """Who this node is."""

    name: Annotated[str, _text("This member's name, as the genesis file spells it.", _NAME, pattern=NAME_PATTERN)]
    data: Annotated[str, _text("Directory of blocks, state and votes.", _PATH)] = "."
    genesis: Annotated[str, _text("The network's genesis file, the same for every member.", _PATH)] = "genesis.json"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="How much is logged.", extra={"expected": '"debug", "info", "warning" or "error"'}),
    ] = "info"


class PeerSection(Section, frozen=True):
    """Where other validators reach this one (mutually authenticated TLS 1.3)."""

    listen: Annotated[str, _text("Address to listen on.", _HOST_PORT, split_address)] = "127.0.0.1:9101"


class PeerAddress(Section, frozen=True):
    """Another validator, one [[peers]] table each. Keys and certificates are in the genesis file, addresses here."""

    name: Annotated[str, _text("The member's name, as the genesis file spells it.", _NAME, pattern=NAME_PATTERN)]
    address: Annotated[str, _text("Where it listens.", _HOST_PORT, split_address)]


class GatewaySection(Section, frozen=True):
    """The HTTP side: API, explorer, metrics. It holds no key."""

    enabled: Annotated[
        bool,
        Meta(description="Whether this node serves HTTP.", extra={"expected": "true or false"}),
    ] = True
    host: Annotated[
        str, _text("Address to listen on; 127.0.0.1 keeps it on this machine.", "a host name or address")
    ] = "127.0.0.1"
    port: Annotated[int, _whole("Port to listen on.", 1, 65535)] = 8101
    allowed_hosts: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...],
        Meta(
            description='Host names under which clients may reach it; any other is refused. ["*"] allows all.',
            min_length=1,
            max_length=256,
            extra={"expected": 'a list of host names, such as ["localhost", "127.0.0.1"]'},
        ),
    ] = ("localhost", "127.0.0.1", "::1")
    body_bytes_max: Annotated[int, _whole("Largest request body, in bytes.", 1024, 256 << 20)] = 4 << 20


class KeysSection(Section, frozen=True):
    """Where the keys are. Key files must be readable by their owner only."""

    validator: Annotated[str, _text("The Ed25519 key that votes (PEM).", _PATH)] = "keys/validator.pem"
    tls_key: Annotated[str, _text("The key of the peer links (PEM).", _PATH)] = "keys/tls.key"
    tls_certificate: Annotated[str, _text("Its certificate, as in the genesis file (PEM).", _PATH)] = "keys/tls.crt"
    passphrase_env: Annotated[
        str,
        _text(
            "The environment variable that holds the passphrase of an encrypted key.",
            "the name of an environment variable",
            pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        ),
    ] = "QUORATE_PASSPHRASE"  # noqa: S105 - the name of a variable, not what it holds


class MempoolSection(Section, frozen=True):
    """Limits of what waits for its block. Beyond them a transaction is refused with "busy" and may be sent again."""

    transactions_max: Annotated[int, _whole("Most waiting transactions.", 1, 10_000_000)] = 50_000
    bytes_max: Annotated[int, _whole("Most waiting bytes.", 1 << 20, 16 << 30)] = 64 << 20


class SnapshotsSection(Section, frozen=True):
    """Copies of the state that this node makes for members that join or come back. Set `every` alike at all members."""

    every: Annotated[int, _whole("Heights between two snapshots; 0 makes none.", 0, 10_000_000)] = 1000
    keep: Annotated[int, _whole("How many are kept; older ones are deleted.", 1, 100)] = 2
    join_behind: Annotated[
        int, _whole("So many blocks behind, this node takes a snapshot from the others.", 16, 10_000_000)
    ] = 512


class ScrubSection(Section, frozen=True):
    """Reading again what is stored, to find what a disk has damaged and have it mended while the others have it."""

    bytes_per_second: Annotated[
        int, _whole("Most bytes that are read again in a second, all day long; 0 reads nothing again.", 0, 1 << 30)
    ] = 1 << 20


class NodeConfig(Section, frozen=True):
    """Everything one node is told. `path` is the file it came from; relative paths start at its directory."""

    node: NodeSection
    peer: PeerSection = PeerSection()
    peers: tuple[PeerAddress, ...] = ()
    gateway: GatewaySection = GatewaySection()
    keys: KeysSection = KeysSection()
    mempool: MempoolSection = MempoolSection()
    snapshots: SnapshotsSection = SnapshotsSection()
    scrub: ScrubSection = ScrubSection()
    path: Path = Path(CONFIG_FILE)

    def resolve(self, relative: str) -> Path:
        """A path of the file, made absolute from the file's directory."""
        return (self.path.parent / Path(relative).expanduser()).absolute()

    @property
    def data_directory(self) -> Path:
        """Where blocks, state and votes live."""
        return self.resolve(self.node.data)

    @property
    def genesis_path(self) -> Path:
        """The network's genesis file."""
        return self.resolve(self.node.genesis)

    @property
    def validator_key_path(self) -> Path:
        """The PEM file of the key that votes."""
        return self.resolve(self.keys.validator)

    @property
    def tls_key_path(self) -> Path:
        """The PEM file of the key of the peer links."""
        return self.resolve(self.keys.tls_key)

    @property
    def tls_certificate_path(self) -> Path:
        """The PEM file of the certificate of the peer links."""
        return self.resolve(self.keys.tls_certificate)

    def passphrase(self, environment: Mapping[str, str]) -> bytes | None:
        """The passphrase of the validator's key, None where the variable is not set."""
        return environment.get(self.keys.passphrase_env, "").encode() or None


_TABLES: dict[str, type[Section]] = {
    "node": NodeSection,
    "peer": PeerSection,
    "peers": PeerAddress,
    "gateway": GatewaySection,
    "keys": KeysSection,
    "mempool": MempoolSection,
    "snapshots": SnapshotsSection,
    "scrub": ScrubSection,
}
_REPEATED = "peers"


# ── reading ───────────────────────────────────────────────────────────────────────────────────────


def read_config(path: Path) -> NodeConfig:
    """Read and check a settings file, or the `node.toml` in a directory.

    Raises `ConfigError` with every problem found: a missing file, broken TOML, an unknown key, a wrong value.
    """
    if path.is_dir():
        path = path / CONFIG_FILE
    return parse_config(_read_text(path), path)


def parse_config(text: str, path: Path) -> NodeConfig:
    """Check the text of a settings file; `path` is where it stands, and what relative paths start from."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        raise ConfigError(path, [Problem(int(found[1]) if found else _last_line(text), f"not TOML: {error}")]) from None
    problems: list[Problem] = []
    sections = _check_tables(tables, _Lines(text), problems)
    if problems:
        raise ConfigError(path, sorted(problems, key=lambda problem: problem.line))
    return NodeConfig(**sections, path=path)


def _advice_on_missing(path: Path) -> str:
    nodes = sorted(path.parent.glob(f"*/{CONFIG_FILE}"))
    if nodes:
        return f"no such file; {path.parent} holds several nodes, start one of them, such as {nodes[0].parent}"
    return "no such file; make one with `quorate init` or `quorate testnet`"


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise ConfigError(path, [Problem(1, f"larger than {CONFIG_BYTES_MAX} bytes: not a settings file")])
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(path, [Problem(0, _advice_on_missing(path))]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(path, [Problem(1, f"not UTF-8: {error}")]) from None
    except OSError as error:
        raise ConfigError(path, [Problem(0, f"cannot be read: {error.strerror}")]) from None


def _check_tables(tables: dict[str, Any], lines: _Lines, problems: list[Problem]) -> dict[str, Any]:
    sections: dict[str, Any] = {}
    for name, value in tables.items():
        kind = _TABLES.get(name)
        if kind is None:
            problems.append(Problem(lines.of(name), _unknown(f"[{name}]", name, [*_TABLES])))
        elif name == _REPEATED:
            sections[name] = _check_peers(value, lines, problems)
        elif not isinstance(value, dict):
            problems.append(Problem(lines.of(name), f"{name} is a table: write [{name}] and its keys below"))
        else:
            sections[name] = _check_table(kind, value, name, partial(lines.of, name), problems)
    if "node" not in tables:
        problems.append(Problem(1, f"[node] is missing; it must hold name: {_NAME}"))
    _check_names(sections, lines, problems)
    _check_ports(sections, lines, problems)
    return sections


def _check_peers(value: Any, lines: _Lines, problems: list[Problem]) -> tuple[Any, ...]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        problems.append(Problem(lines.of(_REPEATED), "peers is a list of tables: write [[peers]] above each name"))
        return ()
    if len(value) > PEERS_MAX:
        problems.append(Problem(lines.of(_REPEATED), f"{len(value)} peers, at most {PEERS_MAX} are allowed"))
        return ()
    return tuple(
        _check_table(PeerAddress, item, f"peers[{index}]", partial(lines.of, _REPEATED, index=index), problems)
        for index, item in enumerate(value)
    )


def _check_table(
    kind: type[Section], table: dict[str, Any], label: str, line_of: Callable[[str], int], problems: list[Problem]
) -> Section | None:
    """One table as its section, or None with what is wrong added to `problems`."""
    before = len(problems)
    hints = get_type_hints(kind, include_extras=True)
    for key, value in table.items():
        if key not in hints:
            problems.append(Problem(line_of(key), _unknown(f"{label}.{key}", key, [*hints])))
        elif not _fits(value, hints[key]):
            expected = _meta(hints[key])["expected"]
            problems.append(Problem(line_of(key), f"{label}.{key}: found {_show(value)}, expected {expected}"))
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in table:
            expected = _meta(hints[field.name])["expected"]
            problems.append(Problem(line_of(""), f"{label}.{field.name} is missing, expected {expected}"))
    return msgspec.convert(table, kind) if len(problems) == before else None


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
        check = _meta(kind).get("check")
        if check is not None:
            check(value)
    except (msgspec.ValidationError, ValueError):
        return False
    return True


def _check_names(sections: dict[str, Any], lines: _Lines, problems: list[Problem]) -> None:
    """What no single table can tell: a peer named twice, or named like this node."""
    node = sections.get("node")
    seen: set[str] = {node.name} if node else set()
    for index, peer in enumerate(sections.get(_REPEATED, ())):
        if peer is None:
            continue
        if peer.name in seen:
            whose = "this node's own name" if node and peer.name == node.name else "in the list already"
            problems.append(
                Problem(lines.of(_REPEATED, "name", index), f"peers[{index}].name: {peer.name!r} is {whose}")
            )
        seen.add(peer.name)


def _check_ports(sections: dict[str, Any], lines: _Lines, problems: list[Problem]) -> None:
    """The gateway's port is not the peers'; on two addresses of one machine it may be."""
    peer, gateway = sections.get("peer", PeerSection()), sections.get("gateway", GatewaySection())
    if peer is None or gateway is None or not gateway.enabled:
        return
    host, port = split_address(peer.listen)
    if port == gateway.port and (host == gateway.host.strip("[]") or _EVERY_HOST & {host, gateway.host.strip("[]")}):
        text = f"gateway.port: found {port}, which is the port of peer.listen; give each its own"
        problems.append(Problem(lines.of("gateway", "port"), text))


def _unknown(label: str, key: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(key, allowed, n=1)
    hint = f"; did you mean {near[0]}?" if near else ";"
    return f"unknown key {label}{hint} allowed here: {', '.join(allowed)}"


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= 80 else text[:77] + "..."


def _meta(kind: Any) -> dict[str, Any]:
    info = msgspec.inspect.type_info(kind)
    return (info.extra or {}) if isinstance(info, msgspec.inspect.Metadata) else {}


def _last_line(text: str) -> int:
    return text.count("\n") + 1


class _Lines:
    """Where each key of a TOML text stands. A scan, not a parser: what it cannot find is said to be at its table."""

    _HEADER = re.compile(r"^\s*\[\[?\s*([A-Za-z0-9_\-.\"']+)\s*\]\]?\s*(#.*)?$")
    _KEY = re.compile(r"^\s*([A-Za-z0-9_\-\"'. ]+?)\s*=")

    def __init__(self, text: str) -> None:
        self._places: dict[tuple[str, str, int], int] = {}
        table, index = "", 0
        counts: dict[str, int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if header := self._HEADER.match(line):
                table = _plain(header[1])
                index = counts.get(table, 0)
                counts[table] = index + 1
                self._places.setdefault((table, "", index), number)
            elif key := self._KEY.match(line):
                dotted = _plain(key[1]).split(".", 1) if not table else [table, _plain(key[1])]
                self._places.setdefault((dotted[0], "", index), number)
                self._places.setdefault((dotted[0], dotted[1] if len(dotted) > 1 else "", index), number)

    def of(self, table: str, key: str = "", index: int = 0) -> int:
        """The line of a key, else of its table, else 1."""
        places = self._places
        return places.get((table, key, index)) or places.get((table, "", index)) or places.get((table, "", 0)) or 1


def _plain(key: str) -> str:
    return re.sub(r"[\s\"']", "", key)


# ── writing ───────────────────────────────────────────────────────────────────────────────────────


class Setting(msgspec.Struct, frozen=True):
    """One key of the reference: `default` is TOML, empty where the key must be given."""

    table: str
    key: str
    default: str
    expected: str
    description: str


def settings() -> Iterator[Setting]:
    """Every key there is, in the order of a written file."""
    for table, kind in _TABLES.items():
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            info = msgspec.inspect.type_info(hints[field.name])
            assert isinstance(info, msgspec.inspect.Metadata), f"{table}.{field.name} has no description"
            description = (info.extra_json_schema or {})["description"]
            default = "" if field.required else _toml(field.default)
            yield Setting(table, field.name, default, _meta(hints[field.name])["expected"], description)


def render_config(config: NodeConfig) -> str:
    """The settings as TOML, each key with what it means and what may stand there."""
    lines = ["# Settings of one Quorate node. Paths are relative to this file.", ""]
    descriptions = {(setting.table, setting.key): setting for setting in settings()}
    for table, kind in _TABLES.items():
        value = getattr(config, table)
        sections = value if table == _REPEATED else (value,)
        header = f"[[{table}]]" if table == _REPEATED else f"[{table}]"
        for position, section in enumerate(sections):
            if position == 0:
                lines.append(f"# {kind.__doc__}")
            lines.append(header)
            for key in kind.__struct_fields__:
                setting = descriptions[table, key]
                if position == 0:
                    lines.append(f"# {setting.description} ({setting.expected})")
                lines.append(f"{key} = {_toml(getattr(section, key))}")
            lines.append("")
    return "\n".join(lines)


def write_config(config: NodeConfig) -> Path:
    """Write the settings to `config.path`, commented. Raises `FileExistsError` rather than overwrite."""
    with config.path.open("x", encoding="utf-8") as file:
        file.write(render_config(config))
    return config.path


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    assert isinstance(value, str), f"no TOML for {type(value).__name__}"
    return msgspec.json.encode(value).decode()  # a JSON string is a TOML basic string
