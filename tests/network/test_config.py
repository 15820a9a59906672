"""A settings file is taken whole or refused whole, and a refusal says where, what was found and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from network.config import (
    ConfigError,
    NodeConfig,
    NodeSection,
    PeerAddress,
    parse_config,
    read_config,
    render_config,
    settings,
    split_address,
    write_config,
)

HERE = Path("/srv/member/node.toml")


def problems_of(text: str) -> list[tuple[int, str]]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, HERE)
    return [(problem.line, problem.text) for problem in caught.value.problems]


def test_a_name_is_all_that_must_be_said() -> None:
    config = parse_config('[node]\nname = "ann"\n', HERE)
    assert config.node == NodeSection(name="ann")
    assert config.gateway.port == 8101
    assert config.data_directory == Path("/srv/member")
    assert config.genesis_path == Path("/srv/member/genesis.json")
    assert config.validator_key_path == Path("/srv/member/keys/validator.pem")


def test_an_absolute_path_stays_as_it_is() -> None:
    config = parse_config('[node]\nname = "ann"\ndata = "/var/lib/quorate"\n', HERE)
    assert config.data_directory == Path("/var/lib/quorate")


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    config = NodeConfig(
        node=NodeSection(name="ann", log_level="debug"),
        peers=(PeerAddress(name="bob", address="10.0.0.2:9101"), PeerAddress(name="cy", address="[::1]:9101")),
        path=tmp_path / "node.toml",
    )
    write_config(config)
    assert read_config(tmp_path) == config
    assert read_config(tmp_path / "node.toml") == config


def test_a_written_file_explains_every_key() -> None:
    text = render_config(NodeConfig(node=NodeSection(name="ann"), peers=(PeerAddress(name="bob", address="b:1"),)))
    for setting in settings():
        assert f"# {setting.description} ({setting.expected})\n{setting.key} = " in text


def test_writing_never_replaces_a_file(tmp_path: Path) -> None:
    config = NodeConfig(node=NodeSection(name="ann"), path=tmp_path / "node.toml")
    write_config(config)
    with pytest.raises(FileExistsError):
        write_config(config)


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_one() -> None:
    assert problems_of('[node]\nname = "ann"\n\n[gateway]\n# why\nprot = 80\n') == [
        (
            6,
            (
                "unknown key gateway.prot; did you mean port? "
                "allowed here: enabled, host, port, allowed_hosts, body_bytes_max"
            ),
        )
    ]


def test_an_unknown_table_is_named() -> None:
    ((line, text),) = problems_of('[node]\nname = "ann"\n[mempol]\nx = 1\n')
    assert line == 3
    assert text.startswith("unknown key [mempol]; did you mean mempool?")


@pytest.mark.parametrize(
    ("table", "line", "text"),
    [
        ("gateway", 'port = "80"', 'gateway.port: found "80", expected a whole number from 1 to 65535'),
        ("gateway", "port = 0", "gateway.port: found 0, expected a whole number from 1 to 65535"),
        ("gateway", "port = 80.5", "gateway.port: found 80.5, expected a whole number from 1 to 65535"),
        ("gateway", "port = true", "gateway.port: found true, expected a whole number from 1 to 65535"),
        ("gateway", "enabled = 1", "gateway.enabled: found 1, expected true or false"),
        ("peer", 'listen = "host"', 'peer.listen: found "host", expected host:port, such as "127.0.0.1:9101"'),
        ("peer", 'listen = "h:70000"', 'peer.listen: found "h:70000", expected host:port, such as "127.0.0.1:9101"'),
        ("keys", 'validator = ""', 'keys.validator: found "", expected a path'),
    ],
)
def test_a_wrong_value_is_shown_beside_what_is_allowed(table: str, line: str, text: str) -> None:
    assert problems_of(f'[node]\nname = "ann"\n[{table}]\n{line}\n') == [(4, text)]


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        '[node]\nname = "Ann"\nlog_level = "loud"\n[[peers]]\nname = "bob"\naddress = "b:1"\n[[peers]]\nname = "cy"\n'
    )
    assert problems_of(text) == [
        (2, 'node.name: found "Ann", expected lower-case letters, digits, _ and -, starting with a letter'),
        (3, 'node.log_level: found "loud", expected "debug", "info", "warning" or "error"'),
        (7, 'peers[1].address is missing, expected host:port, such as "127.0.0.1:9101"'),
    ]


@pytest.mark.parametrize(
    ("name", "whose"), [("ann", "'ann' is this node's own name"), ("bob", "'bob' is in the list already")]
)
def test_a_name_stands_for_one_member(name: str, whose: str) -> None:
    peers = f'[[peers]]\nname = "bob"\naddress = "b:1"\n[[peers]]\nname = "{name}"\naddress = "c:1"\n'
    assert problems_of(f'[node]\nname = "ann"\n{peers}') == [(7, f"peers[1].name: {whose}")]


@pytest.mark.parametrize(
    ("listen", "gateway", "same"),
    [
        ("127.0.0.1:8101", "", True),
        ("0.0.0.0:8101", "", True),
        ("10.0.0.1:8101", 'host = "::"\n', True),
        ("[::1]:8101", 'host = "::1"\n', True),
        ("10.0.0.1:8101", "", False),
        ("127.0.0.1:8101", "enabled = false\n", False),
        ("127.0.0.1:9101", "", False),
    ],
)
def test_one_port_for_two_is_refused(listen: str, gateway: str, same: bool) -> None:
    text = f'[node]\nname = "acme"\n[peer]\nlisten = "{listen}"\n[gateway]\n{gateway}'
    if same:
        said = "gateway.port: found 8101, which is the port of peer.listen; give each its own"
        assert problems_of(text) == [(5, said)]
    else:
        assert parse_config(text, HERE).peer.listen == listen


def test_dotted_and_quoted_keys_are_found_too() -> None:
    assert problems_of('node.name = "ann"\ngateway."port" = 0\n')[0][0] == 2


def test_a_table_written_as_a_value_is_refused() -> None:
    assert problems_of('gateway = 3\n[node]\nname = "ann"\n') == [
        (1, "gateway is a table: write [gateway] and its keys below")
    ]
    assert problems_of('peers = ["b:1"]\n[node]\nname = "ann"\n') == [
        (1, "peers is a list of tables: write [[peers]] above each name")
    ]


def test_broken_toml_names_its_line() -> None:
    ((line, text),) = problems_of('[node]\nname = "ann"\nport = \n')
    assert line == 3
    assert text.startswith("not TOML: ")


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; make one with `quorate init`"):
        read_config(tmp_path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_bytes(b'[node]\nname = "\xff"\n')
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_config(tmp_path)


def test_the_passphrase_comes_from_the_named_variable() -> None:
    config = parse_config('[node]\nname = "ann"\n[keys]\npassphrase_env = "ANN"\n', HERE)
    assert config.passphrase({"ANN": "open"}) == b"open"
    assert config.passphrase({"QUORATE_PASSPHRASE": "open"}) is None


@pytest.mark.parametrize("address", ["127.0.0.1:1", "node-1.example.org:65535", "[::1]:9101"])
def test_an_address_splits(address: str) -> None:
    host, port = split_address(address)
    assert address in (f"{host}:{port}", f"[{host}]:{port}")


@pytest.mark.parametrize("address", ["", "host", "host:", ":1", "host:0", "host:65536", "::1:80", "ho st:1", "h:1x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        split_address(address)
