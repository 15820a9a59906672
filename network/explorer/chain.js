// Pages of the chain: home, blocks, a block, a transaction. Each takes a place to draw in and returns how to leave.

import { get, onBlock } from "./api.js";
import { badge, card, el, empty, facts, heading, put, svg, table } from "./dom.js";
import * as show from "./format.js";
import { doubt, headerShown, least, mark, proofCard, prove, proveContents, proveGenesis, provenBlocks, receiptShown, said, transactionShown } from "./proven.js";
import { toHex } from "./verify.mjs";

const CHART_BLOCKS = 60;
const ROWS = 12;
const REFRESH_MS = 3000;
const NEW_BLOCKS_MS = 400;  // many blocks a second are fetched, verified and drawn together
const RATE_WINDOW_MS = 30_000;

// ── home ────────────────────────────────────────────────────────────────

export async function home(page) {
  const [list, status] = await Promise.all([provenBlocks(`limit=${CHART_BLOCKS}`), get("/v1/status")]);
  let blocks = list.blocks;
  const verdict = el("span");
  const tiles = el("div.tiles");
  const alerts = el("div");
  const chart = el("div.pad");
  const body = el("tbody");
  const members = el("div");
  const head = ["Height", "Sealed", "Transactions", "Proposer", "Seal", "Hash"].map((title, place) => el(place === 2 ? "th.number" : "th", { scope: "col" }, title));

  put(page, alerts, tiles, el("div.columns", {},
    card("Latest blocks", { more: el("a", { href: "/blocks" }, "All blocks →"), proof: verdict },
      chart, el("div.scroll", {}, el("table", {}, el("thead", {}, el("tr", {}, head)), body))),
    card("Validators", { more: el("a", { href: "/validators" }, "Details →"), proof: said() }, members)));

  let latest = status;
  const draw = () => {
    drawTiles(tiles, latest, blocks);
    verdict.replaceChildren(mark(least(blocks.map((each) => each.verdict))));
    chart.replaceChildren(barChart(blocks));
  };
  const drawRows = (fresh) => body.replaceChildren(...blocks.slice(0, ROWS).map((block, place) => homeRow(block, place < fresh)));
  const refresh = async () => {
    const [now, validators] = await Promise.all([get("/v1/status"), get("/v1/validators")]);
    latest = now;
    members.replaceChildren(...validators.validators.map((member) => memberLine(member, now)));
    alerts.replaceChildren(...warnings(now, validators.validators));
    draw();
  };

  drawRows(0);
  draw();
  await refresh();
  let announced = -1;
  let due = false;
  const catchUp = async () => {
    const top = blocks[0]?.height ?? -1;
    const missing = announced - top;
    announced = -1;
    let { blocks: newest } = await provenBlocks(`limit=${Math.min(CHART_BLOCKS, Math.max(1, missing))}`);
    if (newest.at(-1)?.height > top + 1) ({ blocks: newest } = await provenBlocks(`limit=${CHART_BLOCKS}`));  // it has grown meanwhile
    const fresh = newest.filter(({ height }) => height > top);
    blocks = [...fresh, ...blocks].slice(0, CHART_BLOCKS);
    drawRows(fresh.length);
    draw();
  };
  const soon = () => {
    due = true;
    setTimeout(async () => {
      await catchUp().catch(() => {});
      due = false;
      if (announced >= 0) soon();
    }, NEW_BLOCKS_MS);
  };
  const stop = onBlock(({ height }) => {
    announced = Math.max(announced, height);
    if (!due) soon();
  });
  const timer = setInterval(() => refresh().catch(() => {}), REFRESH_MS);
  return () => { stop(); clearInterval(timer); };
}

const nameOf = (member, status) =>
  member === status.member ? status.name : status.peers.find((peer) => peer.member === member)?.name ?? "";

