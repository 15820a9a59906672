// The verifier in JavaScript: whether a proof file proves what it says, from the file and what its reader trusts already.
// The same verdicts, for the same reasons, as ledger/verifier.py; written apart from it. No dependencies: SHA-256 and
// Ed25519 are those of Web Crypto, in a browser (over HTTPS or from localhost) and in Node 20 or newer:
//
//     node verify.mjs FILE GENESIS          (genesis.json)
//     node verify.mjs FILE --header HASH    (a header that you trust, where the proof begins)

const FORMAT = "quorate-proof-1";
const KINDS = new Map([  // each kind of proof, and what its file has beside the sealed header
  ["header", []],
  ["transaction", ["transaction", "transaction_path", "receipt", "receipt_path"]],
  ["receipt", ["receipt", "receipt_path"]],
  ["event", ["event", "receipt", "receipt_path"]],
  ["state", ["key", "value", "state_proof"]],
]);
const FILE_BYTES_MAX = 32 * 1024 * 1024;
const CLOSINGS_MAX = 10_000;
const PATH_HASHES_MAX = 64;
const KEY_BYTES_MAX = 1024;
const NUMBER_MAX = Number.MAX_SAFE_INTEGER;

/** Why a file proves nothing: the end of the sentence "invalid, because ...". */
export class Invalid extends Error {}

export const refuse = (why) => { throw new Invalid(why); };

/**
 * What the file (bytes) proves to a reader with this trust, from `trustGenesis` or `trustHeader`: kind, header, signers
 * (names), members (the set that it was sealed by), memberCount, changes (of the set: the heights after which it was another
 * one), transaction, receipt, event, state; null for what the kind lacks. Throws `Invalid`.
 */
export async function verify(data, trust) {
  const proof = await open(data);
  const members = await follow(proof, trust);
  if (proof.transaction) await checkTransaction(proof);
  if (proof.receipt) await checkReceipt(proof);
  if (proof.event !== null && proof.event >= proof.receipt.events.length) refuse(`the event is number ${proof.event} of a receipt with ${proof.receipt.events.length}, from 0 on`);
  if (proof.state) await checkState(proof);
  return {
    kind: proof.kind,
    header: proof.header,
    signers: proof.seal.signatures.map(({ member }) => members[member].name),
    members,
    memberCount: members.length,
    changes: proof.closings.map((closing) => closing.header.height),
    transaction: proof.transaction,
    receipt: proof.receipt,
    event: proof.event === null ? null : proof.receipt.events[proof.event],
    state: proof.state,
  };
}

// ── what a reader trusts ────────────────────────────────────────────────

/** Trust in a genesis, from the text of genesis.json. Whether its values are sensible is for `quorate` to say. */
export async function trustGenesis(text) {
  const genesis = JSON.parse(text);
  const has = (place, ...names) => {
    if (Object.keys(place).sort().join() !== [...names].sort().join()) throw new Error(`a genesis has ${names.join(", ")} and nothing else here`);
    return names.map((name) => place[name]);
  };
  const [format, network, time, parameters, validators, accounts] = has(genesis, "format", "network", "time_ms", "parameters", "validators", "accounts");
  const limits = has(parameters, "window", "validity_window", "block_transactions_max", "block_bytes_max", "block_gas_max", "transaction_bytes_max", "transaction_gas_max", "request_timeout_ms", "timeout_max_ms", "clock_drift_max_ms");
  const members = validators.map((each) => {
    const [name, key, power, certificate] = has(each, "name", "public_key", "power", "tls_certificate");
    return [name, fromHex(key), power, Uint8Array.from(atob(certificate), (character) => character.charCodeAt(0))];
  });
  const people = accounts.map((each) => {
    const [name, key, roles] = has(each, "name", "public_key", "roles");
    return [name, fromHex(key), roles];
  });
  const encoded = encode([format, network, time, limits, [members], people]);
  return { chainId: await tagged("genesis", encoded), validators: encode([members]), network, parameters, members: members.map(([name, public_key, power]) => ({ name, public_key, power })) };
}

