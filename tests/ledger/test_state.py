"""The authenticated state: the root follows the content alone, old heights stay readable, no proof can be forged."""

import shutil
from hashlib import sha256

import plyvel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import codec, versions
from ledger.errors import DatabaseInUse, DataLost, HeightNotKept, InvalidProof, StorageError
from ledger.state import EMPTY_ROOT, State, check_state_proof, verify_state_proof
from ledger.state_proof import StateProof, path_of
from ledger.state_tree import NOTHING, OpenPages, Page, TreeChange, join_slots, prove, root_hash, split_slots
from ledger.state_undo import undo_of_page, undo_of_slots, undone

# ── the obvious twin ──────────────────────────────────────────────────────────────────────────────


def naive_root(content: dict[bytes, bytes]) -> bytes:
    """The root from the definition at the top of `ledger.state_proof`, built from scratch."""
    leaves = {sha256(key).digest(): sha256(b"\x03" + value).digest() for key, value in content.items()}
    return naive_hash({path.hex(): sha256(b"\x00" + path + named).digest() for path, named in leaves.items()}, 0)


def naive_hash(leaves: dict[str, bytes], depth: int) -> bytes:
    if len(leaves) <= 1:
        return next(iter(leaves.values()), bytes(32))
    children = [
        naive_hash({path: leaf for path, leaf in leaves.items() if path[depth] == digit}, depth + 1)
        for digit in "0123456789abcdef"
    ]
    quarters = [b"".join(children[at : at + 4]) for at in (0, 4, 8, 12)]
    hashes = [sha256(b"\x02" + quarter).digest() if any(quarter) else bytes(32) for quarter in quarters]
    return sha256(b"\x01" + b"".join(hashes)).digest()


