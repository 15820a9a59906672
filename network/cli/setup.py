"""`quorate init` and `quorate testnet`: make one member's directory, or a whole network on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from network.cli.console import AsJson, UserError, examples, say, say_fields, say_json, short
from network.cli.keyfiles import ask_passphrase
from network.cli.names import check_name

INIT_EXAMPLES = examples(
    "quorate init acme --name acme --listen 0.0.0.0:9101", "quorate init acme --name acme --encrypt"
)
TESTNET_EXAMPLES = examples(
    "quorate testnet net", "quorate testnet net --start", "quorate testnet net --validators 7 --account ann:writer"
)


def init(
    directory: Annotated[Path, typer.Argument(help="Directory to make.")],
    name: Annotated[str, typer.Option("--name", help="The member's name in the network.")],
    listen: Annotated[str, typer.Option(help="Where other validators reach this one, host:port.")] = "127.0.0.1:9101",
    gateway_port: Annotated[int, typer.Option(help="Port of the HTTP gateway.", min=1, max=65535)] = 8101,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Encrypt the validator's key (asked, or QUORATE_PASSPHRASE).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make keys and settings for one member of a network.

    The printed entry goes into the genesis file that all members agree on; the directory stays with this member.
    """
    from network.config import (
        CONFIG_FILE,
        ConfigError,
        GatewaySection,
        NodeConfig,
        NodeSection,
        PeerSection,
        parse_config,
        render_config,
    )
    from network.member import genesis_entry, make_member

    check_name(name, "--name", "a member")
    _check_address("--listen", listen)
    path = directory / CONFIG_FILE
    config = NodeConfig(
        node=NodeSection(name=name),
        peer=PeerSection(listen=listen),
        gateway=GatewaySection(port=gateway_port),
        path=path,
    )
    try:  # the options are held to the rules of the file before it is written
        parse_config(render_config(config), path)
    except ConfigError as error:
        raise UserError("; ".join(problem.text for problem in error.problems)) from None
    passphrase = ask_passphrase(config.validator_key_path, confirm=True) if encrypt else None
    entry = genesis_entry(make_member(config, passphrase=passphrase))
    if as_json:
        say_json({"directory": str(directory), "settings": str(path), "genesis_entry": entry})
        return
    say(f"Made {short(directory)}: settings in {CONFIG_FILE}, keys in keys/.")
    say("This member's entry for the genesis file (also in member.json):")
    say_json(entry)
    say(
        f"Next: put the agreed genesis.json into {short(directory)}, the other members into [[peers]] of {CONFIG_FILE},"
    )
    say(f"then run: quorate start {short(directory)}")


def make_network(
    directory: Annotated[Path, typer.Argument(help="Directory to make.")],
    validators: Annotated[int, typer.Option(help="How many validators; 4 tolerate one fault.", min=1, max=100)] = 4,
    base_port: Annotated[
        int, typer.Option(help="First gateway port; peer links lie 1000 above. 0 takes free ports.", min=0, max=65535)
    ] = 8101,
    account: Annotated[
        list[str] | None, typer.Option(help="NAME or NAME:ROLE,ROLE (admin, deployer, writer, auditor). Repeat it.")
    ] = None,
    start: Annotated[bool, typer.Option("--start", help="Start every node and stay until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a whole network on this machine.

    Directories with keys and settings, accounts, and one genesis.
    An existing network is never replaced; with --start it is started as it is.
    """
    from network.testnet import Testnet, make_testnet

    if not (start and (directory / "genesis.json").exists()):
        accounts = _accounts(account or ())
        make_testnet(
            directory,
            time_ms=time.time_ns() // 1_000_000,
            validators=validators,
            base_port=base_port or None,
            accounts=accounts,
        )
    network = Testnet(directory)
    if as_json:
        nodes = [{"name": node.name, "directory": str(node.directory), "url": node.url} for node in network.nodes]
        say_json({"directory": str(directory), "genesis": str(network.genesis_path), "nodes": nodes})
    else:
        say_fields((node.name, f"{node.url}  {short(node.directory)}") for node in network.nodes)
    if start:
        _run(network, quiet=as_json)
    elif not as_json:
        say(f"Start all: quorate testnet {short(directory)} --start")
        say(f"Or one:    quorate start {short(network.nodes[0].directory)}")
        say(f"Sign with: --key {short(network.account_key_path('admin'))}")


def _check_address(option: str, text: str) -> None:
    """What `node.toml` would refuse is refused as the option that it came from, before there is such a file."""
    from network.config import split_address

    try:
        split_address(text)
    except ValueError as error:
        raise UserError(f"{option} {error}; such as 0.0.0.0:9101") from None


def _accounts(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Roles by name: `admin`, which is always there, and those asked for."""
    accounts: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, roles = _account(text)
        if name in accounts:
            raise UserError(
                f"--account {text!r}: {name!r} is given twice; write all roles at once, as {name}:ROLE,ROLE"
            )
        accounts[name] = roles
    return {"admin": ("admin",)} | accounts


def _account(text: str) -> tuple[str, tuple[str, ...]]:
    """(name, roles) of NAME:ROLE,ROLE; a name alone is a writer."""
    name, _, roles = text.partition(":")
    if not name:
        raise UserError(f"--account {text!r} has no name: write NAME or NAME:ROLE,ROLE")
    check_name(name, "--account", "an account")
    from ledger.genesis import ROLES

    found = tuple(roles.split(",")) if roles else ("writer",)
    if unknown := [role for role in found if role not in ROLES]:
        raise UserError(f"--account {text!r}: {unknown[0]!r} is no role; there are {', '.join(ROLES)}")
    return name, found


def _run(network: object, *, quiet: bool) -> None:
    import signal

    from network.testnet import Testnet

    assert isinstance(network, Testnet), "made above"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with network:
            network.start()
            network.wait_ready()
            if not quiet:
                say(f"All validators are up. Explorer: {network.urls[0]}/   Stop with Ctrl-C.")
            network.watch()
    except KeyboardInterrupt:
        if not quiet:
            say("Stopped.")
