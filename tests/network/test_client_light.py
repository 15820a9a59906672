"""The light client over changes of the validators: three epochs on paper, and who tries to lead it astray."""

from __future__ import annotations

import json

import httpx
import pytest
from msgspec.structs import replace

from ledger import proofs
from ledger.blocks import genesis_record
from ledger.crypto import SigningKey
from ledger.hashing import tagged
from ledger.proofs import Closing, Way, prove_sealed, verify_proof
from ledger.seals import assemble_seal, checkpoint_message
from ledger.transactions import identify
from ledger.types import Checkpoint, Validator, ValidatorSet
from network.client import AsyncClient, Client, Forked, LightClient, NotConfigured, ProofInvalid, UnknownEpoch
from network.client.trust import write_trust
from scripts.paper_proofs import Chain


@pytest.fixture(scope="module")
def chain():
    """Two blocks in each of three epochs, whose members and powers differ."""
    return Chain("paper")


@pytest.fixture
def light(chain):
    return LightClient(chain.genesis)


def light_bytes(record):
    return replace(record, bodies=(), receipts=()).encode()


def file_about(chain, record, anchor=None):
    return proofs.prove_header(record, chain.way(record, anchor))


def seal_by(keys, header):
    signatures = {}
    for member, key in enumerate(keys):
        vote = Checkpoint(header.epoch, header.height, member, header.hash)
        signatures[member] = key.sign(checkpoint_message(header.chain_id, vote))
    return assemble_seal(header.epoch, header.height, header.hash, signatures)


def strangers(count=4):
    """Keys of an attacker's, and the set that they would be."""
    keys = [SigningKey.from_seed(tagged("test.attacker")(bytes([number]))) for number in range(count)]
    members = (Validator(f"v1-{n}", key.public_key, 1, b"certificate") for n, key in enumerate(keys))
    return keys, ValidatorSet(tuple(members))


def another_history(chain):
    """What the members of epoch 0 can still sign years later: that they handed over to somebody else's keys."""
    keys, members = strangers()
    closing = replace(chain.headers[1], next_validators_hash=members.hash)
    handed_over = Closing(closing, seal_by(chain.keys[0], closing), members)
    header = replace(
        chain.headers[2], previous_hash=closing.hash, validators_hash=members.hash, next_validators_hash=members.hash
    )
    return prove_sealed(header, seal_by(keys, header), Way(None, (handed_over,)))


# ── following ─────────────────────────────────────────────────────────────────────────────────────


def test_every_header_of_every_epoch_holds_once_the_validators_are_known(chain, light):
    assert (light.epoch, light.height, light.begin) == (0, -1, None)
    assert light.accept(light_bytes(chain.records[1])) == chain.headers[1]
    with pytest.raises(UnknownEpoch, match="block 5 says that it is of epoch 2, and the validators of epoch 0 are the"):
        light.accept(light_bytes(chain.records[4]))
    assert light.learn(file_about(chain, chain.records[5])).height == 6
    assert (light.epoch, light.height) == (2, 6)
    for record in (*chain.records[::-1], *chain.records):
        assert light.accept(light_bytes(record), record.height) == record.block.header
    assert [light.validators(epoch) for epoch in range(3)] == chain.sets
    assert light.validators() == chain.sets[2]


def test_it_learns_from_where_it_is(chain, light):
    """Asked for from its last closing header on, a proof has no more changes than are news."""
    light.learn(file_about(chain, chain.records[3]))
    assert (light.epoch, light.begin) == (1, chain.headers[1].hash)
    text = file_about(chain, chain.records[5], anchor=2)
    assert [each["header"] for each in json.loads(text)["closings"]] == [
        chain.headers[at].encode().hex() for at in (1, 3)
    ]
    light.learn(text, light.begin)
    assert (light.epoch, light.begin) == (2, chain.headers[3].hash)


def test_receipts_and_states_teach_it_too(chain, light):
    record = chain.records[5]
    assert light.learn(proofs.prove_transaction(record, 3, chain.way(record))).receipt.index == 3
    assert (light.epoch, light.height) == (2, 6)


def test_an_epoch_may_end_without_a_change_of_the_set(chain, light):
    """Then any header of it passes for its last, and none of them leads astray: it names the set that goes on."""
    keys, same = chain.keys[0], chain.sets[0].hash
    first, second = (replace(header, validators_hash=same, next_validators_hash=same) for header in chain.headers[:2])
    third = replace(chain.headers[2], validators_hash=same, next_validators_hash=same, previous_hash=second.hash)
    for early in (first, second):
        text = prove_sealed(
            third, seal_by(keys, third), Way(None, (Closing(early, seal_by(keys, early), chain.sets[0]),))
        )
        assert light.learn(text).header == third
    light.learn(prove_sealed(second, seal_by(keys, second)))
    assert (light.epoch, light.height, light.validators()) == (1, 3, chain.sets[0])


