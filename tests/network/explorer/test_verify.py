"""The verifier in JavaScript gives the verdicts of the one in Python. It runs in Node: without it these tests fail."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ledger import codec, crypto, merkle, verifier
from ledger.genesis import to_json
from ledger.proof_file import KINDS, as_text
from ledger.proofs import prove_receipt, prove_state
from network.json_values import to_json as to_json_value
from network.testnet import make_testnet
from scripts import mutate_proofs
from scripts.mutate_proofs import NoNode, judge_in_javascript, run
from scripts.paper_proofs import Chain, sample

ROOT = Path(__file__).parents[3]
VERIFIER = ROOT / "network" / "explorer" / "verify.mjs"
VECTORS = ROOT / "tests" / "vectors"


def node(*words: object, script: str = "") -> subprocess.CompletedProcess[str]:
    found = shutil.which("node")
    assert found, "the JavaScript verifier is tested in Node 20 or newer, and there is no node on the PATH"
    return subprocess.run(
        [found, *map(str, words)], input=script, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A genesis and a receipt about block 3, as files; and the same beginning at that block's header."""
    directory, chain = tmp_path_factory.mktemp("proofs"), Chain("paper")
    record = chain.records[2]
    (directory / "genesis.json").write_text(to_json(chain.genesis))
    (directory / "receipt.json").write_text(prove_receipt(record, 1, chain.way(record)))
    (directory / "anchored.json").write_text(prove_receipt(record, 1, chain.way(record, 3)))
    return directory, record


# ── as a command ──────────────────────────────────────────────────────────────────────────────────


def test_the_command_says_what_is_proven(files):
    directory, record = files
    done = node(VERIFIER, directory / "receipt.json", directory / "genesis.json")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "valid: a proof of kind receipt, sealed by 5 of 5 validators (v1-0, v1-1, v1-2, v1-3, v1-4)"
    assert f"  {'block':18} {record.block.header.hash.hex()}" in lines
    anchored = node(VERIFIER, directory / "anchored.json", "--header", record.block.header.hash.hex())
    changed = "  validators_changed_after [2]"
    assert changed in lines
    assert (anchored.returncode, anchored.stdout) == (0, done.stdout.replace(changed + "\n", ""))


def test_the_command_shows_the_value_that_is_proven(tmp_path):
    """Decoded where values.mjs lies beside it; the verifier alone shows the encoding. Keys are quoted once."""
    chain = Chain("paper")
    (tmp_path / "genesis.json").write_text(to_json(chain.genesis))
    alone, keys = tmp_path / "verify.mjs", set()
    alone.write_text(VERIFIER.read_text())
    for key in (key for height, key in chain.proven if height == 5):
        record, value = chain.records[4], chain.states[5].get(key)
        (tmp_path / "state.json").write_text(prove_state(record, key, value, chain.proven[5, key], chain.way(record)))
        for script, told in ((VERIFIER, value and codec.decode(value)), (alone, value and {"$encoded": value.hex()})):
            done = node(script, tmp_path / "state.json", tmp_path / "genesis.json")
            assert (done.returncode, done.stderr) == (0, "")
            shown = "none: it is absent" if value is None else json.dumps(told, separators=(",", ":"))
            assert done.stdout.splitlines()[-1] == f"  {'value':18} {shown}"
            keys.add(next(line[21:] for line in done.stdout.splitlines() if line.startswith("  key ")))
    assert keys == {
        '"account 5"',
        '"account 399"',
        '"account 400"',
        '"account 1005"',
        "4, true, 0x00ff",
        "[]",
        rf'{-(1 << 255) + 5}, "\u00fcber\u0000"',
    }


