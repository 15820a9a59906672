"""`quorate export`: every row is the ledger's, an interruption leaves no trace, and the page's queries run."""

import builtins
import errno
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import msgspec
import pyarrow.parquet
import pytest

from ledger import codec
from ledger.errors import DatabaseInUse, DataLost
from ledger.lock import DirectoryLock
from ledger.store import BlockStore
from ledger.types import Call, Receipt
from network.cli import main
from network.export import Export, ExportRefused, PyarrowMissing, Summary, manifest, parquet
from network.export.tables import TABLES
from network.present import receipt, transaction
from scripts.paper_node import PaperNode

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
BLOCKS = 12  # sealed ones above genesis; the last has no transaction


def make_node(directory):
    """Transfers in nine blocks, one of them failing, an empty block, and one block that is not sealed."""
    node = PaperNode(directory)
    for _ in range(BLOCKS - 4):
        node.block([node.transfer() for _ in range(3)])
    poor = codec.encode([node.people[1].public_key.hex(), 10**16])
    node.block([node.sign(node.people[2], Call("token", "transfer", poor))])
    node.block([])
    return node


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    made = make_node(tmp_path_factory.mktemp("paper") / "node")
    made.block([made.transfer()], sealed=False)
    made.close()
    return made


@pytest.fixture(scope="module")
def records(node):
    store = BlockStore(node.paths.blocks)
    try:
        return [store.record(height) for height in range(BLOCKS + 1)]
    finally:
        store.close()


@pytest.fixture
def out(tmp_path):
    return tmp_path / "chain"


def rows(out, table):
    """All rows of a table, in order of their heights."""
    found = [
        row for path in sorted((out / table).glob("*.parquet")) for row in pyarrow.parquet.read_table(path).to_pylist()
    ]
    assert found == sorted(found, key=lambda row: (row["height"], row.get("index", 0), row.get("event_index", 0)))
    return found


def everything(out):
    """The whole content of an export, however it is cut into parts."""
    return {table: rows(out, table) for table in TABLES}


# ── what is written ───────────────────────────────────────────────────────────────────────────────


def test_every_row_is_what_the_ledger_has(node, records, out):
    summary = Export(node.directory, out, node.genesis).run()
    events = sum(len(codec.decode(each, Receipt).events) for record in records for each in record.receipts)
    count = sum(len(record.bodies) for record in records)
    assert summary == Summary(0, BLOCKS, count, events, 1)
    blocks, transactions, receipts = rows(out, "blocks"), rows(out, "transactions"), rows(out, "receipts")
    assert [row["hash"] for row in blocks] == [record.block.header.hash.hex() for record in records]
    assert [row["signers"] for row in blocks] == [[], *[["v0", "v1", "v2"]] * BLOCKS]
    assert [row["transaction_count"] for row in blocks] == [len(record.bodies) for record in records]
    for row, record in zip(blocks, records, strict=True):
        header = record.block.header
        assert row["time"] == datetime.fromtimestamp(header.time_ms / 1000, UTC)
        for name in ("previous_hash", "state_root", "transactions_root", "receipts_root", "batch_digest"):
            assert row[name] == getattr(header, name).hex()
    bodies = [raw for record in records for raw in record.bodies]
    shown = [transaction(raw) for raw in bodies]
    assert [row["raw"] for row in transactions] == bodies
    for name in ("id", "hash", "sender", "gas_limit", "valid_until"):
        assert [row[name] for row in transactions] == [each[name] for each in shown]
    for row, each in zip(transactions, shown, strict=True):
        assert [{**call, "args": json.loads(call["args"])} for call in row["calls"]] == each["calls"]
        assert (row["contract"], row["method"]) == (each["calls"][0]["contract"], each["calls"][0]["method"])
    outcomes = [receipt(each) for record in records for each in record.receipts]
    for name in (
        "height",
        "index",
        "transaction_id",
        "transaction_hash",
        "code",
        "message",
        "contract",
        "line",
        "gas_used",
    ):
        assert [row[name] for row in receipts] == [each[name] for each in outcomes]
    assert [[json.loads(text) for text in row["results"]] for row in receipts] == [each["results"] for each in outcomes]
    assert [row["ok"] for row in receipts].count(False) == 1
    assert [
        {"contract": row["contract"], "name": row["name"], "fields": json.loads(row["fields"])}
        for row in rows(out, "events")
    ] == [event for each in outcomes for event in each["events"]]