# ── who leads astray ──────────────────────────────────────────────────────────────────────────────


def test_an_epoch_has_its_heights_and_no_others(chain, light):
    light.learn(file_about(chain, chain.records[5]))
    late = replace(chain.headers[1], height=9)
    with pytest.raises(ProofInvalid, match="block 9 says that it is of epoch 0, which ended with block 2"):
        light.learn(prove_sealed(late, seal_by(chain.keys[0], late)))
    early = replace(chain.headers[2], height=2)
    record = replace(chain.records[2], seal=seal_by(chain.keys[1], early))
    with pytest.raises(ProofInvalid, match="block 2 says that it is of epoch 1, which begins above block 2"):
        light.judge(replace(record, block=replace(record.block, header=early)))


def test_an_epoch_that_ended_without_a_change_has_ended_when_its_members_left_later(chain, light):
    """Epochs 0 and 1 have one set, epoch 2 another; the first set's keys leak, and sign far above for epoch 0."""
    keys, same = chain.keys[0], chain.sets[0].hash
    first, second, third = (
        replace(header, epoch=epoch, validators_hash=same, next_validators_hash=after)
        for header, epoch, after in zip(chain.headers, (0, 0, 1), (same, same, chain.sets[2].hash), strict=False)
    )
    second = replace(second, previous_hash=first.hash)
    third = replace(third, previous_hash=second.hash)
    fourth = chain.headers[4]
    closings = (
        Closing(second, seal_by(keys, second), chain.sets[0]),
        Closing(third, seal_by(keys, third), chain.sets[2]),
    )
    text = prove_sealed(fourth, seal_by(chain.keys[2], fourth), Way(None, closings))
    light.learn(text)
    assert (light.epoch, light.height, light.header) == (2, 5, fourth)
    assert light.learn(prove_sealed(first, seal_by(keys, first))).header == first
    for epoch, height in ((0, 4), (0, 10**9), (1, 10**9)):
        posing = replace(first, epoch=epoch, height=height)
        way = Way(None, closings[:epoch])
        with pytest.raises(
            ProofInvalid, match=f"block {height} says that it is of epoch {epoch}, which ended with block 3"
        ):
            light.learn(prove_sealed(posing, seal_by(keys, posing), way))
    assert (light.height, light.to_proof()) == (5, text)


def test_a_header_is_judged_by_the_members_of_its_own_epoch(chain, light):
    light.learn(file_about(chain, chain.records[5]))
    for epoch, header in ((0, chain.headers[2]), (1, chain.headers[4]), (2, chain.headers[2])):
        posing = replace(header, gas_used=1)
        record = chain.records[posing.height - 1]
        record = replace(record, block=replace(record.block, header=posing), seal=seal_by(chain.keys[epoch], posing))
        with pytest.raises(ProofInvalid, match=r"in the seal does not hold|voting power|names member"):
            light.judge(record)


@pytest.mark.parametrize("keys", [(0, 1), (1, 1), (2, 2)], ids=["too few", "the next epoch's", "a later epoch's"])
def test_a_closing_is_sealed_by_the_set_that_it_closes(chain, light, keys):
    epoch, members = keys
    _, others = strangers()
    header = replace(chain.headers[1], next_validators_hash=others.hash)
    seal = seal_by(chain.keys[epoch][: members + 1], header)
    after = replace(chain.headers[2], validators_hash=others.hash, previous_hash=header.hash)
    text = prove_sealed(after, seal_by(strangers()[0], after), Way(None, (Closing(header, seal, others),)))
    with pytest.raises(ProofInvalid, match=r"the proof does not hold: the (seal|signature)"):
        light.learn(text)
    assert light.epoch == 0


def test_what_former_members_sign_later_changes_nothing(chain, light):
    """The long-range attack: the keys of epoch 0 leak, and another history is sealed with them from there on."""
    forged = another_history(chain)
    light.learn(file_about(chain, chain.records[5]))
    with pytest.raises(ProofInvalid, match="epoch 0 hand over to other validators than this client has verified"):
        light.learn(forged)
    assert (light.height, light.validators()) == (6, chain.sets[2])
    other = replace(chain.headers[0], state_root=bytes(32))
    light.accept(light_bytes(chain.records[0]))
    with pytest.raises(
        ProofInvalid, match=r"blocks 1 and 1, both sealed, cannot both .* what this client verified first"
    ):
        light.learn(prove_sealed(other, seal_by(chain.keys[0], other)))