/** Trust in one header, by its hash in hex. */
export function trustHeader(hash) {
  if (!/^[0-9a-f]{64}$/.test(hash)) throw new Error("a header's hash has 64 hexadecimal digits");
  return { headerHash: fromHex(hash) };
}

// ── who sealed it ───────────────────────────────────────────────────────

/** The members that sealed the proof's header, from what is trusted over each change of the set. */
async function follow(proof, trust) {
  let { chainId, epoch, validators } = await begin(proof, trust);
  let above = -1;
  for (const closing of proof.closings) {
    await checkSealed("closing header", closing, chainId, epoch, validators, above);
    if (!same(await tagged("validators", closing.validators), closing.header.next_validators_hash)) refuse(`the closing header of epoch ${epoch} names another next set than the one beside it`);
    epoch += 1;
    above = closing.header.height;
    validators = closing.validators;
  }
  return checkSealed("block", proof, chainId, epoch, validators, above);
}

async function begin({ anchor }, trust) {
  if (!trust.headerHash) {
    if (anchor) refuse(`it begins at header ${toHex(anchor.header.hash)}, not at the genesis: check it with a trusted header`);
    return { chainId: trust.chainId, epoch: 0, validators: trust.validators };
  }
  if (!anchor) refuse("it begins at the genesis, not at a trusted header: check it with the genesis file");
  if (!same(anchor.header.hash, trust.headerHash)) refuse(`it begins at header ${toHex(anchor.header.hash)}, the trusted one is ${toHex(trust.headerHash)}`);
  if (!same(await tagged("validators", anchor.validators), anchor.header.validators_hash)) refuse("the trusted header names another set than the one beside it");
  return { chainId: anchor.header.chain_id, epoch: anchor.header.epoch, validators: anchor.validators };
}

/** That a quorum of `validators`, the set of `epoch`, sealed the header; who the members are. */
async function checkSealed(what, { header, seal }, chainId, epoch, validators, above) {
  if (!same(header.chain_id, chainId)) refuse(`it is from chain ${toHex(header.chain_id)}, the trusted one is ${toHex(chainId)}`);
  if (header.epoch !== epoch) refuse(`the ${what} is of epoch ${header.epoch}, the trusted set is that of epoch ${epoch}`);
  if (header.height <= above) refuse(`the ${what} has height ${header.height}, its epoch begins above ${above}`);
  if (!same(header.validators_hash, await tagged("validators", validators))) refuse(`the ${what} of epoch ${epoch} names another set of validators than the trusted one`);
  if (seal.epoch !== epoch || seal.height !== header.height || !same(seal.header_hash, header.hash)) refuse(`the seal of the ${what} is for another header`);
  const { members } = decode("set of validators", validators, VALIDATOR_SET);
  checkPower(seal, members);
  for (const { member, signature } of seal.signatures) {
    const vote = encode([epoch, header.height, member, header.hash]);
    if (!await signatureHolds(members[member].public_key, signed("checkpoint", chainId, vote), signature)) refuse(`the signature of member ${member} in the seal does not hold`);
  }
  return members;
}

/** Distinct members, with all power but the most that may be faulty, which is less than a third. */
function checkPower(seal, members) {
  let power = 0;
  let previous = -1;
  for (const { member } of seal.signatures) {
    if (member >= members.length) refuse(`the seal names member ${member}, of a set of ${members.length}`);
    if (member <= previous) refuse(`the seal names member ${member} after ${previous}, expected ascending distinct members`);
    power += members[member].power;
    previous = member;
  }
  const total = members.reduce((sum, member) => sum + member.power, 0);  // 1024 members of at most 2^32 each: exact
  const quorum = total - Math.floor((total - 1) / 3);
  if (power < quorum) refuse(`the seal has voting power ${power} of ${total}, at least ${quorum} is a quorum`);
}

// ── what is under its roots ─────────────────────────────────────────────

