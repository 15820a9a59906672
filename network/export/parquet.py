"""Rows into Parquet files, through pyarrow. Knows tables and a folder to write into; no block, no chain.

Rows are buffered up to a bound and go out as row groups, so a part of any length needs the same memory. What is
written is complete, with its footer and on the disk, once `close` has returned; before, it is nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from network.export.tables import CALLS, TABLES, Column, Row

ROWS_A_GROUP = 50_000
GROUP_BYTES_MAX = 64 << 20  # of buffered raw transactions and JSON, roughly
COMPRESSION = "zstd"


class PyarrowMissing(Exception):
    """The optional package is not installed. The text says how to get it."""


def load_pyarrow() -> Any:
    """The package, with its Parquet module. Raises `PyarrowMissing`."""
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError:
        raise PyarrowMissing("an export needs pyarrow, which is not installed: pip install 'quorate[export]'") from None


class PartFiles:
    """The files of one part, one a table, being written."""

    def __init__(self, folder: Path, metadata: Mapping[str, str]) -> None:
        """Begin files `folder/TABLE.parquet`, which carry the metadata. Raises `PyarrowMissing`, OSError."""
        self._pyarrow = load_pyarrow()
        self._tables = {name: _TableFile(self._pyarrow, path_in(folder, name), name, metadata) for name in TABLES}

    def add(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Rows, by table. Raises OSError."""
        for name, some in rows.items():
            self._tables[name].add(some)

    def close(self) -> None:
        """Finish the files and flush them to the disk. Raises OSError."""
        for table in self._tables.values():
            table.close()

    def abandon(self) -> None:
        """Let go of the files as they are."""
        for table in self._tables.values():
            table.abandon()


def path_in(folder: Path, table: str) -> Path:
    """Where a table's file of the part that is being written lies."""
    return folder / f"{table}.parquet"


class _TableFile:
    def __init__(self, pyarrow: Any, path: Path, name: str, metadata: Mapping[str, str]) -> None:
        self._pyarrow = pyarrow
        self._schema = pyarrow.schema(
            [pyarrow.field(each.name, arrow_type(pyarrow, each), nullable=False) for each in TABLES[name]],
            metadata=dict(metadata),
        )
        self._rows: list[Row] = []
        self._bytes = 0
        self._file = path.open("wb")
        self._writer = pyarrow.parquet.ParquetWriter(self._file, self._schema, compression=COMPRESSION)

    def add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._rows.append(row)
            self._bytes += sum(len(cell) for cell in row if isinstance(cell, str | bytes))
            if len(self._rows) >= ROWS_A_GROUP or self._bytes >= GROUP_BYTES_MAX:
                self._flush()

    def _flush(self) -> None:
        array = self._pyarrow.array
        columns = zip(zip(*self._rows, strict=True), self._schema, strict=True)
        arrays = [array(list(cells), field.type) for cells, field in columns]
        self._writer.write_batch(self._pyarrow.record_batch(arrays, schema=self._schema))
        self._rows, self._bytes = [], 0

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        with contextlib.suppress(Exception):  # whatever it was, the writer must not try again when it is collected
            self._writer.close()
        self._file.close()


def arrow_type(pyarrow: Any, column: Column) -> Any:
    """pyarrow's type for a column's word."""
    text = pyarrow.string()
    types = {
        "int64": pyarrow.int64(),
        "int32": pyarrow.int32(),
        "bool": pyarrow.bool_(),
        "string": text,
        "binary": pyarrow.binary(),
        "timestamp[ms, tz=UTC]": pyarrow.timestamp("ms", tz="UTC"),
        "list<string>": pyarrow.list_(text),
        CALLS: pyarrow.list_(pyarrow.struct([("contract", text), ("method", text), ("args", text)])),
    }
    return types[column.kind]