def test_only_what_was_learned_before_tells_the_two_histories_apart(chain, light):
    """A client that begins at the genesis cannot know which of two sealed histories came first: so trust is kept."""
    light.learn(another_history(chain))
    assert light.validators() == strangers()[1]
    with pytest.raises(ProofInvalid, match="hand over to other validators"):
        light.learn(file_about(chain, chain.records[5]))


@pytest.mark.parametrize("height", [3, 9])
def test_a_closing_below_a_header_of_its_epoch_is_a_fork(chain, light, height):
    """Epoch 0 goes on to height 3 or 9, says a quorum; it ended at 2 in favour of others, says another."""
    own = chain.sets[0].hash
    later = replace(chain.headers[2], epoch=0, height=height, validators_hash=own, next_validators_hash=own)
    light.learn(prove_sealed(later, seal_by(chain.keys[0], later)))
    with pytest.raises(Forked, match="More validators are faulty") as fork:
        light.learn(file_about(chain, chain.records[5]))
    assert [each.header.height for each in fork.value.headers] == [2, height]
    assert light.epoch == 0


# ── what it keeps ─────────────────────────────────────────────────────────────────────────────────


def test_what_it_trusts_is_a_proof_like_any_other(chain, light):
    assert light.to_proof() is None
    light.learn(file_about(chain, chain.records[5]))
    text = light.to_proof()
    assert text == file_about(chain, chain.records[5])
    again = LightClient(chain.genesis)
    again.learn(text)
    assert (again.epoch, again.height, again.validators(1)) == (2, 6, chain.sets[1])
    with pytest.raises(ProofInvalid, match="hand over to other validators"):
        again.learn(another_history(chain))


# ── over HTTP ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def url(node, settings, serving, chain):
    """A node of this chain, and its gateway."""
    node.genesis, node.later_sets = chain.genesis, chain.sets[1:]
    node.records = [genesis_record(chain.genesis, bytes(32)), *chain.records]
    assert node.records[0].block.header.hash == chain.headers[0].previous_hash
    for record in chain.records:
        node.sealed |= {identify(raw)[0]: (record.height, index) for index, raw in enumerate(record.bodies)}
    async with serving(node, settings) as port:
        yield f"http://127.0.0.1:{port}"


async def test_a_client_follows_the_validators_by_itself(url, chain):
    async with AsyncClient([url], genesis=chain.genesis) as client:
        assert await client.header() == chain.headers[5]
        assert (client.verified_epoch, client.verified_height) == (2, 6)
        for height in (1, 4, 3, 6, 0):
            assert (await client.header(height)).height == height
        block = await client.block(3)
        assert [each["name"] for each in block["seal"]["signatures"]] == [each.name for each in chain.sets[1].members]
        proof = await client.proof(identify(chain.records[4].bodies[2])[0])
        assert (proof.height, len(proof.closings)) == (5, 2)


async def test_it_is_told_what_is_news_and_no_more(url, chain):
    async with AsyncClient([url], genesis=chain.genesis) as client:
        asked = []
        client._http.event_hooks["request"] = [lambda request: note(asked, request)]
        for height in (2, 3, 5, 4):
            await client.header(height)
        assert asked == [(3, ""), (5, chain.headers[1].hash.hex())]


async def note(asked, request):
    if "/proofs/header/" in request.url.path:
        asked.append((int(request.url.path.rpartition("/")[2]), request.url.params.get("header", "")))


@pytest.mark.parametrize("header", [None, 1, 2, 3, 6])
@pytest.mark.parametrize("height", [1, 2, 3, 6])
async def test_a_node_hands_out_the_way_to_every_block(url, chain, height, header):
    """From the genesis, or from any header that is not of a later epoch: `quorate verify` needs nothing else."""
    trusted = None if header is None else chain.headers[header - 1]
    async with httpx.AsyncClient(base_url=url) as http:
        query = {} if trusted is None else {"header": trusted.hash.hex()}
        answer = await http.get(f"/v1/proofs/header/{height}", params=query)
    if trusted is not None and trusted.epoch > chain.headers[height - 1].epoch:
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_parameter")
        assert "a proof cannot begin in a later epoch" in answer.json()["detail"]
        return
    assert answer.text == file_about(chain, chain.records[height - 1], header)
    assert verify_proof(answer.content, chain.genesis if trusted is None else trusted.hash).height == height


async def test_a_node_that_forgot_the_way_says_so(node, url):
    node.later_sets = ()
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.get("/v1/proofs/header/6")
        assert (answer.status_code, answer.json()["code"]) == (404, "no_proof")
        assert "ask another node" in answer.json()["detail"]


