// What the explorer believes: proof files fetched from the node and verified here, before anything in them is shown.
//
// It trusts the genesis that this node names, and remembers its chain id: a node that names another one later is not
// believed until a person says so. That finds mistakes, damage and mix-ups. A node that means to lie could serve other
// scripts than these; who has to be safe from that keeps the file and verifies it elsewhere.

import { get } from "./api.js";
import { contents, genesisHeader } from "./contents.mjs";
import { card, el } from "./dom.js";
import * as show from "./format.js";
import { decoded } from "./values.mjs";
import { Invalid, toHex, trustGenesis, verify } from "./verify.mjs";

const REMEMBERED = "quorate.chain";

/** Why nothing can be verified at all, in words for people. */
class NoVerdict extends Error {}

// ── trust ───────────────────────────────────────────────────────────────

let asked = null;

/** The trust in the genesis that this node names, asked once. Throws `NoVerdict`. */
export function trustInThisNode() {
  asked ??= believe().catch((error) => { asked = null; throw error; });
  return asked;
}

async function believe() {
  if (!globalThis.crypto?.subtle) throw new NoVerdict("this browser lets only pages that came over HTTPS, or from this machine, check signatures");
  const trust = await trustGenesis(await (await fetch("/v1/genesis?format=file")).text());
  const named = toHex(trust.chainId);
  const before = remembered();
  if (before && before !== named) throw new NoVerdict(`this node names chain ${show.short(named)}, and before it was ${show.short(before)}`);
  remember(named);
  return trust;
}

function remembered() {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null;  // a browser that keeps nothing
  }
}

function remember(chain) {
  try {
    localStorage.setItem(REMEMBERED, chain);
  } catch {
    // then every visit is the first
  }
}

/** A banner where the node names another chain than before, else null. */
export async function chainBanner(chain, onTrusted) {
  const before = remembered();
  if (!before || before === chain) return null;
  const trust = () => { remember(chain); asked = null; onTrusted(); };
  return el("div.banner", { role: "alert" },
    `This node names another chain than on your last visit: ${show.short(chain)}, and then it was ${show.short(before)}. Nothing is verified until you trust it. `,
    el("button.button", { type: "button", onclick: trust }, "Trust this chain"));
}

// ── verdicts ────────────────────────────────────────────────────────────

/**
 * The verdict on a proof file that the node is asked for. `isAbout` says whether what it proves is what was asked.
 * {state: "verified", found, trust}, {state: "invalid", why}, or {state: "unchecked", why}; problems of the node are thrown.
 */
export async function prove(path, isAbout) {
  const text = await getText(path);
  const verdict = await judge(new TextEncoder().encode(text), trustInThisNode);
  if (verdict.state === "verified" && !isAbout(verdict.found)) return { state: "invalid", why: "it proves something else than was asked for", text };
  return { ...verdict, text };
}

/** The verdict on what stands at a place of the state: `found.state.value` is its encoding, null for nothing. */
export function proveState(contract, variable, elements, height = null) {
  const path = [contract, variable, ...elements].map((each) => encodeURIComponent(String(each))).join("/");
  const isAsked = ({ state, header }) => isAt(state, contract, variable, elements.map(String)) && (height === null || header.height === height);
  return prove(`/v1/proofs/state/${path}${height === null ? "" : `?height=${height}`}`, isAsked).catch((problem) => {
    if (problem.code === "no_proof") return { state: "unchecked", why: problem.message };  // at height 0 there is no seal yet
    throw problem;
  });
}

/** Whether a proven place is the one that was asked for, in words. */
function isAt(state, contract, variable, texts) {
  const same = (element, text) => {
    if (element instanceof Uint8Array) return toHex(element) === text.toLowerCase();
    if (typeof element === "bigint") return /^-?\d+$/.test(text) && BigInt(text) === element;
    return String(element) === text;
  };
  return state?.contract === contract && state.variable === variable && state.elements.length === texts.length && state.elements.every((element, place) => same(element, texts[place]));
}

/** The same for a file at hand, and a trust of one's own choice. */
export async function judge(data, trustOf) {
  try {
    const trust = await trustOf();
    return { state: "verified", found: await verify(data, trust), trust };
  } catch (error) {
    if (error instanceof Invalid) return { state: "invalid", why: error.message };
    if (error instanceof NoVerdict) return { state: "unchecked", why: error.message };
    if (error.name === "NotSupportedError") return { state: "unchecked", why: "this browser cannot check Ed25519 signatures; newer ones can" };
    throw error;
  }
}