async function checkTransaction(proof) {
  const { transaction, receipt, header } = proof;
  const { chain_id: chainId, sender } = transaction.body;
  const body = transaction.raw.subarray(1, -66);  // behind the head of a list of two, before the signature and its head
  if (!same(chainId, header.chain_id)) refuse(`the transaction is signed for chain ${toHex(chainId)}, not for this one`);
  if (!await signatureHolds(sender, signed("transaction", chainId, body), transaction.signature)) refuse("the client's signature in the transaction does not hold");
  const id = await tagged("transaction.id", body);
  const hash = await tagged("transaction.hash", transaction.raw);
  if (!same(receipt.transaction_id, id) || !same(receipt.transaction_hash, hash)) refuse("the receipt is about another transaction");
  await checkPlace("transaction", hash, header.transactions_root, proof, proof.transaction_path);
}

async function checkReceipt(proof) {
  const { receipt, header } = proof;
  if (receipt.height !== header.height) refuse(`the receipt's height is ${receipt.height}, the header's is ${header.height}`);
  await checkPlace("receipt", receipt.raw, header.receipts_root, proof, proof.receipt_path);
}

/** The leaf is the one at the receipt's index, among the header's transactions. */
async function checkPlace(what, leaf, root, proof, path) {
  const index = proof.receipt.index;
  const size = proof.header.transaction_count;
  if (index >= size) refuse(`the index is ${index}, in a block of ${size} transactions`);
  if (!await isIncluded(root, await sha256(LEAF, leaf), index, size, path)) refuse(`the ${what} is not under the header's root at index ${index}`);
}

/** Whether the leaf with this hash is number `index` of `size` under the root (RFC 9162, 2.1.3.2). */
export async function isIncluded(root, leafHash, index, size, path) {
  if (index >= size || size > NUMBER_MAX) return false;
  let node = leafHash;
  let position = index;
  let last = size - 1;
  const up = () => { position = Math.floor(position / 2); last = Math.floor(last / 2); };
  for (const sibling of path) {
    if (last === 0) return false;  // longer than the way to the root
    if (position % 2 === 1 || position === last) {
      node = await sha256(NODE, sibling, node);
      while (position % 2 === 0 && position) up();  // levels where the last node moved up unpaired
    } else {
      node = await sha256(NODE, node, sibling);
    }
    up();
  }
  return last === 0 && same(node, root);
}

/** The tree has sixteen branches a node, hashed in quarters of four; a key's path is its hash, a nibble a level. */
async function checkState({ state, header }) {
  const path = await sha256(state.key);
  let node = await endOfPath(path, state);
  for (let level = state.levels.length - 1; level >= 0; level -= 1) {
    const branch = nibble(path, level);
    const quarter = branch >> 2;
    const place = branch & 3;
    const near = state.levels[level].slice(0, 3);
    const far = state.levels[level].slice(3);
    node = await hashOfFour(QUARTER, near.toSpliced(place, 0, node));
    node = await hashOfFour(NODE, far.toSpliced(quarter, 0, node));
  }
  if (!same(node, header.state_root)) refuse("the state proof leads to another root than the header's");
}

/** The hash that must stand where the key's path ends: its leaf; or nothing, or another key's leaf. */
async function endOfPath(path, { value, levels, other }) {
  if (value !== null) {
    if (other.length) refuse("the state proof is one of absence, and the file has a value");
    return sha256(LEAF, path, await sha256(VALUE, value));
  }
  if (!other.length) {
    if (levels.length && levels.at(-1).every(isEmpty)) refuse("the state proof goes on below an empty place");
    return EMPTY;
  }
  const found = other.subarray(0, 32);
  const shared = levels.every((_, level) => nibble(found, level) === nibble(path, level));
  if (same(found, path) || !shared) refuse("the other leaf does not stand where the key would stand");
  return sha256(LEAF, other);
}

const nibble = (path, level) => (level % 2 ? path[level >> 1] & 15 : path[level >> 1] >> 4);
const isEmpty = (bytes) => bytes.every((byte) => byte === 0);
const hashOfFour = async (kind, children) => (children.every(isEmpty) ? EMPTY : sha256(kind, ...children));

// ── the file ────────────────────────────────────────────────────────────