class Memory:
    """A tree whose pages lie in a dict, changed in place."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.open = OpenPages(self.pages.__getitem__, pages_max=3)  # so few that both generations are in use
        self.root = NOTHING

    def apply(self, changes) -> bytes:
        change = TreeChange(self.open)
        self.root = change.apply(self.root, changes)
        for nibbles, page in change.pages.items():
            assert before(change, nibbles, page) == self.pages.get(nibbles)
            if page is None:
                self.pages.pop(nibbles, None)
            else:
                self.pages[nibbles] = page
        return root_hash(self.root)


def before(change: TreeChange, nibbles: str, page: bytes | None) -> bytes | None:
    """The page before the change, once from what the change read, once by undoing: the same."""
    read = change.before.get(nibbles)
    if read is None:
        return undone(page, None)
    undo = undo_of_page(read[0]) if page is None else undo_of_slots(*read)
    assert undone(page, undo) == read[0]
    return read[0]


def leaf_of(key: bytes, value: bytes | None):
    path = path_of(key)
    return path, NOTHING if value is None else path + sha256(b"\x03" + value).digest()


keys = st.integers(0, 40).map(lambda number: b"key %d" % number)
values = st.sampled_from([b"", b"one", b"two", b"x" * 100])
blocks_of_writes = st.lists(st.dictionaries(keys, st.none() | values, max_size=12), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(blocks_of_writes)
def test_the_tree_is_its_naive_twin_whatever_the_history(history):
    tree, content = Memory(), {}
    for writes in history:
        content |= {key: value for key, value in writes.items() if value is not None}
        for key in [key for key, value in writes.items() if value is None]:
            content.pop(key, None)
        present = {path_of(key) for key in content}
        root = tree.apply([leaf_of(key, value) for key, value in writes.items()])
        assert root == naive_root(content)
        assert len(present) == len(content)
    again = Memory()
    again.apply([leaf_of(key, value) for key, value in content.items()])
    assert (again.root, again.pages) == (tree.root, tree.pages)  # not a page more


def colliding(nibbles: str, tail: int) -> bytes:
    """A path that begins with these nibbles."""
    return bytes.fromhex(nibbles.ljust(62, "0") + f"{tail:02x}")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from(["", "a", "ab", "abc" * 20]), st.integers(0, 255), st.booleans()))))
def test_paths_that_share_all_but_their_end_make_the_same_tree(history):
    tree, present = Memory(), {}
    for changes in history:
        wanted = {colliding(nibbles, tail): there for nibbles, tail, there in changes}
        present |= {path: path + sha256(path).digest() for path, there in wanted.items() if there}
        for path in [path for path, there in wanted.items() if not there]:
            present.pop(path, None)
        tree.apply([(path, present.get(path, NOTHING)) for path in wanted])
    again = Memory()
    again.apply(present.items())
    assert (again.root, again.pages) == (tree.root, tree.pages)
    hashes = {path.hex(): sha256(b"\x00" + leaf).digest() for path, leaf in present.items()}
    assert root_hash(tree.root) == naive_hash(hashes, 0)


@pytest.mark.parametrize("kinds", [".", "n", "l", "nl", ".nl.", ".......l"])
def test_a_page_comes_back_as_it_was(kinds):
    slots = [{".": NOTHING, "n": b"n" * 32, "l": b"l" * 64}[kind] for kind in kinds] * (16 // len(kinds))
    page = Page(join_slots([NOTHING] * 16))
    for branch, slot in enumerate(slots):
        page.put(branch, slot)
    again = Page(page.stored)
    assert [again.slot(branch) for branch in range(16)] == slots == split_slots(page.stored)
    assert join_slots(slots) == page.stored
    assert again.hash() == page.hash()
    for branch in range(16):
        again.put(branch, NOTHING)
    assert (again.stored, again.hash(), again.lone()) == (bytes(4), EMPTY_ROOT, NOTHING)


@given(
    st.lists(st.sampled_from([NOTHING, b"n" * 32, b"m" * 32, b"l" * 64, b"k" * 64]), min_size=16, max_size=16),
    st.data(),
)
def test_a_page_that_is_changed_is_the_page_with_these_slots(slots, data):
    page = Page(join_slots(slots))
    page.hash()
    for _ in range(6):
        branch = data.draw(st.integers(0, 15))
        slots[branch] = data.draw(st.sampled_from([NOTHING, b"o" * 32, b"p" * 64]))
        page.put(branch, slots[branch])
        anew = Page(join_slots(slots))
        assert (page.stored, page.hash()) == (anew.stored, anew.hash())
        assert [page.slot(each) for each in range(16)] == slots
        taken = [slot for slot in slots if slot]
        alone = (taken or [NOTHING])[0] if len(taken) < 2 and len((taken or [NOTHING])[0]) != 32 else None
        assert page.lone() == alone


# ── a state on disk ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def state(path):
    opened = State.open(path)
    yield opened
    opened.close()


def test_an_empty_state_has_the_empty_root(state):
    assert (state.height, state.root, state.oldest_height) == (-1, EMPTY_ROOT, -1)
    assert state.get(b"key") is None
    assert state.scan(b"") == []
    assert verify_state_proof(EMPTY_ROOT, b"key", None, state.prove(b"key"))
    assert not verify_state_proof(EMPTY_ROOT, b"key", b"", state.prove(b"key"))


def test_a_commit_is_read_back_and_lasts(path):
    state = State.open(path)
    root = state.commit(0, {b"a": b"1", b"b": b""}, {b"code": b"x"})
    assert root == state.root == naive_root({b"a": b"1", b"b": b""})
    state.close()
    state = State.open(path)
    assert (state.height, state.root) == (0, root)
    assert (state.get(b"a"), state.get(b"b"), state.get(b"c")) == (b"1", b"", None)
    assert state.side_get(b"code") == b"x"
    assert state.side_get(b"a") is None
    assert state.commit(1, {b"a": None, b"b": None}, {b"code": None}) == EMPTY_ROOT
    assert state.side_get(b"code") is None
    state.close()


def test_writes_that_change_nothing_keep_the_root(state):
    root = state.commit(0, {b"a": b"1"})
    assert state.commit(1, {b"a": b"1", b"b": None}) == root
    assert state.commit(2, {}) == root
    assert state.height == 2


def test_heights_are_committed_in_order(state):
    with pytest.raises(StorageError, match="height 1 cannot be committed, the next is 0"):
        state.commit(1, {})
    state.commit(0, {b"a": b"1"})
    with pytest.raises(StorageError, match="height 0 cannot be committed, the next is 1"):
        state.commit(0, {b"a": b"2"})
    assert state.get(b"a") == b"1"


def test_keys_and_values_have_a_limit_and_nothing_is_written_beyond_it(state):
    root = state.commit(0, {b"k" * 1024: b"v" * (1 << 20)})
    with pytest.raises(ValueError, match="key of 1025 bytes, at most 1024"):
        state.commit(1, {b"a": b"1", b"k" * 1025: b""})
    with pytest.raises(ValueError, match="value of 1048577 bytes, at most 1048576"):
        state.commit(1, {b"a": b"1", b"k": b"v" * ((1 << 20) + 1)})
    assert (state.height, state.root, state.get(b"a")) == (0, root, None)


def test_a_scan_goes_in_key_order_from_a_start_up_to_a_limit(state):
    writes = {b"a\x00": b"0", b"a": b"1", b"ab": b"2", b"b": b"3", b"a\xff": b"4", b"\xff": b"5"}
    state.commit(0, writes)
    inside = [(key, writes[key]) for key in (b"a", b"a\x00", b"ab", b"a\xff")]
    assert state.scan(b"a") == inside
    assert state.scan(b"a", b"a\x00") == inside[1:]
    assert state.scan(b"a", b"aa", 1) == inside[2:3]
    assert state.scan(b"a", limit=2) == inside[:2]
    assert state.scan(b"a", limit=0) == []
    assert state.scan(b"a", b"b") == []
    assert state.scan(b"b", b"a") == [(b"b", b"3")]
    assert state.scan(b"") == sorted(writes.items())
    assert state.scan(b"\xff") == [(b"\xff", b"5")]


def test_the_side_table_is_scanned_in_key_order_and_has_no_part_in_the_root(state):
    root = state.commit(0, {}, {b"x2": b"2", b"x1": b"1", b"y": b"3"})
    assert root == EMPTY_ROOT
    assert state.side_scan(b"x") == [(b"x1", b"1"), (b"x2", b"2")]
    assert state.side_scan(b"x", b"x1\x00", 5) == [(b"x2", b"2")]
    assert state.side_scan(b"x", limit=1) == [(b"x1", b"1")]
    assert state.scan(b"") == []


@settings(max_examples=25, deadline=None)
@given(blocks_of_writes, st.data())
def test_every_kept_height_reads_scans_and_proves_as_it_was(tmp_path_factory, history, data):
    path = tmp_path_factory.mktemp("state")
    state, content, contents, roots = State.open(path), {}, [], []
    for height, writes in enumerate(history):
        roots.append(state.commit(height, writes))
        content = {key: value for key, value in {**content, **writes}.items() if value is not None}
        contents.append(content)
    below = data.draw(st.integers(0, len(history)))
    if data.draw(st.booleans()):
        state.close()
        state = State.open(path)
    state.prune(below)
    oldest = min(below, len(history) - 1)
    assert state.oldest_height == oldest
    for height in range(oldest, len(history)):
        then = contents[height]
        assert state.root_at(height) == roots[height] == naive_root(then)
        start = data.draw(keys)
        limit = data.draw(st.integers(0, 12))
        assert (
            state.scan(b"key", start, limit, height)
            == [item for item in sorted(then.items()) if item[0] >= start][:limit]
        )
        for key in data.draw(st.lists(keys, max_size=5)):
            assert state.get(key, height) == then.get(key)
            check_state_proof(roots[height], key, then.get(key), state.prove(key, height))
    for height in (oldest - 1, len(history)):
        with pytest.raises(
            HeightNotKept, match=f"height {height} is not kept: heights {oldest} to {len(history) - 1} are"
        ):
            state.get(b"key 1", height)
    state.close()
    shutil.rmtree(path)


def test_pruning_leaves_nothing_of_the_old_versions(path):
    state = State.open(path)
    for height in range(10):
        state.commit(height, {b"a": b"%d" % height, b"b%d" % height: b""})
    state.prune(100)
    state.prune(3)
    assert state.oldest_height == 9
    assert state.get(b"a", 9) == b"9"
    state.close()
    database = plyvel.DB(str(path))
    assert [key for key, _ in database.iterator(prefix=b"o")] == []
    database.close()


@pytest.mark.parametrize("gives_back", [True, False])
def test_pruning_gives_the_disk_back(path, monkeypatch, gives_back):
    """Without being asked LevelDB keeps what was deleted, until it happens to rewrite the table that has it."""
    monkeypatch.setattr(versions, "RECLAIM_BYTES", 1 << 16 if gives_back else 1 << 40)
    values = [{b"key %d" % number: b"%d" % height * 2000 for number in range(100)} for height in range(10)]
    state = State.open(path)
    for height, writes in enumerate(values):
        state.commit(height, writes)
    state.close()
    state = State.open(path)  # what lay in the log is a table now
    before = sum(file.stat().st_size for file in path.iterdir())
    state.prune(9)
    state.close()
    after = sum(file.stat().st_size for file in path.iterdir())
    assert (after < before / 4) == gives_back
    state = State.open(path)
    assert dict(state.scan(b"")) == values[9]
    state.close()


def test_a_state_that_is_open_cannot_be_opened_again(path, state):
    with pytest.raises(DatabaseInUse, match=r"another process has .* open"):
        State.open(path)


def test_after_close_nothing_is_committed(state):
    state.close()
    state.close()
    with pytest.raises(StorageError, match="is closed"):
        state.commit(0, {})


# ── what the disk lost ────────────────────────────────────────────────────────────────────────────


def test_a_lost_tail_leaves_an_earlier_height_whole(path):
    state = State.open(path)
    roots = [state.commit(height, {b"a": b"%d" % height, b"b%d" % height: b"x"}) for height in range(20)]
    state.close()
    log = max(path.glob("*.log"))
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size // 2)
    state = State.open(path)
    assert 0 < state.height < 19
    assert state.root == roots[state.height]
    assert state.get(b"a") == b"%d" % state.height
    for height in range(state.height + 1, 20):
        assert state.commit(height, {b"a": b"%d" % height, b"b%d" % height: b"x"}) == roots[height]
    state.close()


def test_changes_lost_in_the_middle_are_noticed(path):
    """LevelDB flushes neither of its logs here, and a power cut may keep the newer and lose the older."""
    state = State.open(path)
    for height in range(5):
        state.commit(height, {b"a": b"%d" % height})
    state.close()
    database = plyvel.DB(str(path))
    database.delete(b"h" + (3).to_bytes(8, "big"))
    database.close()
    with pytest.raises(DataLost, match="at height 4 has lost the changes of height 3"):
        State.open(path)


def test_heights_leave_a_row_that_says_they_are_there(path, monkeypatch):
    """Flushed or not: LevelDB's list of tables may lose its own end, and the table before the log with it."""
    monkeypatch.setattr(versions, "COMMITS_BETWEEN_FLUSHES", 4)
    monkeypatch.setattr(versions, "HOLE_LOOK_HEIGHTS", 6)
    state = State.open(path)
    for height in range(20):
        state.commit(height, {b"a": b"%d" % height})
    state.close()
    database = plyvel.DB(str(path))
    assert [int.from_bytes(key[1:], "big") for key in database.iterator(prefix=b"h", include_value=False)] == list(
        range(14, 20)
    )
    database.close()
    state = State.open(path)
    assert state.height == 19
    state.close()
    for lost in (14, 16, 19):
        database = plyvel.DB(str(path))
        database.delete(b"h" + lost.to_bytes(8, "big"))
        database.close()
        with pytest.raises(DataLost, match=f"at height 19 has lost the changes of height {lost}"):
            State.open(path)
        database = plyvel.DB(str(path))
        database.put(b"h" + lost.to_bytes(8, "big"), b"")
        database.close()