async function getText(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } }).catch(() => null);
  if (!answer?.ok) await get(path);  // the same again, for its way of saying what is wrong
  return answer.text();
}

// ── lists of blocks, and what is in one ─────────────────────────────────

const NO_WITNESS = "block 0 has no seal, and there is no block 1 yet that vouches for it";
const KNOWN_MAX = 1000;
const known = new Map();  // verdicts on headers by hash: what was verified once is not verified again

/** A page of blocks, each as its verified header has it; where it could not be verified, as the node says, with that verdict. */
export async function provenBlocks(query) {
  const page = await get(`/v1/blocks?proof=true&${query}`);
  const blocks = [];
  for (const line of page.blocks) blocks.push(line.height ? await provenBlock(line) : await provenGenesis(line, blocks.at(-1)));
  return { ...page, blocks };
}

async function provenBlock({ proof, ...told }) {
  const verdict = known.get(told.hash) ?? (await verdictOnHeader(told, proof));
  if (verdict.state !== "verified") return { ...told, verdict };
  if (known.size >= KNOWN_MAX) known.clear();
  known.set(told.hash, verdict);
  const { header, members, signers } = verdict.found;
  const { height, time_ms, transaction_count, gas_used, batch_view, batch_proposer } = header;
  return { height, hash: toHex(header.hash), time_ms, transaction_count, gas_used, batch_view, proposer: batch_proposer, proposer_name: members[batch_proposer]?.name ?? "", signers: signers.length, verdict };
}

async function verdictOnHeader(told, proof) {
  if (!proof) return { state: "unchecked", why: "the node gave no proof" };
  const verdict = await judge(new TextEncoder().encode(`${JSON.stringify(proof, null, 2)}\n`), trustInThisNode);
  if (verdict.state !== "verified") return verdict;
  const { header } = verdict.found;
  return header.height === told.height && toHex(header.hash) === told.hash ? verdict : { state: "invalid", why: "it proves another block than the one beside it" };
}

/** Block 0 has no seal: the block above it, which names its hash, vouches for it. */
async function provenGenesis(told, above) {
  const first = above?.height === 1 ? above : await firstBlock();
  const row = { height: 0, hash: told.hash, time_ms: told.time_ms, transaction_count: 0, gas_used: 0, batch_view: 0, proposer: 0, proposer_name: "", signers: 0 };
  if (!first) return { ...row, verdict: { state: "unchecked", why: NO_WITNESS } };
  if (first.verdict.state !== "verified") return { ...row, verdict: first.verdict };
  const named = toHex(first.verdict.found.header.previous_hash);
  return { ...row, verdict: named === told.hash ? first.verdict : { state: "invalid", why: "block 1 was built on another block 0" } };
}

async function firstBlock() {
  const { blocks } = await get("/v1/blocks?proof=true&before=2&limit=1");
  return blocks[0]?.height === 1 ? provenBlock(blocks[0]) : null;
}

/** The verdict on the header of block 0: `found` is that of block 1, but for the header. */
export async function proveGenesis() {
  const first = await firstBlock();
  if (!first) return { state: "unchecked", why: NO_WITNESS };
  if (first.verdict.state !== "verified") return first.verdict;
  const answer = await fetch("/v1/blocks/0?format=light").catch(() => null);
  if (!answer?.ok) return { state: "unchecked", why: "the node did not give block 0" };
  try {
    const header = await genesisHeader(new Uint8Array(await answer.arrayBuffer()), first.verdict.found.header.previous_hash);
    return { ...first.verdict, found: { ...first.verdict.found, header } };
  } catch (error) {
    if (error instanceof Invalid) return { state: "invalid", why: error.message };
    throw error;
  }
}

/** The verdict on a whole block whose header was verified: `found` has its entries and how many were ordered. */
export async function proveContents(verdict) {
  if (verdict.state !== "verified") return verdict;
  const { header } = verdict.found;
  const answer = await fetch(`/v1/blocks/${toHex(header.hash)}?format=raw`).catch(() => null);
  if (!answer?.ok) return { state: "unchecked", why: "the node did not give the whole block" };
  try {
    const found = await contents(new Uint8Array(await answer.arrayBuffer()), header);
    return { state: "verified", found: { ...found, signers: verdict.found.signers }, trust: verdict.trust };
  } catch (error) {
    if (error instanceof Invalid) return { state: "invalid", why: error.message };
    throw error;
  }
}