/** The file taken apart and put together again: only that very text is accepted. */
async function open(data) {
  if (!data.length) refuse("the file is empty");
  if (data.length > FILE_BYTES_MAX) refuse(`the file has ${data.length} bytes, at most ${FILE_BYTES_MAX} are a proof`);
  let document;
  try {
    document = JSON.parse(utf8(data));
  } catch {
    refuse("the file is not JSON: it is no proof, or it was cut short");
  }
  if (!isObject(document) || document.format !== FORMAT) refuse(`the file is no proof: it lacks "format": "${FORMAT}"`);
  const proof = await takenApart(document);
  const expected = new TextEncoder().encode(textOf(document, proof));
  if (!same(data, expected)) refuse(difference(data, expected));
  return proof;
}

function difference(data, expected) {
  const length = Math.min(data.length, expected.length);
  let at = 0;
  while (at < length && data[at] === expected[at]) at += 1;
  const shown = (bytes) => JSON.stringify(new TextDecoder().decode(bytes.subarray(Math.max(0, at - 40), at + 20)));
  return `the file says ${shown(data)} where its content gives ${shown(expected)}, at byte ${at}`;
}

async function takenApart(document) {
  const { kind, anchor } = document;
  if (!KINDS.has(kind)) refuse(`"kind" is none of ${[...KINDS.keys()].join(", ")}`);
  const has = new Set(KINDS.get(kind));
  const items = itemsAt(document, "closings", CLOSINGS_MAX);
  const proof = { kind, anchor: null, closings: [] };
  if (anchor !== undefined && anchor !== null) proof.anchor = { header: await headerAt(anchor), validators: bytesAt(anchor, "validators") };
  for (const each of items) proof.closings.push({ header: await headerAt(each), seal: partAt(each, "seal", SEAL), validators: bytesAt(each, "validators") });
  proof.header = await headerAt(document);
  proof.seal = partAt(document, "seal", SEAL);
  proof.transaction = has.has("transaction") ? partAt(document, "transaction", TRANSACTION) : null;
  proof.transaction_path = has.has("transaction") ? pathAt(document, "transaction_path") : [];
  proof.receipt = has.has("receipt") ? partAt(document, "receipt", RECEIPT) : null;
  proof.receipt_path = has.has("receipt") ? pathAt(document, "receipt_path") : [];
  proof.event = has.has("event") ? eventAt(document) : null;
  proof.state = has.has("key") ? stateAt(document) : null;
  return proof;
}

/** The one text of a proof: its parts in this order, and a summary for people that follows from them. */
function textOf(document, proof) {
  const only = (place, ...names) => Object.fromEntries(names.map((name) => [name, place[name]]));
  const text = { format: FORMAT, kind: proof.kind, summary: summary(proof) };
  if (proof.anchor) text.anchor = only(document.anchor, "header", "validators");
  text.closings = document.closings.map((closing) => only(closing, "header", "seal", "validators"));
  Object.assign(text, only(document, "header", "seal", ...KINDS.get(proof.kind)));
  return `${JSON.stringify(text, null, 2)}\n`;
}

export function summary({ kind, header, seal, transaction, receipt, event, state }) {
  const told = {};
  if (receipt) told.transaction_id = toHex(receipt.transaction_id);
  if (transaction) {
    told.sender = toHex(transaction.body.sender);
    told.calls = transaction.body.calls.map((call) => `${call.contract}.${call.method}`);
  }
  if (receipt) told.outcome = receipt.code;
  if (kind === "event") told.event = receipt.events.slice(event, event + 1).map((each) => `${each.contract}.${each.name}`).join("");
  if (state) {
    told.contract = state.contract;
    told.variable = state.variable;
    told.key = state.elements.map(elementLabel);
    told.present = state.value !== null;
  }
  told.height = header.height;
  told.block = toHex(header.hash);
  told.time = header.time_ms <= 253_402_300_799_999 ? new Date(header.time_ms).toISOString() : `${header.time_ms} ms`;  // the year 9999
  told.chain = toHex(header.chain_id);
  told.sealed_by_members = seal.signatures.map(({ member }) => member);
  return told;
}