class Astray(httpx.AsyncBaseTransport):
    """Nodes with one gateway behind them; `forge` changes the bodies of what the liars answer."""

    def __init__(self, url, liars, forge):
        self.url, self.liars, self.forge = url, liars, forge
        self.inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request):
        target = httpx.URL(self.url).copy_with(raw_path=request.url.raw_path)
        host = {"host": target.netloc.decode()}
        reply = await self.inner.handle_async_request(httpx.Request(request.method, target, headers=host))
        body = await reply.aread()
        await reply.aclose()
        if request.url.host in self.liars:
            body = self.forge(request.url.path, body)
        return httpx.Response(reply.status_code, headers={"content-type": "application/json"}, content=body)

    async def aclose(self):
        await self.inner.aclose()


def forging(chain):
    """A node with the keys of epoch 0."""
    return lambda path, body: another_history(chain).encode() if "/proofs/header/" in path else body


def ahead(path, body):
    """A node that claims heights which nobody has reached."""
    return json.dumps(json.loads(body) | {"sealed_height": 10**15}).encode() if path == "/v1/status" else body


async def test_nodes_that_lie_about_the_validators_or_the_height_are_passed_over(url, chain, monkeypatch):
    monkeypatch.setattr("network.client.core.READ_TIMEOUT_S", 0.3)
    for forge, nodes in ((lambda *_: b"{}", "abcd"), (ahead, "ab")):
        transport = Astray(url, nodes[:-1], forge)
        async with AsyncClient([f"http://{n}" for n in nodes], genesis=chain.genesis, transport=transport) as client:
            for _ in nodes:
                assert await client.header() == chain.headers[5]
    transport = Astray(url, "ab", lambda path, body: b"{}" if "/proofs/" in path else body)
    async with AsyncClient(["http://a", "http://b"], genesis=chain.genesis, transport=transport) as client:
        with pytest.raises(ProofInvalid, match="no node shows how the validators changed up to block 6: http://"):
            await client.header()


async def test_what_was_verified_is_kept_in_a_file(url, chain, tmp_path):
    trust = tmp_path / "trust.json"
    async with AsyncClient([url], genesis=chain.genesis, trust_file=trust) as client:
        await client.header(6)
    assert verify_proof(trust.read_bytes(), chain.genesis).height == 6
    transport = Astray(url, "a", forging(chain))
    async with AsyncClient(["http://a"], genesis=chain.genesis, transport=transport, trust_file=trust) as client:
        assert (client.verified_epoch, client.verified_height) == (2, 6)
        assert await client.header(3) == chain.headers[2]
    async with AsyncClient(["http://a"], genesis=chain.genesis, transport=Astray(url, "a", forging(chain))) as fresh:
        with pytest.raises(ProofInvalid):  # it believes the forged closing, and then no true header
            await fresh.header(3)


def test_programs_that_share_a_trust_file_never_take_it_back(chain, tmp_path):
    trust = tmp_path / "trust.json"
    early, late = LightClient(chain.genesis), LightClient(chain.genesis)
    early.learn(file_about(chain, chain.records[1]))
    late.learn(file_about(chain, chain.records[5]))
    for light in (late, early, late):
        write_trust(trust, light)
        assert trust.read_text() == file_about(chain, chain.records[5])
    assert (early.epoch, early.height) == (2, 6)


def test_more_changes_than_a_proof_can_have_end_in_words(chain, tmp_path, monkeypatch):
    light = LightClient(chain.genesis)
    light.learn(file_about(chain, chain.records[5]).encode())
    monkeypatch.setattr("ledger.proof_file.CLOSINGS_MAX", 1)
    with pytest.raises(NotConfigured, match=r"trust\.json cannot hold what is trusted now: .*at most 1"):
        write_trust(tmp_path / "trust.json", light)
    assert not (tmp_path / "trust.json").exists()


@pytest.mark.parametrize("content", [b"", b"{}", "another chain's"])
def test_a_trust_file_that_is_none_is_not_begun_anew_in_silence(chain, tmp_path, content):
    trust = tmp_path / "trust.json"
    other = Chain("other")
    trust.write_bytes(content if isinstance(content, bytes) else file_about(other, other.records[5]).encode())
    with pytest.raises(NotConfigured, match=r"trust\.json is not one of this network: .* move it away"):
        Client(["http://a"], genesis=chain.genesis, trust_file=trust)


def test_a_trust_file_needs_a_genesis_and_a_directory(chain, tmp_path):
    with pytest.raises(NotConfigured, match="no genesis to keep a trust file with"):
        Client(["http://a"], trust_file=tmp_path / "trust.json")
    with pytest.raises(NotConfigured, match="cannot be read: Is a directory"):
        Client(["http://a"], genesis=chain.genesis, trust_file=tmp_path)