def test_the_page_lists_every_column_as_it_is(node, out):
    Export(node.directory, out, node.genesis, last=3).run()
    for table, columns in TABLES.items():
        section = PAGE.split(f"### {table}\n")[1].split("###")[0]
        assert re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE) == [each[:2] for each in columns]
        schema = pyarrow.parquet.read_schema(next((out / table).iterdir()))
        assert [(field.name, field.nullable) for field in schema] == [(each.name, False) for each in columns]
        for field, column in zip(schema, columns, strict=True):
            assert str(field.type).replace("element", "item") in (
                column.kind,
                f"list<item: {column.kind[5:-1]}>",
            ), column.name
        assert schema.metadata[b"quorate.chain_id"].decode() == node.genesis.chain_id.hex()


def test_a_range_of_heights(node, records, out):
    assert Export(node.directory, out, node.genesis, first=4, last=6).run().parts == 1
    assert [row["height"] for row in rows(out, "blocks")] == [4, 5, 6]
    assert [row["height"] for row in rows(out, "receipts")] == [4] * 3 + [5] * 3 + [6] * 3
    assert json.loads((out / "export.json").read_text()) == {
        "format": "quorate-export-1",
        "network": "paper",
        "chain_id": node.genesis.chain_id.hex(),
        "last_hash": records[6].block.header.hash.hex(),
        "parts": [{"first": 4, "last": 6, "transactions": 9, "events": 9}],
    }


def test_row_groups_and_parts_change_nothing_but_the_files(node, out, tmp_path, monkeypatch):
    Export(node.directory, out, node.genesis).run()
    monkeypatch.setattr(parquet, "ROWS_A_GROUP", 2)
    assert Export(node.directory, tmp_path / "many", node.genesis, blocks_a_part=5).run().parts == 3
    assert [path.name for path in sorted((tmp_path / "many" / "events").iterdir())] == [
        "000000000000-000000000004.parquet",
        "000000000005-000000000009.parquet",
        "000000000010-000000000012.parquet",
    ]
    assert everything(tmp_path / "many") == everything(out)


# ── going on ──────────────────────────────────────────────────────────────────────────────────────


def test_an_export_goes_on_where_it_ended_and_leaves_its_files_alone(tmp_path, out):
    node = make_node(tmp_path / "node")
    node.close()
    Export(node.directory, out, node.genesis, blocks_a_part=5).run()
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.rglob("*.parquet")}
    assert Export(node.directory, out, node.genesis).run() == Summary(BLOCKS + 1, BLOCKS, 0, 0, 0)
    again = PaperNode.__new__(PaperNode)
    again.__dict__ = node.__dict__
    grow(again)
    assert Export(node.directory, out, node.genesis, first=BLOCKS + 1).run() == Summary(13, 14, 4, 4, 1)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    assert [row["height"] for row in rows(out, "blocks")] == list(range(15))
    whole = tmp_path / "whole"
    Export(node.directory, whole, node.genesis).run()
    assert everything(whole) == everything(out)


def grow(node):
    """Two more blocks on a node that was closed."""
    from contracts.engine import Engine
    from ledger.journal import Journal
    from ledger.state import State

    node.state, node.store = State.open(node.paths.state), BlockStore(node.paths.blocks)
    node.engine, (node.journal, _) = Engine(node.state, node.genesis), Journal.open(node.paths.journal)
    for _ in range(2):
        node.block([node.transfer(), node.transfer()])
    node.close()


class Dead(BaseException):
    """The process is killed."""


def test_killed_at_every_write_it_goes_on_to_the_same_export(node, out, tmp_path, monkeypatch):
    """Each step that changes the disk is the last one once; what lies there then never counts for more than it is."""
    Export(node.directory, tmp_path / "whole", node.genesis, blocks_a_part=5).run()
    whole, deaths = everything(tmp_path / "whole"), 0
    for step in range(1, 1000):
        target = out.with_name(f"killed-{step}")
        with monkeypatch.context() as patch:
            kill_at(patch, step)
            try:
                Export(node.directory, target, node.genesis, blocks_a_part=5).run()
                break
            except Dead:
                deaths += 1
        if (target / "export.json").exists():
            for part in json.loads((target / "export.json").read_text())["parts"]:
                name = f"{part['first']:012d}-{part['last']:012d}.parquet"
                assert all((target / table / name).exists() for table in TABLES)
        Export(node.directory, target, node.genesis, blocks_a_part=5).run()
        assert everything(target) == whole, step
        assert {path.name for path in target.iterdir()} == {".lock", "export.json", *TABLES}, step
    assert deaths > 30


def kill_at(patch, step):
    """The process dies in place of its `step`th write to the export."""
    count = 0

    def dying(real):
        def write(*words, **options):
            nonlocal count
            count += 1
            if count >= step:
                raise Dead
            return real(*words, **options)

        return write

    patch.setattr(parquet.os, "fsync", dying(parquet.os.fsync))
    patch.setattr(Path, "rename", dying(Path.rename))
    patch.setattr(Path, "unlink", dying(Path.unlink))
    patch.setattr(manifest.shutil, "rmtree", dying(manifest.shutil.rmtree))
    patch.setattr(pyarrow.parquet.ParquetWriter, "write_batch", dying(pyarrow.parquet.ParquetWriter.write_batch))


