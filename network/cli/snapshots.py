"""`quorate snapshot` and `quorate restore`: a backup of a node in one file, and a node out of one. Thin: it shows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from network.cli.console import AsJson, UserError, examples, hint, say, say_json, short

if TYPE_CHECKING:
    from ledger.snapshot import Manifest
    from ledger.types import Genesis
    from network.snapshots.restore import Restored

SNAPSHOT_EXAMPLES = examples(
    "quorate snapshot --data net/node-1 backup.snapshot", "quorate snapshot --data /srv/quorate/acme /backup/monday"
)
RESTORE_EXAMPLES = examples(
    "quorate restore backup.snapshot --data net/node-1",
    "quorate restore backup.snapshot --genesis net/genesis.json --verify",
)

Data = Annotated[Path, typer.Option("--data", help="The node's data directory, the one with blocks/.")]
GenesisFile = Annotated[
    Path | None, typer.Option("--genesis", help="The genesis file to believe; DIR/genesis.json without it.")
]


def snapshot(
    out: Annotated[Path, typer.Argument(help="File to write; nothing is ever replaced.")],
    data: Data,
    genesis: GenesisFile = None,
    as_json: AsJson = False,
) -> None:
    """Back up a node into one file: its state, and the blocks that a node needs to go on from there.

    The node may run meanwhile, or stand still. No key is in the file, and no vote.
    """
    from network.cli.progress import Progress

    progress = Progress()
    manifest = _explained(lambda: _take(data, _genesis_of(genesis, data), out, progress.show), progress, out=out)
    size = out.stat().st_size
    if as_json:
        say_json({"file": str(out), "bytes": size, **_document(manifest)})
        return
    first = manifest.first_block
    entries = sum(chunk.entries for chunk in manifest.contents.chunks)
    say(f"{short(out)}: the state after block {manifest.height} ({entries} entries), blocks from {first} on.")
    say(f"{size} bytes. Check it anywhere: quorate restore {short(out)} --genesis GENESIS --verify")


def restore(
    file: Annotated[Path, typer.Argument(help="What `quorate snapshot` wrote.")],
    data: Annotated[Path | None, typer.Option("--data", help="The data directory to fill: without blocks/.")] = None,
    genesis: GenesisFile = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check everything, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a node's blocks and state out of a backup, checked in full against the genesis file.

    Killed at any point, the same command again does the rest. A restored validator votes when the others have told it
    how far its own votes may reach.
    """
    from network.cli.progress import Progress

    if data is None and not verify:
        raise UserError("say where to: --data DIR, or --verify to check the file and write nothing")
    trusted = _genesis_of(genesis, data)
    progress = Progress()
    if verify:
        manifest = _explained(lambda: _verify(file, trusted, progress.show), progress, file)
        say_json({"valid": True, **_document(manifest)}) if as_json else _tell_valid(file, manifest)
        return
    assert data is not None, "checked above"
    restored = _explained(lambda: _restore(file, data, trusted, progress.show), progress, file, data)
    if as_json:
        say_json({"data": str(data), "height": restored.height, "journal": restored.journal})
    else:
        _tell_restored(data, restored)


def _explained(work: Any, progress: Any, file: Path | None = None, out: Path | None = None) -> Any:
    """The result of some work; an error of it as one line for a person, that names what was read or written."""
    from ledger.errors import InvalidProof
    from network.api import NodeUnavailable

    try:
        return work()
    except InvalidProof as error:
        raise UserError(f"{short(file)} is invalid, because {error}" if file else str(error)) from None
    except NodeUnavailable as error:
        raise UserError(f"the node stopped answering: {error}. Try again") from None
    except OSError as error:
        if error.filename or out is None:
            raise
        raise OSError(error.errno, error.strerror, str(out)) from None
    except KeyboardInterrupt:
        progress.clear()
        hint("interrupted; the same command again does the rest")
        raise typer.Exit(130) from None
    finally:
        progress.clear()


def _genesis_of(path: Path | None, data: Path | None) -> Genesis:
    from ledger.genesis import load_genesis

    if path is None:
        if data is None:
            raise UserError("no genesis to check against: give --genesis FILE")
        if not data.is_dir():
            raise UserError(f"{short(data)} is no directory: give the data directory of a node")
        path = data / "genesis.json"
        if not path.exists():
            raise UserError(f"no genesis to check against: give --genesis FILE, or put it into {short(data)}")
    return load_genesis(path)


def _take(data: Path, genesis: Genesis, out: Path, show: Any) -> Manifest:
    """Of a running node over its sockets, else of its files."""
    from ledger.errors import DatabaseInUse
    from network.snapshots.sources import from_running, from_stopped

    if not out.parent.is_dir():
        raise UserError(f"{short(out.parent)} is no directory: make it first")
    try:
        return from_stopped(data, genesis, out, show)
    except DatabaseInUse:
        return asyncio.run(from_running(data, genesis, out, show))


def _verify(file: Path, genesis: Genesis, show: Any) -> Manifest:
    from network.snapshots.restore import verify_snapshot

    return verify_snapshot(file, genesis, show)


def _restore(file: Path, data: Path, genesis: Genesis, show: Any) -> Restored:
    from ledger.lock import DirectoryLock
    from network.snapshots.restore import restore as restore_snapshot

    if not data.is_dir():
        raise UserError(f"{short(data)} is no directory: make one with `quorate init`, then put the member's keys in")
    with DirectoryLock(data):
        return restore_snapshot(file, data, genesis, show)


def _tell_valid(file: Path, manifest: Manifest) -> None:
    entries = sum(chunk.entries for chunk in manifest.contents.chunks)
    say(f"{short(file)} holds: the state after block {manifest.height}, {entries} entries.")
    say(f"Header {manifest.contents.header.hash.hex()}, sealed by a quorum of the genesis file's validators.")
    if manifest.first_block is None:
        say("It holds no blocks: one that nodes keep for each other, not a backup.")
    else:
        say(f"Blocks {manifest.first_block} to {manifest.height}, each sealed, each whole.")


def _tell_restored(data: Path, restored: Restored) -> None:
    say(
        f"{short(data)} stands at block {restored.height}: {restored.entries} entries of state, "
        f"blocks from {restored.first_block} on."
    )
    if restored.journal == "held":
        say("Its votes.journal was kept. If it is an older copy, the others' answers show that, and it stays silent.")
    else:
        found = "no votes.journal there" if restored.journal == "none" else "a blank votes.journal, which was set aside"
        say(f"There was {found}: nothing shows what this key signed before. Its validator will stay silent until the")
        say("others have told how far its votes may reach and the chain is a window past that: see `quorate status`.")
    lacks = [name for name in ("node.toml", "genesis.json", "keys") if not (data / name).exists()]
    if lacks:
        say(
            f"Next: put the member's {', '.join(lacks)} there, which no backup holds, then: quorate start {short(data)}"
        )
    else:
        say(f"Next: quorate start {short(data)}")


def _document(manifest: Manifest) -> dict[str, Any]:
    header = manifest.contents.header
    return {
        "height": manifest.height,
        "header_hash": header.hash.hex(),
        "state_root": header.state_root.hex(),
        "entries": sum(chunk.entries for chunk in manifest.contents.chunks),
        "first_block": manifest.first_block,
    }