/** A part of a key, for people: no two look alike. */
export const elementLabel = (element) => {
  if (element instanceof Uint8Array) return `0x${toHex(element)}`;
  return typeof element === "string" ? JSON.stringify(element) : String(element);
};

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function bytesAt(holder, name) {
  const value = isObject(holder) && Object.hasOwn(holder, name) ? holder[name] : undefined;
  if (typeof value !== "string" || !/^(?:[0-9a-f]{2})*$/.test(value)) refuse(`"${name}" is not lower-case hex`);
  return fromHex(value);
}

function itemsAt(document, name, most) {
  const items = document[name];
  if (!Array.isArray(items) || items.length > most) refuse(`"${name}" is not a list of at most ${most}`);
  return items;
}

function pathAt(document, name) {
  const path = itemsAt(document, name, PATH_HASHES_MAX).map((each) => bytesAt({ [name]: each }, name));
  if (path.some((each) => each.length !== 32)) refuse(`"${name}" has a hash that is not of 32 bytes`);
  return path;
}

function eventAt({ event }) {
  if (!Number.isSafeInteger(event) || event < 0) refuse(`"event" is not an integer from 0 to ${NUMBER_MAX}`);
  return event;
}

function partAt(holder, name, shape) {
  const raw = bytesAt(holder, name);
  return { ...decode(name, raw, shape), raw };
}

async function headerAt(holder) {
  const header = partAt(holder, "header", HEADER);
  return { ...header, hash: await tagged("header", header.raw) };
}

function stateAt(document) {
  const key = bytesAt(document, "key");
  const value = document.value === null ? null : bytesAt(document, "value");
  const { present, siblings, other } = partAt(document, "state_proof", STATE_PROOF);
  if (other.length !== 0 && other.length !== 64) refuse(`the other leaf has ${other.length} bytes, expected none or 64`);
  const levels = levelsOf(present, siblings);
  return { ...readKey(key), key, value, levels, other };
}

/** Six siblings a level, root first: three in the quarter, three quarters. Those without a bit are empty. */
function levelsOf(present, siblings) {
  if (present.length > 64 || present.some((bits) => bits >> 6)) refuse("the state proof has more than 64 levels, or more than 6 siblings in one");
  let count = 0;
  const levels = Array.from(present, (bits) => [0, 1, 2, 3, 4, 5].map((place) => ((bits >> place) & 1 ? siblings.subarray(32 * count, 32 * ++count) : EMPTY)));
  if (siblings.length !== 32 * count) refuse("the state proof has more or fewer siblings than it announces");
  for (let at = 0; at < siblings.length; at += 32) if (isEmpty(siblings.subarray(at, at + 32))) refuse("the state proof spells out an empty sibling");
  return levels;
}

// ── the canonical encoding: msgpack in its shortest forms ───────────────

// Of each kind of item: the first byte of the short form, the largest number in it, and the longer forms: first byte,
// bytes of the number, and the largest number that a shorter form holds.
const FORMS = {
  number: [0x00, 127, [[0xcc, 1, 127], [0xcd, 2, 0xff], [0xce, 4, 0xffff], [0xcf, 8, 0xffffffff]]],
  list: [0x90, 15, [[0xdc, 2, 15], [0xdd, 4, 0xffff]]],
  text: [0xa0, 31, [[0xd9, 1, 31], [0xda, 2, 0xff], [0xdb, 4, 0xffff]]],
  bytes: [0xc4, -1, [[0xc4, 1, -1], [0xc5, 2, 0xff], [0xc6, 4, 0xffff]]],
};

class Reader {
  constructor(name, data) {
    this.name = name;
    this.data = data;
    this.at = 0;
  }

  refuse(why) {
    refuse(`the ${this.name} cannot be read: ${why}`);
  }

  take(count) {
    if (this.at + count > this.data.length) this.refuse("it is cut short");
    this.at += count;
    return this.data.subarray(this.at - count, this.at);
  }

  /** A number, or how many follow. */
  head(kind, least, most) {
    const [short, shortMost, longer] = FORMS[kind];
    const first = this.take(1)[0];
    const form = longer.find(([byte]) => byte === first);
    let value = BigInt(first - short);
    if (form) {
      value = 0n;
      for (const byte of this.take(form[1])) value = (value << 8n) | BigInt(byte);
      if (value <= form[2]) this.refuse(`a ${kind} is in a longer form than it needs`);
    } else if (value < 0 || value > shortMost) {
      this.refuse(`expected a ${kind}`);
    }
    if (value < least || value > most) this.refuse(`a ${kind} has or is ${value}, expected ${least} to ${most}`);
    return Number(value);
  }