def test_a_lost_page_is_named_and_not_guessed(path):
    state = State.open(path)
    state.commit(0, {b"key %d" % number: b"" for number in range(100)})
    state.close()
    database = plyvel.DB(str(path))
    database.delete(b"sp")
    database.close()
    state = State.open(path)
    with pytest.raises(DataLost, match="lost a page of its tree, at the root"):
        state.prove(b"key 1")
    with pytest.raises(DataLost):
        state.commit(1, {b"key 1": b"new"})
    assert state.height == 0
    state.close()


def test_a_lost_height_is_named(path):
    state = State.open(path)
    state.commit(0, {b"a": b"1"})
    state.close()
    database = plyvel.DB(str(path))
    database.delete(b"m")
    database.close()
    with pytest.raises(DataLost, match=r"lost the record of its height\. Delete .*: the state is made again"):
        State.open(path)


def test_a_directory_without_its_first_file_is_no_new_state(path):
    """LevelDB would make a new database there, and delete what it finds."""
    state = State.open(path)
    state.commit(0, {b"a": b"1"})
    state.close()
    (path / "CURRENT").unlink()
    left = sorted(file.name for file in path.iterdir())
    with pytest.raises(DataLost, match=r"CURRENT is missing, and .* is there\. Delete .*: the state is made again"):
        State.open(path)
    assert sorted(file.name for file in path.iterdir()) == left


