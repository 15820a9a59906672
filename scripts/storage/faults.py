"""What is done to a copy of a node's files: each fault is one change, named so that it can be done again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.storage.world import KINDS, World

PAGE_BYTES = 4096
LAST_RECORDS_BYTES = 2048  # of the end of each file that grows: about its last three records


@dataclass(frozen=True)
class Fault:
    """One change to one file of a copy. `name` is the class, `at` a place in the file, `bit` one of the byte there."""

    name: str
    kind: str
    file: Path
    at: int = 0
    bit: int = 0

    def do(self, folder: Path) -> None:
        """Change the copy."""
        path = folder / self.file
        if self.name == "deleted file":
            path.unlink()
            return
        data = bytearray(path.read_bytes())
        if self.name == "flipped bit":
            data[self.at] ^= 1 << self.bit
        elif self.name == "truncation":
            del data[self.at :]
        elif self.name == "zeroed page":
            end = min(len(data), self.at + PAGE_BYTES)
            data[self.at : end] = bytes(end - self.at)
        elif self.name == "zeroed tail":
            data[self.at :] = bytes(len(data) - self.at)
        path.write_bytes(data)

    def __str__(self) -> str:
        bit = f", bit {self.bit}" if self.name == "flipped bit" else ""
        return f"{self.name}: {self.file} at {self.at}{bit}"


def flipped_bits(world: World, count: int, rng: random.Random) -> Iterator[Fault]:
    """So many, spread over all files by their size; every file gets some, however small."""
    files = [(kind, file, (world.folder / file).stat().st_size) for kind in KINDS for file in world.files(kind)]
    files = [each for each in files if each[2]]
    for number in range(count):
        kind, file, size = (
            files[number % len(files)] if number % 4 == 0 else rng.choices(files, [f[2] for f in files])[0]
        )
        yield Fault("flipped bit", kind, file, rng.randrange(size), rng.randrange(8))


def truncations(world: World) -> Iterator[Fault]:
    """Every byte of the last records of what grows; tables, which never do, at every page. Not where all is zero."""
    for kind in KINDS:
        for file in world.files(kind):
            data = (world.folder / file).read_bytes()
            first = len(data) if file.suffix in (".ldb", ".sst") else max(0, len(data) - LAST_RECORDS_BYTES)
            for at in [*range(0, first, PAGE_BYTES), *range(first, len(data))]:
                if any(data[at - 1 : at + 1]):
                    yield Fault("truncation", kind, file, at)


def zeroed_pages(world: World) -> Iterator[Fault]:
    """Every page of every file, once that page alone and once with all that follows it."""
    for kind in KINDS:
        for file in world.files(kind):
            for at in range(0, (world.folder / file).stat().st_size, PAGE_BYTES):
                yield Fault("zeroed page", kind, file, at)
                yield Fault("zeroed tail", kind, file, at)


def deleted_files(world: World) -> Iterator[Fault]:
    """Every file."""
    for kind in KINDS:
        for file in world.files(kind):
            yield Fault("deleted file", kind, file)