  text(bytes) {
    try {
      return utf8(bytes);
    } catch {
      return this.refuse("a text is not UTF-8");
    }
  }

  end() {
    if (this.at !== this.data.length) this.refuse("bytes follow its end");
  }
}

export function decode(name, data, shape) {
  const reader = new Reader(name, data);
  const value = shape(reader);
  reader.end();
  return value;
}

export const count = (least = 0, most = NUMBER_MAX) => (reader) => reader.head("number", least, most);
export const data = (least = 0, most = NUMBER_MAX) => (reader) => reader.take(reader.head("bytes", least, most));
const words = (least = 0, most = NUMBER_MAX) => (reader) => {
  const text = reader.text(reader.take(reader.head("text", 0, NUMBER_MAX)));
  const length = [...text].length;
  if (length < least || length > most) reader.refuse(`a text has ${length} characters, expected ${least} to ${most}`);
  return text;
};
export const list = (item, least = 0, most = NUMBER_MAX) => (reader) => {
  const items = [];
  for (let left = reader.head("list", least, most); left > 0; left -= 1) items.push(item(reader));
  return items;
};
export const record = (fields) => (reader) => {
  const names = Object.keys(fields);
  reader.head("list", names.length, names.length);
  return Object.fromEntries(names.map((name) => [name, fields[name](reader)]));
};

/** The same, with the bytes that it was read from beside its fields, as "raw". */
export const whole = (shape) => (reader) => {
  const from = reader.at;
  const value = shape(reader);
  return { ...value, raw: reader.data.subarray(from, reader.at) };
};

export const HASH = data(32, 32);
const NAME = words(1, 63);
export const MEMBER = count(0, 1023);
export const HEADER = record({
  chain_id: HASH, epoch: count(), height: count(), previous_hash: HASH,
  batch_digest: HASH, batch_view: count(), batch_proposer: MEMBER, batch_since: count(), time_ms: count(),
  transactions_root: HASH, receipts_root: HASH, state_root: HASH, validators_hash: HASH, next_validators_hash: HASH,
  transaction_count: count(), gas_used: count(),
});
export const SEAL = record({ epoch: count(), height: count(), header_hash: HASH, signatures: list(record({ member: MEMBER, signature: data(64, 64) })) });
const VALIDATOR_SET = record({ members: list(record({ name: NAME, public_key: HASH, power: count(1, 2 ** 32), tls_certificate: data() }), 1, 1024) });
const CALL = record({ contract: NAME, method: NAME, args: data() });
export const TRANSACTION = record({
  body: record({ chain_id: HASH, sender: HASH, calls: list(CALL, 1, 64), gas_limit: count(), valid_until: count(), salt: data(16, 16) }),
  signature: data(64, 64),
});
export const RECEIPT = record({
  height: count(), index: count(), transaction_id: HASH, transaction_hash: HASH,
  code: words(), message: words(), contract: words(), line: count(), gas_used: count(),
  results: list(data()), events: list(record({ contract: words(), name: words(), fields: data() })),
});
const STATE_PROOF = record({ present: data(), siblings: data(), other: data() });

/** The encoding of numbers from 0 on, texts, bytes and lists. */
function encode(value) {
  const head = (kind, number) => {
    const [short, shortMost, longer] = FORMS[kind];
    if (number <= shortMost) return [short + number];
    const [first, width] = longer.find(([, bytes]) => number < 256 ** bytes);
    return [first, ...Array.from({ length: width }, (_, place) => Math.floor(number / 256 ** (width - 1 - place)) % 256)];
  };
  if (Number.isSafeInteger(value) && value >= 0) return Uint8Array.from(head("number", value));
  if (typeof value === "string") {
    const text = new TextEncoder().encode(value);
    return joined(Uint8Array.from(head("text", text.length)), text);
  }
  if (value instanceof Uint8Array) return joined(Uint8Array.from(head("bytes", value.length)), value);
  if (Array.isArray(value)) return joined(Uint8Array.from(head("list", value.length)), ...value.map(encode));
  throw new Error("only integers from 0 on, texts, bytes and lists have a place here");
}

