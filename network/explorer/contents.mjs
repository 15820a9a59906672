// What is in a block: its transactions and their receipts, from the bytes of its record (GET /v1/blocks/H?format=raw), held
// against a header that was verified. That a quorum sealed the header is for verify.mjs to say; here its roots decide.

import { count, data, decode, HASH, HEADER, LEAF, list, MEMBER, NODE, RECEIPT, record, refuse, same, SEAL, sha256, tagged, TRANSACTION, whole } from "./verify.mjs";

const BATCH = record({ epoch: count(), height: count(), view: count(), proposer: MEMBER, time_ms: count(), hashes: list(HASH), since: count() });
const BLOCK = record({ header: whole(HEADER), batch: whole(BATCH), transactions: list(HASH) });
const RECORD = record({ block: BLOCK, bodies: list(data()), receipts: list(data()), seal: SEAL });

/**
 * All transactions of the block with this verified header, each with its receipt, and how many its batch ordered. Nothing
 * is left out of it and nothing added, or it throws `Invalid`. The senders' signatures were checked by whoever sealed it.
 */
export async function contents(bytes, header) {
  const { block, bodies, receipts } = decode("block", bytes, RECORD);
  if (!same(await tagged("header", block.header.raw), header.hash)) refuse("it is another block than the one asked for");
  if (!same(await tagged("batch", block.batch.raw), header.batch_digest)) refuse("its batch is not the one that its header names");
  const hashes = await Promise.all(bodies.map((body) => tagged("transaction.hash", body)));
  await checkRoot("transactions", hashes, header.transactions_root, header.transaction_count);
  await checkRoot("receipts", receipts, header.receipts_root, header.transaction_count);
  const entries = bodies.map((body, place) => ({ transaction: part("transaction", body, TRANSACTION), receipt: part("receipt", receipts[place], RECEIPT) }));
  entries.forEach(({ receipt }, place) => {
    if (receipt.index !== place || !same(receipt.transaction_hash, hashes[place])) refuse(`receipt ${place} is about another transaction`);
  });
  return { entries, ordered: block.batch.hashes.length };
}

/** The header of block 0, which has no seal, out of its record: if it has this hash, which block 1 names. Throws `Invalid`. */
export async function genesisHeader(bytes, hash) {
  const { block } = decode("block", bytes, record({ block: BLOCK, bodies: list(data()), receipts: list(data()), seal: none }));
  const header = { ...block.header, hash: await tagged("header", block.header.raw) };
  if (!same(header.hash, hash)) refuse("block 1 was built on another block 0");
  return header;
}

const none = (reader) => (reader.take(1)[0] === 0xc0 ? null : reader.refuse("block 0 has no seal"));
const part = (name, raw, shape) => ({ ...decode(name, raw, shape), raw });

async function checkRoot(what, items, root, size) {
  if (items.length !== size) refuse(`it has ${items.length} ${what}, its header names ${size}`);
  if (!same(await rootOf(items), root)) refuse(`its ${what} are not those under its header's root`);
}

/** The root of the tree over these leaves (RFC 9162, 2.1.1): pairs, level by level; the last without a pair moves up. */
export async function rootOf(items) {
  if (!items.length) return sha256();
  let level = await Promise.all(items.map((item) => sha256(LEAF, item)));
  while (level.length > 1) {
    const pairs = Array.from({ length: Math.ceil(level.length / 2) }, (_, place) => level.slice(2 * place, 2 * place + 2));
    level = await Promise.all(pairs.map((pair) => (pair.length === 2 ? sha256(NODE, ...pair) : pair[0])));
  }
  return level[0];
}