# ── what is refused ───────────────────────────────────────────────────────────────────────────────


def test_a_folder_with_other_things_is_left_alone(node, out):
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(
        ExportRefused, match=r"is not empty \(it has thesis.txt\) and holds no export: give a new folder"
    ):
        Export(node.directory, out, node.genesis).run()
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_another_chain_and_another_history_are_refused(node, out):
    other = msgspec.structs.replace(node.genesis, network="other")
    with pytest.raises(ExportRefused, match=r"the genesis file is that of .*: give the right one with --genesis"):
        Export(node.directory, out, other).run()
    assert not (out / "export.json").exists()
    Export(node.directory, out, node.genesis, last=3).run()
    text = (out / "export.json").read_text()
    (out / "export.json").write_text(text.replace(node.genesis.chain_id.hex(), "ab" * 32))
    with pytest.raises(ExportRefused, match=r"holds an export of chain abab.*: give another folder"):
        Export(node.directory, out, node.genesis).run()
    last_hash = json.loads(text)["last_hash"]
    (out / "export.json").write_text(text.replace(last_hash, "cd" * 32))
    with pytest.raises(ExportRefused, match=r"block 4 follows .*, exported was cdcd.* is of another history"):
        Export(node.directory, out, node.genesis).run()
    (out / "export.json").write_text(text)
    assert Export(node.directory, out, node.genesis).run().first == 4


@pytest.mark.parametrize(
    ("words", "because"),
    [
        ({"last": BLOCKS + 1}, "the highest sealed block of .* is 12: --last 13 is above it"),
        ({"first": 5, "last": 4}, "--first 5 is above the last height, 4"),
        ({"first": BLOCKS + 1}, "--first 13 is above the last height, 12"),
    ],
)
def test_heights_that_are_not_there(node, out, words, because):
    with pytest.raises(ExportRefused, match=because):
        Export(node.directory, out, node.genesis, **words).run()
    assert Export(node.directory, out, node.genesis).run().last == BLOCKS  # nothing is in the way


def test_an_export_has_no_gap_and_no_height_twice(node, out):
    Export(node.directory, out, node.genesis, last=5).run()
    for first in (0, 5, 7):
        with pytest.raises(ExportRefused, match=r"is exported up to height 5: go on with --first 6"):
            Export(node.directory, out, node.genesis, first=first).run()


def test_a_part_that_was_taken_away_is_noticed(node, out):
    Export(node.directory, out, node.genesis, last=5).run()
    (out / "receipts" / "000000000000-000000000005.parquet").unlink()
    with pytest.raises(
        ExportRefused, match=r"receipts/000000000000-000000000005.parquet is missing, and export.json names it"
    ):
        Export(node.directory, out, node.genesis).run()


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("{", "is no export's"),
        (
            '{"format": "quorate-export-9", "network": "", "chain_id": "", "last_hash": "", "parts": []}',
            "has format quorate-export-9",
        ),
    ],
)
def test_a_manifest_that_cannot_be_read(node, out, text, because):
    out.mkdir()
    (out / "export.json").write_text(text)
    with pytest.raises(ExportRefused, match=because):
        Export(node.directory, out, node.genesis).run()
    assert (out / "export.json").read_text() == text


def test_two_exports_into_one_folder_wait_for_each_other(node, out):
    refused = []

    def second(_):
        if not refused:
            with pytest.raises(ExportRefused, match="another export is writing to"):
                Export(node.directory, out, node.genesis).run()
            refused.append(True)

    assert Export(node.directory, out, node.genesis, show=second).run().parts == 1
    assert refused == [True]


def test_a_node_that_runs_is_not_exported(node, out):
    with DirectoryLock(node.directory), pytest.raises(DatabaseInUse):
        Export(node.directory, out, node.genesis).run()


def test_what_is_no_data_directory(tmp_path, node, out):
    with pytest.raises(ExportRefused, match="is not a node's data directory: it has no blocks/"):
        Export(tmp_path, out, node.genesis).run()