// ── a key of the state: contract, variable, and the parts of a Map's key ──

const CONTRACT_NAME = /^[a-z][a-z0-9_-]{0,62}$/;
const VARIABLE_NAME = /^[A-Za-z][A-Za-z0-9_]*$/;

/** A key in any other writing than its one would pass for absent where the real one is present. */
function readKey(key) {
  const reader = new Reader("key", key);
  if (key.length > KEY_BYTES_MAX) reader.refuse(`it has ${key.length} bytes, at most ${KEY_BYTES_MAX} are allowed`);
  const [contract, variable] = [reader.take(reader.take(1)[0]), reader.take(reader.take(1)[0])].map((name) => String.fromCharCode(...name));
  if (!CONTRACT_NAME.test(contract)) reader.refuse("it is of no contract: no name is written like that");
  if (!VARIABLE_NAME.test(variable)) reader.refuse("it is of no state variable: no name is written like that");
  const elements = [];
  for (let tag = reader.take(1)[0]; tag !== 0; tag = reader.take(1)[0]) elements.push(readElement(reader, tag));
  reader.end();
  return { contract, variable, elements };
}

function readElement(reader, tag) {
  if (tag === 1) {
    const value = reader.take(1)[0];
    if (value > 1) reader.refuse("a bool is neither 0 nor 1");
    return value === 1;
  }
  if (tag === 2) return readInteger(reader);
  if (tag !== 3 && tag !== 4) reader.refuse(`no part of a key begins with ${tag}`);
  const bytes = [];
  for (;;) {  // up to 00 01; 00 FF stands for 00
    const byte = reader.take(1)[0];
    if (byte === 0) {
      const follower = reader.take(1)[0];
      if (follower === 1) break;
      if (follower !== 255) reader.refuse("a zero byte is neither escaped nor a stop");
    }
    bytes.push(byte);
  }
  return tag === 3 ? Uint8Array.from(bytes) : reader.text(Uint8Array.from(bytes));
}

/** 80 + n, or 80 - n below zero; then n bytes, complemented below zero. */
function readInteger(reader) {
  const size = reader.take(1)[0] - 0x80;
  const length = Math.abs(size);
  if (length > 32) reader.refuse("an integer is outside 256 bits");
  const digits = toHex(reader.take(length).map((byte) => (size < 0 ? 255 - byte : byte)));
  if (digits.startsWith("00") || (size < 0 && /^0*$/.test(digits))) reader.refuse("an integer is longer than it must be");
  const magnitude = BigInt(`0x${digits || "0"}`);
  return size < 0 ? -magnitude : magnitude;
}

// ── hashes and signatures ───────────────────────────────────────────────

const EMPTY = new Uint8Array(32);
export const LEAF = Uint8Array.of(0);
export const NODE = Uint8Array.of(1);
const QUARTER = Uint8Array.of(2);
const VALUE = Uint8Array.of(3);

export const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));

/** The hash of one kind of thing. */
export function tagged(kind, bytes) {
  const tag = ascii(`quorate.${kind}.v1`);
  return sha256(Uint8Array.of(tag.length), tag, bytes);
}

/** What a signature of a kind covers. */
const signed = (kind, chainId, body) => joined(ascii(`quorate.${kind}`), LEAF, chainId, body);

// Libraries disagree about some signatures; what they could disagree about is refused before one is asked, so that
// every verifier gives the same verdict: S not below the group's order, and points that are not canonical or of small order.
const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const Y_OF_ORDER_8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;
const SMALL_ORDER_Y = new Set([0n, 1n, P - 1n, Y_OF_ORDER_8, P - Y_OF_ORDER_8]);

const littleEndian = (bytes) => BigInt(`0x${toHex(bytes.toReversed())}`);

function isGoodPoint(bytes) {
  const y = littleEndian(bytes) & (2n ** 255n - 1n);
  return y < P && !SMALL_ORDER_Y.has(y);
}