function drawTiles(tiles, status, blocks) {
  const top = blocks[0];
  const recent = blocks.filter((block) => top && top.time_ms - block.time_ms < RATE_WINDOW_MS && block.height > 0);
  const span = recent.length > 1 ? (recent[0].time_ms - recent[recent.length - 1].time_ms) / 1000 : 0;
  const count = recent.slice(0, -1).reduce((sum, block) => sum + block.transaction_count, 0);
  const rate = span > 0 ? count / span : 0;
  const idle = top && Date.now() - top.time_ms > 10_000;
  const calm = status.mempool.transactions ? "transactions wait, and no block is sealed" : "blocks are made when there is work";
  tiles.replaceChildren(
    tile("Sealed height", top ? show.number(top.height) : "none yet", ["block ", top ? show.when(top.time_ms) : "none yet"], top ? mark(top.verdict) : said()),
    tile("Throughput", idle || !rate ? "idle" : `${rate < 10 ? rate.toFixed(1) : show.number(Math.round(rate))} tx/s`, idle || !rate ? calm : `over the last ${show.plural(recent.length, "block")}`, mark(least(blocks.map((each) => each.verdict)))),
    tile("Primary", nameOf(status.primary, status) || `member ${status.primary}`, status.changing_view ? "view change under way" : `view ${show.number(status.view)}`, said()),
    tile("Waiting", show.number(status.mempool.transactions), `${show.bytes(status.mempool.bytes)} in the mempool`, said()));
}

const tile = (label, figure, note, proof) => el("div.tile", {}, el("div.label", {}, label), el("div.figure", { title: figure }, figure), el("div.note", {}, note, " ", proof));

function warnings(status, members) {
  const found = [];
  if (status.halted) found.push(el("div.banner.bad", { role: "alert" }, `This node has stopped: ${status.halted}`));
  else if (status.silence) found.push(el("div.banner", { role: "status" }, `This node does not vote at present: ${status.silence}`));
  const away = members.filter((member) => !member.connected);
  if (!away.length) return found;
  const power = (some) => some.reduce((sum, member) => sum + member.power, 0);
  const quorum = quorumOf(power(members));
  const reached = power(members) - power(away);
  const names = `${away.map((member) => member.name).join(", ")} ${away.length === 1 ? "is" : "are"} not connected to this node`;
  if (reached >= quorum) found.push(el("div.banner", { role: "status" }, `${names}.`));
  else found.push(el("div.banner.bad", { role: "alert" }, `${names}: it reaches power ${show.number(reached)} of ${show.number(power(members))}, and a quorum is ${show.number(quorum)}. Where the others reach no more, nothing is sealed.`));
  return found;
}

/** The power that certifies: all but the most that may be faulty, which is less than a third. */
export const quorumOf = (total) => total - Math.floor((total - 1) / 3);

function barChart(blocks) {
  const shown = blocks.slice(0, CHART_BLOCKS).reverse();
  const most = Math.max(1, ...shown.map((block) => block.transaction_count));
  const width = 100 / CHART_BLOCKS;
  const offset = CHART_BLOCKS - shown.length;
  const bars = Array.from({ length: CHART_BLOCKS }, (_, place) => {
    const block = shown[place - offset];
    const height = block?.transaction_count ? Math.max(4, (block.transaction_count / most) * 70) : 2;
    const bar = svg("rect", { x: (place * width + width * 0.14).toFixed(3), y: (74 - height).toFixed(2), width: (width * 0.72).toFixed(3), height: height.toFixed(2), rx: 0.3, class: block?.transaction_count ? "" : "empty" });
    if (block) bar.append(svg("title", {}, `Block ${show.number(block.height)}: ${show.plural(block.transaction_count, "transaction")}`));
    return bar;
  });
  return svg("svg", { class: "chart", viewBox: "0 0 100 74", preserveAspectRatio: "none", role: "img", "aria-label": "Transactions in the latest blocks" }, ...bars);
}

const homeRow = (block, fresh) => el(fresh ? "tr.fresh" : "tr", {},
  el("td", {}, show.blockLink(block.height)),
  el("td.muted", {}, block.height ? show.when(block.time_ms) : "genesis"),
  el("td.number", {}, show.number(block.transaction_count)),
  el("td", {}, block.height ? block.proposer_name || `member ${block.proposer}` : "—"),
  el("td", {}, sealBadge(block)),
  el("td", {}, show.hash(block.hash, { href: `/block/${block.hash}`, copyable: false })));

const sealBadge = (block) => (block.height ? badge(show.plural(block.signers, "signer")) : badge("genesis"));