def test_another_format_is_named_and_refused(path, monkeypatch):
    monkeypatch.setattr(versions, "FORMAT_VERSION", 4)
    state = State.open(path)
    state.commit(0, {})
    state.close()
    monkeypatch.undo()
    with pytest.raises(StorageError, match="has format 4, this program reads format 3"):
        State.open(path)


# ── proofs ────────────────────────────────────────────────────────────────────────────────────────


TREE, CONTENT = Memory(), {b"key %d" % number: b"value %d" % number for number in range(300)}
ROOT = TREE.apply([leaf_of(key, value) for key, value in CONTENT.items()])


def proof_of(key: bytes) -> bytes:
    return prove(TREE.pages.__getitem__, TREE.root, key)


def test_every_key_and_every_absence_is_proven():
    for number in range(600):
        key = b"key %d" % number
        assert verify_state_proof(ROOT, key, CONTENT.get(key), proof_of(key))
        assert len(proof_of(key)) < 800


@pytest.mark.parametrize("value", [b"", b"value 8", b"value 77"])
def test_a_present_key_has_no_other_value_and_is_not_absent(value):
    proof = proof_of(b"key 7")
    check_state_proof(ROOT, b"key 7", b"value 7", proof)
    for claim in (value, None):
        with pytest.raises(InvalidProof, match="leads to another root"):
            check_state_proof(ROOT, b"key 7", claim, proof)
    with pytest.raises(InvalidProof):
        check_state_proof(ROOT, b"key 8", b"value 8", proof)
    with pytest.raises(InvalidProof):
        check_state_proof(bytes(32), b"key 7", b"value 7", proof)