export async function signatureHolds(publicKey, message, signature) {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  if (littleEndian(signature.subarray(32)) >= L || !isGoodPoint(publicKey) || !isGoodPoint(signature.subarray(0, 32))) return false;
  let key;
  try {
    key = await crypto.subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error.name === "NotSupportedError") throw error;  // no verdict at all without Ed25519
    return false;
  }
  return crypto.subtle.verify({ name: "Ed25519" }, key, signature, message);
}

// ── bytes ───────────────────────────────────────────────────────────────

const ascii = (text) => new TextEncoder().encode(text);
const utf8 = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
export const same = (one, other) => one.length === other.length && one.every((byte, place) => byte === other[place]);

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

function fromHex(text) {
  const bytes = new Uint8Array(text.length / 2);
  for (let place = 0; place < bytes.length; place += 1) bytes[place] = Number.parseInt(text.slice(2 * place, 2 * place + 2), 16);
  return bytes;
}

// ── the command: node verify.mjs FILE GENESIS ───────────────────────────

/** No byte of a file moves the cursor of whoever reads about it. */
const inAscii = (text) => text.replace(/[^ -~]/g, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
const plain = (value) => (typeof value === "string" && /^[ -~]*$/.test(value) ? value : inAscii(JSON.stringify(value)));
const spoken = (name, value) => (name === "key" && value.length ? inAscii(value.join(", ")) : plain(value));  // a key's texts are quoted already

/** A file's bytes, and of what is larger than any proof no more than shows it: a device has no end. */
function readAtMost({ openSync, readSync, closeSync }, file) {
  const bytes = new Uint8Array(FILE_BYTES_MAX + 1);
  const opened = openSync(file);
  try {
    let at = 0;
    for (let got = 1; got > 0 && at < bytes.length; at += got) got = readSync(opened, bytes, at, bytes.length - at, null);
    return bytes.subarray(0, at);
  } finally {
    closeSync(opened);
  }
}

/** What a summary leaves out: values, decoded where values.mjs lies beside this file, else the hex of their encoding. */
async function content({ state, event, transaction }) {
  const { decoded } = await import("./values.mjs").catch(() => ({ decoded: (bytes) => ({ $encoded: toHex(bytes) }) }));
  if (state) return { value: state.value === null ? "none: it is absent" : decoded(state.value) };
  if (event) return { fields: decoded(event.fields) };
  if (transaction) return { arguments: transaction.body.calls.map(({ args }) => decoded(args)) };
  return {};
}

async function main(file, ...rest) {
  const fs = await import("node:fs");
  if (!file || rest.length !== (rest[0] === "--header" ? 2 : 1)) {
    console.error("usage: node verify.mjs FILE GENESIS, or: node verify.mjs FILE --header HASH");
    return 2;
  }
  try {
    const trust = rest[0] === "--header" ? trustHeader(rest[1].toLowerCase()) : await trustGenesis(fs.readFileSync(rest[0], "utf8"));
    const data = readAtMost(fs, file);
    const found = await verify(data, trust);
    const told = JSON.parse(utf8(data)).summary;
    console.log(`valid: a proof of kind ${found.kind}, sealed by ${found.signers.length} of ${found.memberCount} validators (${found.signers.join(", ")})`);
    const changed = found.changes.length ? { validators_changed_after: found.changes } : {};
    for (const [name, value] of Object.entries({ ...told, ...changed, ...(await content(found)) })) console.log(`  ${name.padEnd(18)} ${spoken(name, value)}`);
    return 0;
  } catch (error) {
    if (error instanceof Invalid) console.log(`invalid, because ${inAscii(error.message)}`);
    else console.error(`cannot check it: ${error.message}`);
    return error instanceof Invalid ? 1 : 2;
  }
}

if (globalThis.process?.versions?.node) {
  const { realpathSync } = await import("node:fs");
  const { fileURLToPath } = await import("node:url");
  const started = process.argv[1];
  if (started && realpathSync(started) === fileURLToPath(import.meta.url)) main(...process.argv.slice(2)).then((code) => { process.exitCode = code; });  // not awaited: values.mjs imports this file
}