export function memberLine(member, status) {
  const highest = Math.max(status.sealed_height, ...status.peers.map((peer) => peer.sealed_height));
  const behind = member.connected ? highest - member.sealed_height : 0;
  const peer = status.peers.find((other) => other.member === member.member);
  const state = !member.connected ? "not connected" : behind > 2 ? `${show.number(behind)} blocks behind` : member.self ? "this node" : `up to date · ${peer ? peer.round_trip_ms.toFixed(1) : "?"} ms`;
  return el("div.member", {},
    el(!member.connected ? "span.dot.off" : behind > 2 ? "span.dot.behind" : "span.dot"),
    el("div.who", {}, el("b", {}, member.name), member.primary ? badge("primary", "accent") : null, el("div.state", {}, state)),
    el("div.right", {}, el("div", {}, member.connected || member.sealed_height ? show.number(member.sealed_height) : "—"), el("div.muted.small", {}, `power ${show.number(member.power)}`)));
}

// ── blocks ──────────────────────────────────────────────────────────────

export async function blocks(page, _, query) {
  const before = query.get("before");
  const list = await provenBlocks(`limit=25${before ? `&before=${encodeURIComponent(before)}` : ""}`);
  const verdict = least(list.blocks.map((each) => each.verdict));
  const columns = [{ title: "Height" }, { title: "Sealed" }, { title: "Transactions", number: true }, { title: "Gas", number: true }, { title: "Proposer" }, { title: "View", number: true }, { title: "Seal" }, { title: "Hash" }];
  const rows = list.blocks.map((block) => el("tr", {},
    el("td", {}, show.blockLink(block.height)),
    el("td.muted", {}, block.height ? show.when(block.time_ms) : "genesis"),
    el("td.number", {}, show.number(block.transaction_count)),
    el("td.number.muted", {}, show.number(block.gas_used)),
    el("td", {}, block.height ? block.proposer_name || `member ${block.proposer}` : "—"),
    el("td.number.muted", {}, show.number(block.batch_view)),
    el("td", {}, sealBadge(block)),
    el("td", {}, show.hash(block.hash, { href: `/block/${block.hash}` }))));
  put(page,
    heading("Chain", "Blocks", { sub: "Newest first; this node may have more than it shows" }),
    doubt(verdict),
    card("Blocks", { proof: mark(verdict) }, table(columns, rows), pager("/blocks", before, list.next_before)));
}

export function pager(path, before, next) {
  if (!before && next === null) return null;
  return el("div.pager", {},
    el("a.button", { href: path, disabled: !before }, "Newest"),
    el("a.button", { href: `${path}?before=${next}`, disabled: next === null }, "Older →"));
}

export async function block(page, name) {
  const found = await get(`/v1/blocks/${encodeURIComponent(name)}`);
  const { batch } = found;
  const download = { href: `/v1/proofs/header/${found.header.height}`, name: `block-${found.header.height}.json` };
  const asked = (proof) => [String(proof.header.height), toHex(proof.header.hash)].includes(/^\d{1,16}$/.test(name) ? String(Number(name)) : name.toLowerCase());
  const sealed = found.header.height > 0;
  const verdict = sealed ? await prove(download.href, asked) : await proveGenesis();
  const header = verdict.state === "verified" ? headerShown(verdict.found.header) : found.header;
  const inside = sealed ? await proveContents(verdict) : verdict;
  const proven = sealed && inside.state === "verified";
  const entries = proven ? inside.found.entries.map((entry) => ({ transaction: transactionShown(entry), receipt: receiptShown(entry.receipt) })) : found.transactions;
  const ordered = proven ? inside.found.ordered : batch.hashes.length;
  const proposer = verdict.state === "verified" ? verdict.found.members[header.batch_proposer]?.name : found.proposer_name;
  const neighbours = [
    el("a.button", { href: `/block/${header.height - 1}`, disabled: header.height === 0 }, "← Previous"),
    el("a.button", { href: `/block/${header.height + 1}`, disabled: header.height >= found.sealed_height }, "Next →")];
  put(page,
    heading("Block", show.number(header.height), { sub: [mark(verdict, "header"), " ", header.height ? show.when(header.time_ms) : "the genesis block", " · ", show.date(header.time_ms)], actions: neighbours }),
    doubt(verdict),
    card("Header", { proof: mark(verdict) }, facts([
      ["Hash", show.hash(header.hash, { full: true })],
      ["Previous block", header.height ? show.hash(header.previous_hash, { href: `/block/${header.height - 1}`, full: true }) : "none"],
      ["Time", `${show.utc(header.time_ms)} (${header.time_ms} ms)`],
      ["Transactions", `${show.number(header.transaction_count)}${ordered > header.transaction_count ? ` executed of ${show.number(ordered)} ordered` : ""}`],
      ["Gas used", show.number(header.gas_used)],
      ["Proposed by", header.height ? `${proposer || `member ${header.batch_proposer}`} in view ${header.batch_view}, epoch ${header.epoch}` : "every member, beforehand"],
      ["State root", show.hash(header.state_root, { full: true })],
      ["Transactions root", show.hash(header.transactions_root, { full: true })],
      ["Receipts root", show.hash(header.receipts_root, { full: true })],
      ["Batch digest", show.hash(header.batch_digest, { full: true })],
      ["Validators", show.hash(header.validators_hash, { full: true })]])),
    sealed ? proofCard(verdict, download) : card("Seal", { proof: mark(verdict) }, el("div.pad.muted", {}, "The genesis block has no seal: every member started from it, and block 1 names its hash.")),
    card("Transactions", { count: entries.length, proof: mark(inside) }, transactionTable(entries)));
}