absent = st.integers(300, 2000).map(lambda number: b"key %d" % number)
any_key = st.sampled_from(sorted(CONTENT)) | absent


@settings(max_examples=300, deadline=None)
@given(any_key, st.data())
def test_a_proof_with_a_changed_byte_is_refused(key, data):
    proof = bytearray(proof_of(key))
    position = data.draw(st.integers(0, len(proof) - 1))
    proof[position] ^= data.draw(st.integers(1, 255))
    assert not verify_state_proof(ROOT, key, CONTENT.get(key), bytes(proof))


@settings(max_examples=200, deadline=None)
@given(any_key, st.data())
def test_a_proof_cut_or_grown_is_refused(key, data):
    proof = proof_of(key)
    cut = data.draw(st.integers(0, len(proof) - 1))
    assert not verify_state_proof(ROOT, key, CONTENT.get(key), proof[:cut])
    assert not verify_state_proof(ROOT, key, CONTENT.get(key), proof + data.draw(st.binary(min_size=1, max_size=4)))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(CONTENT)), any_key, st.data())
def test_no_recombination_of_true_parts_proves_a_present_key_absent(key, other, data):
    """Cut the key's own levels anywhere, join another key's, and put nothing or any true leaf at the end."""
    mine, theirs = codec.decode(proof_of(key), StateProof), codec.decode(proof_of(other), StateProof)
    levels_mine, levels_theirs = levels_of(mine), levels_of(theirs)
    head = data.draw(st.integers(0, len(levels_mine)))
    tail = data.draw(st.integers(0, len(levels_theirs)))
    levels = levels_mine[:head] + levels_theirs[tail:]
    ends = [b"", theirs.other, leaf_of(key, CONTENT[key])[1], leaf_of(other, CONTENT.get(other, b""))[1]]
    forged = StateProof(
        bytes(bits for bits, _ in levels),
        b"".join(siblings for _, siblings in levels),
        data.draw(st.sampled_from(ends)),
    )
    assert not verify_state_proof(ROOT, key, None, forged.encode())