def test_the_command_says_why_a_file_is_invalid_and_what_it_cannot_check(files, tmp_path):
    directory, record = files
    text = (directory / "receipt.json").read_text()
    changed = tmp_path / "changed.json"
    changed.write_text(text.replace('"ok"', '"no"'))
    done = node(VERIFIER, changed, directory / "genesis.json")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("invalid, because the file says ")
    done = node(VERIFIER, directory / "receipt.json", "--header", record.block.header.hash.hex())
    assert done.stdout.startswith("invalid, because it begins at the genesis, not at a trusted header")
    for words in ((), (changed,), (changed, "none.json"), (changed, changed), (changed, "--header", "ab")):
        done = node(VERIFIER, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(("usage: ", "cannot check it: "))


def test_a_genesis_that_the_command_line_made_has_the_same_chain_id(tmp_path):
    """With real certificates, accounts and roles."""
    made = make_testnet(tmp_path / "net", time_ms=1_700_000_000_000, validators=4, base_port=None)
    script = f"""
        import {{ readFileSync }} from "node:fs";
        import {{ toHex, trustGenesis }} from "{VERIFIER.as_uri()}";
        const trust = await trustGenesis(readFileSync("{tmp_path / "net" / "genesis.json"}", "utf8"));
        console.log(toHex(trust.chainId), toHex(trust.validators));
    """
    done = node("--input-type=module", script=script)
    assert done.stdout.split() == [made.chain_id.hex(), made.validators.encode().hex()], done.stderr


# ── against the other verifier ────────────────────────────────────────────────────────────────────


def test_a_thousand_mutations_are_refused_by_both_for_the_same_reasons():
    report = run(1_000, seed=20, files=60)
    assert report.faults == []
    assert report.refused.total() == 1_000
    assert {name.split(":")[0] for name in report.refused} == {"text", "content", "trust"}
    assert len(report.reasons) > 40


@pytest.mark.parametrize("check", ["_check_transaction", "_check_state", "_check_receipt"])
def test_a_verifier_that_forgets_a_check_is_found_out(monkeypatch, check):
    monkeypatch.setattr(verifier, check, lambda *_: None)
    report = run(400, seed=21, files=30)
    assert report.faults
    assert all("Python says" in fault for fault in report.faults)


def test_files_of_any_shape_end_in_a_reason_in_both():
    """Each value of a file of each kind replaced by every sort of value, or left out; and what is no file at all."""
    chain = Chain("paper")
    cases = [b"", b"\xff", b"null", b"[]", b"{}", b"\xef\xbb\xbf{}", b"1" * 5_000, b"[" * 200_000]
    kinds = {json.loads(text)["kind"]: text for text, begin in sample(chain, 60, seed=1) if begin is None}
    assert set(kinds) == set(KINDS)
    files = list(kinds.values())
    for text in files:
        document = json.loads(text)
        for name in document:
            others = [None, True, -1, 0.5, 1 << 70, "", "0", "00" * 40, [], [[]], [None] * 70, {}, {"header": "c0"}]
            cases += [as_text(document | {name: other}).encode() for other in others]
            cases.append(as_text({key: part for key, part in document.items() if key != name}).encode())
        cases += [text[:-1].encode(), (text + text).encode(), text.replace("\n", "\r\n").encode()]
    changed = [data for data in cases if data.decode(errors="replace") not in files]
    judged = [mutate_proofs.Case(data, 0, "shape", "any", chain) for data in changed]
    for case, theirs in zip(judged, judge_in_javascript(judged, [chain.genesis]), strict=True):
        ours = mutate_proofs.judge_in_python(case, [chain.genesis])
        assert ours, case.data
        assert theirs, case.data
        assert theirs == ours or ours.startswith(mutate_proofs.FORM), case.data


def test_both_accepting_a_forgery_is_a_fault_too(monkeypatch):
    """As if both verifiers took everything: what is not true on the chain is found out without either."""
    monkeypatch.setattr(mutate_proofs, "judge_in_javascript", lambda cases, _: [None] * len(cases))
    monkeypatch.setattr(mutate_proofs, "judge_in_python", lambda *_: None)
    assert any("both accept it" in fault for fault in run(50, seed=22, files=10).faults)


def test_without_node_the_comparison_fails_and_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(NoNode, match="no node on the PATH: the JavaScript verifier needs Node 20 or newer"):
        judge_in_javascript([], [])


# ── public vectors ────────────────────────────────────────────────────────────────────────────────


def verdicts(script: str) -> list[bool]:
    done = node("--input-type=module", script=script)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_signatures_have_one_verdict_in_both_languages():
    """Wycheproof and speccheck: small-order points, other encodings, S + L."""
    groups = json.loads((VECTORS / "wycheproof/ed25519_test.json").read_text())["testGroups"]
    cases = [(group["publicKey"]["pk"], case["msg"], case["sig"]) for group in groups for case in group["tests"]]
    speccheck = json.loads((VECTORS / "speccheck/cases.json").read_text())
    cases += [(case["pub_key"], case["message"], case["signature"]) for case in speccheck]
    found = verdicts(f"""
        import {{ signatureHolds }} from "{VERIFIER.as_uri()}";
        const bytes = (text) => new Uint8Array(Buffer.from(text, "hex"));
        const found = [];
        for (const parts of {json.dumps(cases)}) found.push(await signatureHolds(...parts.map(bytes)));
        console.log(JSON.stringify(found));
    """)
    assert found == [crypto.verify(*map(bytes.fromhex, case)) for case in cases]
    assert (len(found), sum(found)) == (151 + 12, 88 + 1)


def test_every_public_inclusion_vector():
    every = json.loads((VECTORS / "merkle/testdata.json").read_text())
    cases = {name: case for name, case in every.items() if name.startswith("inclusion")}
    listed = [
        [
            *(base64.b64decode(case[name] or "").hex() for name in ("root", "leafHash")),
            case["leafIdx"],
            case["treeSize"],
            [base64.b64decode(each).hex() for each in case["proof"] or []],
        ]
        for case in cases.values()
    ]
    leaves = [b"%d" % number for number in range(4)]
    root, leaf = merkle.root(leaves).hex(), merkle.leaf_hash(leaves[3]).hex()
    path = [each.hex() for each in merkle.inclusion_proof(leaves, 3)]
    listed += [[root, leaf, *place, path] for place in ((0, 1), (1, 2), (3, 4))]  # too long a way, but for the last
    found = verdicts(f"""
        import {{ isIncluded }} from "{VERIFIER.as_uri()}";
        const bytes = (text) => new Uint8Array(Buffer.from(text, "hex"));
        const found = [];
        for (const [root, leaf, index, size, path] of {json.dumps(listed)}) {{
          found.push(leaf.length === 64 && await isIncluded(bytes(root), bytes(leaf), index, size, path.map(bytes)));
        }}
        console.log(JSON.stringify(found));
    """)
    assert found == [*(not case["wantErr"] for case in cases.values()), False, False, True]


# ── what is shown of what was proven ──────────────────────────────────────────────────────────────


def test_contract_values_look_as_the_api_has_them():
    """Out of their encoding: every kind of value, at the edges of every form that it is encoded in."""
    integers = [each for bits in (0, 5, 7, 8, 15, 16, 31, 32, 53, 63, 64, 65, 200, 256) for each in around(bits)]
    texts = ["", "a" * 31, "a" * 32, "é" * 200, "\ufeff😀\x00", "b" * 70_000]
    values = [None, True, False, *integers, *texts, *(text.encode() for text in texts)]
    values += [[], [1, [2, [None]]], list(range(20)), {}, {"a": 1, "b": [b"x"]}, {"$bytes": 1}, {"$a": 1, "b": 2}]
    values += [{f"k{number:05}": number for number in range(count)} for count in (15, 16, 70_000)]
    encoded = [codec.encode(value).hex() for value in values]
    broken = ["", "c1", "92c0", "c0c0", "a1ff", "c70202ff", "91" * 100 + "c0"]
    found = verdicts(f"""
        import {{ decoded }} from "{VERIFIER.with_name("values.mjs").as_uri()}";
        const all = {json.dumps(encoded + broken)};
        console.log(JSON.stringify(all.map((text) => decoded(new Uint8Array(Buffer.from(text, "hex"))))));
    """)
    assert found[: len(values)] == [to_json_value(value) for value in values]
    assert found[len(values) :] == [{"$undecodable": text} for text in broken]


def around(bits: int) -> list[int]:
    """Integers at the edge of so many bits, within 256."""
    return [each for each in ((1 << bits) - 1, 1 << bits, -(1 << bits), -(1 << bits) - 1) if each.bit_length() <= 256]