def test_damage_ends_the_export_at_whole_parts(tmp_path, out):
    import plyvel

    node = make_node(tmp_path / "node")
    node.close()
    key = b"b" + (8).to_bytes(8, "big")
    database = plyvel.DB(str(node.paths.blocks))
    whole = database.get(key)
    database.put(key, whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    database.close()
    with pytest.raises(DataLost, match=r"transactions of block 8 in .* are damaged"):
        Export(node.directory, out, node.genesis, blocks_a_part=5).run()
    assert [row["height"] for row in rows(out, "blocks")] == [0, 1, 2, 3, 4]
    database = plyvel.DB(str(node.paths.blocks))
    database.put(key, whole)
    database.close()
    assert Export(node.directory, out, node.genesis, blocks_a_part=5).run().first == 5
    assert [row["height"] for row in rows(out, "blocks")] == list(range(BLOCKS + 1))


# ── the command ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def quorate(node, monkeypatch, capsys, tmp_path):
    def type_it(*words):
        monkeypatch.setattr(sys, "argv", ["quorate", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        found = capsys.readouterr()
        return int(ended.value.code or 0), found.out, found.err

    monkeypatch.delenv("QUORATE_GENESIS", raising=False)
    monkeypatch.setattr("ledger.genesis.load_genesis", lambda _: node.genesis)  # the paper's certificates are none
    monkeypatch.chdir(tmp_path)
    (tmp_path / "genesis.json").write_text("{}")
    return lambda *words: type_it("export", *words, "--genesis", tmp_path / "genesis.json")


def test_the_command_exports_and_says_so(quorate, node, out):
    code, said, _ = quorate(node.directory, out, "--last", 4)
    assert code == 0
    assert said.startswith("chain: added heights 0 to 4, in 1 part\n8 transactions, 11 events\n")
    code, said, _ = quorate(node.directory, out, "--json")
    assert (code, json.loads(said)) == (0, {"first": 5, "last": 12, "transactions": 19, "events": 18, "parts": 1})
    assert quorate(node.directory, out)[:2] == (0, "chain is complete up to height 12: nothing to add\n")


def test_the_command_says_what_is_in_the_way(quorate, node, out, monkeypatch, tmp_path):
    assert quorate(tmp_path / "nowhere", out)[0] == 2
    code, _, said = quorate(node.directory, out, "--last", 99)
    assert (code, "--last 99 is above it" in said) == (2, True)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(parquet.PartFiles, "close", full)
        code, _, said = quorate(node.directory, out)
        assert code == 1
        assert "No space left on device. What chain has is whole; mend this, and the same command goes on" in said
    assert quorate(node.directory, out)[0] == 0
    assert [row["height"] for row in rows(out, "blocks")] == list(range(BLOCKS + 1))


def test_without_pyarrow_it_says_how_to_get_it(quorate, node, out, monkeypatch):
    real = builtins.__import__

    def missing(name, *words):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *words)

    def import_module(name):
        return missing(name)

    monkeypatch.setattr(parquet.importlib, "import_module", import_module)
    with pytest.raises(PyarrowMissing):
        Export(node.directory, out, node.genesis).run()
    code, _, said = quorate(node.directory, out)
    assert (code, said) == (
        2,
        "quorate: an export needs pyarrow, which is not installed: pip install 'quorate[export]'\n",
    )
    assert not out.exists()


# ── the page ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def answers(node, tmp_path_factory):
    """What the page's queries give, one after the other."""
    out = tmp_path_factory.mktemp("export") / "chain"
    Export(node.directory, out, node.genesis, blocks_a_part=5).run()
    queries = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert len(queries) == 3
    return [duckdb.sql(query.replace("'chain/", f"'{out}/")).fetchall() for query in queries]


def test_the_balances_from_the_events_are_those_of_the_state(node, answers, records):
    from contracts.engine import Engine
    from ledger.state import State

    state = State.open(node.paths.state)
    engine = Engine(state, node.genesis)
    engine.mark_sealed(BLOCKS)
    people = [key.public_key.hex() for key in node.people]
    views = [engine.view("token", "balance_of", codec.encode([each]), bytes(32), BLOCKS) for each in people]
    balances = {each: codec.decode(found.value) for each, found in zip(people, views, strict=True)}
    state.close()
    assert dict(answers[0]) == balances
    assert sum(balances.values()) == 10**15


def test_the_calls_and_their_failures_are_counted(node, answers, records):
    outcomes = [codec.decode(each, Receipt) for record in records for each in record.receipts]
    assert [row[:5] for row in answers[1]] == [
        ("token", "transfer", 26, 4, 1),
        ("system", "deploy", 1, 1, 0),
    ]
    assert answers[1][1][5] == outcomes[0].gas_used


def test_the_members_share_of_the_work(answers):
    assert answers[2] == [("v0", 3, 12, 12), ("v1", 3, 12, 12), ("v2", 3, 12, 12), ("v3", 3, 0, 12)]


def test_pandas_and_spark_would_see_one_schema_in_all_parts(node, out):
    Export(node.directory, out, node.genesis, blocks_a_part=5).run()
    for table in TABLES:
        schemas = {pyarrow.parquet.read_schema(path) for path in (out / table).iterdir()}
        assert len(schemas) == 1
        assert pyarrow.parquet.read_table(out / table).num_rows == len(rows(out, table))