@settings(max_examples=200, deadline=None)
@given(absent, any_key, values, st.data())
def test_no_recombination_of_true_parts_proves_an_absent_key_present(key, other, value, data):
    mine, theirs = codec.decode(proof_of(key), StateProof), codec.decode(proof_of(other), StateProof)
    levels_mine, levels_theirs = levels_of(mine), levels_of(theirs)
    head = data.draw(st.integers(0, len(levels_mine)))
    levels = levels_mine[:head] + levels_theirs[data.draw(st.integers(0, len(levels_theirs))) :]
    forged = StateProof(
        bytes(bits for bits, _ in levels),
        b"".join(siblings for _, siblings in levels),
        data.draw(st.sampled_from([b"", mine.other])),
    )
    assert not verify_state_proof(ROOT, key, value, forged.encode())


def levels_of(proof: StateProof) -> list[tuple[int, bytes]]:
    levels, offset = [], 0
    for bits in proof.present:
        size = 32 * bits.bit_count()
        levels.append((bits, proof.siblings[offset : offset + size]))
        offset += size
    return levels


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_refused(noise):
    assert not verify_state_proof(ROOT, b"key 7", b"value 7", noise)
    assert not verify_state_proof(ROOT, b"key 7", None, noise)


def altered(proof: bytes, **changes) -> bytes:
    found = codec.decode(proof, StateProof)
    parts = {"present": found.present, "siblings": found.siblings, "other": found.other} | changes
    return StateProof(**parts).encode()


def an_absent_key(*, beside_a_leaf: bool) -> bytes:
    return next(
        key
        for key in (b"key %d" % number for number in range(300, 2000))
        if bool(codec.decode(proof_of(key), StateProof).other) == beside_a_leaf
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"present": bytes(65), "siblings": b""}, "has 65 levels, at most 64"),
        ({"present": b"\x40"}, "more than 6 siblings in a level"),
        ({"siblings": b""}, "has 0 bytes of siblings, expected"),
        ({"present": b"\x01", "siblings": bytes(32)}, "spells out an empty sibling"),
        ({"other": b"x"}, "the other leaf has 1 bytes, expected 64"),
        ({"other": b"\x00" * 64}, "does not stand where the key would stand"),
    ],
)
def test_a_proof_of_the_wrong_form_is_named(changes, reason):
    key = an_absent_key(beside_a_leaf=False)
    with pytest.raises(InvalidProof, match=reason):
        check_state_proof(ROOT, key, None, altered(proof_of(key), **changes))


def test_an_absence_has_one_proof_only():
    key = an_absent_key(beside_a_leaf=False)
    proof = codec.decode(proof_of(key), StateProof)
    deeper = altered(proof_of(key), present=proof.present + b"\x00")
    with pytest.raises(InvalidProof, match="goes on below an empty place"):
        check_state_proof(ROOT, key, None, deeper)


def test_a_proof_of_absence_is_none_of_presence():
    key = an_absent_key(beside_a_leaf=True)
    check_state_proof(ROOT, key, None, proof_of(key))
    with pytest.raises(InvalidProof, match="is one of absence"):
        check_state_proof(ROOT, key, b"", proof_of(key))


@pytest.mark.parametrize("size", [1, 2, 17])
def test_small_states_prove_everything(size):
    tree, content = Memory(), {b"k%d" % number: b"v%d" % number for number in range(size)}
    root = tree.apply([leaf_of(key, value) for key, value in content.items()])
    for number in range(size + 20):
        key = b"k%d" % number
        proof = prove(tree.pages.__getitem__, tree.root, key)
        assert verify_state_proof(root, key, content.get(key), proof)
        assert not verify_state_proof(root, key, None if key in content else b"", proof)