/** Of several verdicts, the one that says least: what is shown together is verified when all of it is. */
export const least = (verdicts) => ["invalid", "unchecked", "verified"].map((state) => verdicts.find((each) => each.state === state)).find(Boolean) ?? { state: "genesis" };

// ── how it is shown ─────────────────────────────────────────────────────

/** A badge beside what one node says, and no proof. */
export const said = (what = "as this node says") => el("span.badge", { data: { proof: "said" }, title: "Nothing proves it. Another node may be asked the same." }, what);

/** A badge that says whether something was verified here; `what`, where that is only a part of what stands beside it. */
export function mark(verdict, what = "") {
  const data = { proof: verdict.state };
  if (verdict.state === "genesis") return el("span.badge.good", { data, title: "It follows from the genesis." }, "✓ of the genesis");
  if (verdict.state === "verified") return el("span.badge.good", { data, title: `Your browser checked it, up to the signatures of ${verdict.found.signers.join(", ")}.` }, `✓ ${what} verified here`.replace("  ", " "));
  return el(verdict.state === "invalid" ? "span.badge.bad" : "span.badge.warn", { data, title: show.sentence(verdict.why) }, verdict.state === "invalid" ? "proof refused" : "not verified");
}

/** What there is to say when nothing was verified; null when it was. */
export function doubt(verdict) {
  if (verdict.state === "verified" || verdict.state === "genesis") return null;
  if (verdict.state === "invalid") return el("div.banner.bad", { role: "alert" }, `What this node says here is not proven: its proof is invalid, because ${verdict.why}.`);
  return el("div.banner", { role: "status" }, `What follows is what this node says, not verified: ${verdict.why}.`);
}

/** The chain of proof, link by link, as far as a verdict goes. */
export function proofCard(verdict, download) {
  const more = download ? el("a", { href: download.href, download: download.name }, "↓ file for quorate verify") : null;
  if (verdict.state !== "verified") return card("Proof", { more, proof: mark(verdict) }, el("div.pad", {}, show.sentence(verdict.why)));
  const links = steps(verdict).map(([title, ...text]) => el("li", {}, el("b", {}, title), el("span", {}, ...text)));
  return card("Proof", { more, proof: mark(verdict) }, el("ol.steps", {}, links));
}

function steps({ found, trust }) {
  const { header, transaction, receipt, state } = found;
  const told = [];
  if (transaction) told.push(["Signed", "by its sender, for this chain"]);
  if (transaction) told.push(["In the block", `transaction and receipt are at place ${receipt.index} among ${header.transaction_count}, from 0 on, under the header's roots`]);
  else if (receipt) told.push(["In the block", `the receipt is at place ${receipt.index} among ${header.transaction_count}, from 0 on, under the header's root`]);
  if (state) told.push(["In the state", `${state.value === null ? "nothing stands" : "the value stands"} at this key, ${show.plural(state.levels.length, "level")} below the state root`]);
  told.push(["Sealed", `header ${show.short(toHex(header.hash))} by ${found.signers.join(", ")}: ${found.signers.length} of ${found.memberCount}, a quorum`]);
  if (found.changes.length) told.push(["Followed", `the validators changed after ${found.changes.length === 1 ? "block" : "blocks"} ${found.changes.slice(-5).map(show.number).join(", ")}: each time the set before named the next`]);
  told.push(["Trusted", trust.chainId ? `these are the validators of chain ${show.short(toHex(trust.chainId))}${trust.own ? ", of your genesis file" : ", as this node names it: compare it with one you were given"}` : "from the header that you named"]);
  return told;
}

// ── what was proven, in the API's shapes ────────────────────────────────

export function headerShown(header) {
  return Object.fromEntries(Object.entries(header).map(([name, item]) => [name, item instanceof Uint8Array ? toHex(item) : item]));
}

export function transactionShown({ transaction, receipt }) {
  const { body } = transaction;
  return {
    id: toHex(receipt.transaction_id),
    hash: toHex(receipt.transaction_hash),
    sender: toHex(body.sender),
    calls: body.calls.map((call) => ({ ...call, args: decoded(call.args) })),
    gas_limit: body.gas_limit,
    valid_until: body.valid_until,
    salt: toHex(body.salt),
    signature: toHex(transaction.signature),
  };
}

export const eventShown = (event) => ({ ...event, fields: decoded(event.fields) });

export function receiptShown(receipt) {
  const { code, message, contract, line, gas_used, height, index } = receipt;
  return { code, message, contract, line, gas_used, height, index, results: receipt.results.map(decoded), events: receipt.events.map(eventShown) };
}

export { decoded };