function transactionTable(entries) {
  if (!entries.length) return empty("No transactions", "An empty block fills a gap that a view change left, or closes an epoch.");
  const columns = [{ title: "#" }, { title: "Outcome" }, { title: "Transaction" }, { title: "Sender" }, { title: "Calls" }, { title: "Gas", number: true }];
  return table(columns, entries.map(({ transaction, receipt }) => el("tr", {},
    el("td.muted", {}, String(receipt.index)),
    el("td", {}, outcome(receipt.code)),
    el("td", {}, show.transactionLink(transaction.id)),
    el("td", {}, show.accountLink(transaction.sender)),
    el("td.wide", {}, callNames(transaction.calls)),
    el("td.number.muted", {}, show.number(receipt.gas_used)))));
}

export const outcome = (code) => badge(code.replaceAll("_", " "), code === "ok" ? "good" : "bad");

export function callNames(calls) {
  const names = calls.slice(0, 3).map((call) => `${call.contract}.${call.method}`);
  return el("span.mono", {}, names.join(", ") + (calls.length > 3 ? ` and ${calls.length - 3} more` : ""));
}

// ── a transaction ───────────────────────────────────────────────────────

export async function transaction(page, id) {
  const found = await get(`/v1/transactions/${encodeURIComponent(id)}?proof=false`);
  if (found.state !== "sealed") return pending(page, found, await interfaces(found.transaction.calls));
  const download = { href: `/v1/transactions/${found.id}/receipt`, name: `receipt-${found.id.slice(0, 16)}.json` };
  const verdict = await prove(`/v1/proofs/transaction/${found.id}`, (proof) => toHex(proof.receipt.transaction_id) === id.toLowerCase().replace(/^0x/, ""));
  const proven = verdict.state === "verified";
  const body = proven ? transactionShown(verdict.found) : found.transaction;
  const receipt = proven ? receiptShown(verdict.found.receipt) : found.receipt;
  const timeMs = proven ? verdict.found.header.time_ms : found.time_ms;
  const contracts = await interfaces(body.calls, receipt);
  const upgraded = body.calls.some((call) => contracts.get(call.contract)?.later);
  const naming = upgraded ? "a contract was upgraded since: its arguments have no names here" : "arguments are named as this node names them";
  put(page,
    heading("Transaction", show.short(found.id, 16, 12), {
      mono: true,
      sub: [outcome(receipt.code), " ", mark(verdict), receipt.code === "ok" ? " sealed in block " : " failed in block ", show.blockLink(receipt.height), ", ", show.when(timeMs)],
      actions: el("a.button.primary", { href: download.href, download: download.name }, "↓ Download receipt"),
    }),
    doubt(verdict),
    receipt.code === "ok" ? null : failure(receipt, contracts),
    card("Calls", { count: body.calls.length, proof: mark(verdict), more: el("span.muted.small", {}, naming) }, el("div", {}, body.calls.map((call, place) => callBlock(call, contracts, receipt.results[place], receipt.code === "ok")))),
    receipt.events.length ? card("Events", { count: receipt.events.length, proof: mark(verdict) }, el("div", {}, receipt.events.map((event, place) => eventBlock(event, found.id, place)))) : null,
    card("Transaction", { proof: mark(verdict) }, facts([
      ["Id", show.hash(found.id, { full: true })],
      ["Hash", show.hash(body.hash, { full: true })],
      ["Sender", show.accountLink(body.sender, { full: true })],
      ["Block", el("span", {}, show.blockLink(receipt.height), `, place ${receipt.index}`)],
      ["Time", `${show.utc(timeMs)} · ${show.date(timeMs)}`],
      ["Gas", `${show.number(receipt.gas_used)} used of ${show.number(body.gas_limit)} allowed`],
      ["Valid until", `height ${show.number(body.valid_until)}`],
      ["Salt", show.hash(body.salt, { full: true })],
      ["Signature", show.hash(body.signature, { full: true })]])),
    proofCard(verdict, download));
  return undefined;
}

function pending(page, found, contracts) {
  const body = found.transaction;
  put(page,
    heading("Transaction", show.short(found.id, 16, 12), { mono: true, sub: [badge("pending", "warn"), " waits for a block; this page follows it"] }),
    card("Calls", { count: body.calls.length, proof: said() }, el("div", {}, body.calls.map((call) => callBlock(call, contracts, undefined, false)))),
    card("Transaction", { proof: said() }, facts([["Id", show.hash(found.id, { full: true })], ["Sender", show.accountLink(body.sender, { full: true })], ["Valid until", `height ${show.number(body.valid_until)}`]])));
  let left = false;
  const stop = onBlock(async () => {
    const now = await get(`/v1/transactions/${found.id}?proof=false`).catch(() => null);
    if (left || now?.state !== "sealed") return;
    stop();
    page.replaceChildren();
    await transaction(page, found.id);
  });
  return () => { left = true; stop(); };
}

function failure(receipt, contracts) {
  const place = `${receipt.contract}, line ${receipt.line}`;
  const linked = () => el("a", { href: `/contract/${encodeURIComponent(receipt.contract)}?line=${receipt.line}#L${receipt.line}` }, place);
  const where = receipt.line ? [" · ", contracts.get(receipt.contract)?.later ? `${place} of an earlier version` : linked()] : "";
  return el("div.banner.bad", {}, receipt.message || `It ended with ${receipt.code}.`, where, el("div.small", {}, "The transaction changed nothing; its gas is spent."));
}

/** The contracts of some calls as they are now; one that was upgraded after the receipt's block is `later`, and names nothing of it. */
async function interfaces(calls, receipt = null) {
  const names = [...new Set([...calls.map((call) => call.contract), ...(receipt?.contract ? [receipt.contract] : [])])];
  const found = await Promise.all(names.map((name) => get(`/v1/contracts/${encodeURIComponent(name)}`).catch(() => null)));
  const then = (known) => (known && receipt && known.deployed_height > receipt.height ? { ...known, methods: [], later: true } : known);
  return new Map(names.map((name, place) => [name, then(found[place])]));
}

function callBlock(call, contracts, result, done) {
  const known = contracts.get(call.contract);
  const method = known?.methods.find((item) => item.name === call.method);
  const args = Array.isArray(call.args) ? call.args : [call.args];
  const list = el("dl.arguments", {}, args.map((arg, place) => [el("dt", {}, method?.parameters[place]?.name ?? `argument ${place}`), el("dd", {}, argument(arg))]));
  if (done) list.append(el("dt", {}, "→ returned"), el("dd", {}, show.value(result ?? null)));
  return el("div.call", {}, el("div.signature", {}, known ? show.contractLink(call.contract) : call.contract, ".", el("span.method", {}, call.method)), list);
}

function argument(arg) {
  if (typeof arg === "string" && arg.includes("\n")) {
    const details = el("details", {}, el("summary", {}, `${show.plural(arg.split("\n").length, "line")} of text`));
    details.append(show.source(arg));
    return details;
  }
  return show.value(arg);
}

function eventBlock(event, id, place) {
  const fields = event.fields && event.fields.constructor === Object ? Object.entries(event.fields) : [["fields", event.fields]];
  return el("div.call", {},
    el("div.signature", {}, show.contractLink(event.contract), ".", el("span.method", {}, event.name),
      el("a.aside", { href: `/v1/proofs/event/${id}/${place}`, download: `event-${id.slice(0, 16)}-${place}.json`, title: "A file that proves this event" }, "↓ proof")),
    el("dl.arguments", {}, fields.map(([name, item]) => [el("dt", {}, name), el("dd", {}, show.value(item))])));
}
