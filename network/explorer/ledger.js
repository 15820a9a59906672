// Pages of what is on the chain: contracts, one contract with its views, accounts, validators, and the API itself.

import { get, post } from "./api.js";
import { callNames, memberLine, outcome, pager, quorumOf } from "./chain.js";
import { badge, card, el, empty, facts, heading, put, table } from "./dom.js";
import * as show from "./format.js";
import { decoded, doubt, mark, prove, proveState, said, trustInThisNode } from "./proven.js";
import { toHex } from "./verify.mjs";

// ── contracts ───────────────────────────────────────────────────────────

export async function contracts(page) {
  const { contracts: found } = await get("/v1/contracts");
  put(page, heading("Chain", "Contracts", { sub: [`${show.plural(found.length, "contract")} on this network `, said("as this node says; open one to verify it")] }));
  if (!found.length) {
    put(page, el("section.card", {}, empty("No contracts yet", "Deploy one with: quorate deploy FILE --key KEY")));
    return;
  }
  put(page, el("div.cards", {}, found.map((contract) => el("a.tile.link", { href: `/contract/${encodeURIComponent(contract.name)}` },
    el("h3", {}, contract.name),
    el("p", {}, firstParagraph(contract.doc) || "No description."),
    el("span.badges", {},
      badge(show.plural(kind(contract, "call").length, "call")),
      badge(show.plural(kind(contract, "view").length, "view")),
      badge(isSystem(contract) ? "system" : `version ${contract.version}`, isSystem(contract) ? "accent" : ""))))));
}

const kind = (contract, name) => contract.methods.filter((method) => method.kind === name);
const isSystem = (contract) => !contract.owner;
const firstParagraph = (text) => text.split(/\n\s*\n/)[0];
const parameters = (items) => items.map((item) => `${item.name}: ${item.type}`).join(", ");

export async function contract(page, name, query) {
  const found = await get(`/v1/contracts/${encodeURIComponent(name)}`);
  const marked = Number(query.get("line")) || 0;
  const [record, source] = await provenContract(name);
  if (record.state === "verified") Object.assign(found, record.shown);
  if (source.state === "verified") found.source = source.shown;
  const reads = () => said("as this node reads the source");
  const methods = (title, which, body) => kind(found, which).length ? card(title, { count: kind(found, which).length, proof: reads() }, el("div", {}, kind(found, which).map(body))) : null;
  put(page,
    heading("Contract", name, { sub: [firstParagraph(found.doc), " ", reads()] }),
    record.state === "native" ? null : doubt(record),
    card("About", { proof: record.state === "native" ? said("a part of the program; nothing to prove") : mark(record) }, facts([
      ["Owner", isSystem(found) ? "the network itself" : show.accountLink(found.owner, { full: true })],
      ["Version", el("span", {}, String(found.version), ...(found.deployed_height ? [" · deployed in block ", show.blockLink(found.deployed_height)] : []))],
      ["Code hash", show.hash(found.code_hash, { full: true })]])),
    methods("Views", "view", (method) => methodBlock(method, viewForm(found.name, method))),
    methods("Calls", "call", (method) => methodBlock(method)),
    methods("Constructor", "init", (method) => methodBlock(method)),
    found.state.length ? card("State", { count: found.state.length, proof: reads() }, el("div", {}, found.state.map((item) => stateBlock(found.name, item)))) : null,
    found.events.length ? card("Events", { count: found.events.length, proof: reads() }, el("div", {}, found.events.map((event) => el("div.call", {}, el("div.signature", {}, el("span.method", {}, event.name), `(${parameters(event.fields)})`))))) : null,
    found.source ? card("Source", { count: show.plural(found.source.trimEnd().split("\n").length, "line"), proof: mark(source) }, show.source(found.source, marked)) : null);
  if (marked) document.getElementById(`L${marked}`)?.scrollIntoView({ block: "center" });
}

/** Verdicts on a contract's record and on the source of its version, which the system contract keeps in the state. */
async function provenContract(name) {
  if (name === "system") return [{ state: "native" }, { state: "native" }];
  const record = await proveState("system", "contracts", [name]);
  if (record.state !== "verified") return [record, record];
  const { state, header } = record.found;
  if (state.value === null) return Array(2).fill({ state: "invalid", why: "the state has no contract of this name" });
  const { version: number, code_hash: code, owner, height } = decoded(state.value);
  const source = await proveState("system", "sources", [name, number], header.height);
  const kept = source.state === "verified" && source.found.state.value !== null ? decoded(source.found.state.value) : null;
  return [
    { ...record, shown: { version: number, code_hash: code.$bytes, owner, deployed_height: height } },
    kept || source.state !== "verified" ? { ...source, shown: kept?.source } : { state: "invalid", why: `the state has no version ${number} of this contract` }];
}

function methodBlock(method, form) {
  return el("div.call", {},
    el("div.signature", {}, el("span.method", {}, method.name), `(${parameters(method.parameters)})`, method.returns ? ` → ${method.returns}` : ""),
    method.doc ? el("div.doc", {}, method.doc) : null,
    form);
}

function viewForm(contractName, method) {
  const inputs = method.parameters.map((item) => el("input", { placeholder: `${item.name}: ${item.type}`, "aria-label": item.name, spellcheck: "false", autocomplete: "off" }));
  const output = el("output", { "aria-live": "polite" });
  const run = async (event) => {
    event.preventDefault();
    try {
      const args = inputs.map((input, place) => readArgument(input.value, method.parameters[place]));
      const answer = await post("/v1/view", { contract: contractName, method: method.name, args });
      output.replaceChildren(el("div", {}, show.value(answer.value)), el("div.note", {}, said("as this node computes it"), ` at height ${show.number(answer.height)}, ${show.number(answer.gas_used)} gas`));
    } catch (problem) {
      output.replaceChildren(el("div.fault", {}, show.sentence(problem.message)));
    }
  };
  return el("form.run", { onsubmit: run }, inputs, el("button.button", { type: "submit" }, "Run"), output);
}

function readArgument(text, { name, type }) {
  const trimmed = text.trim();
  if (type === "str") return text;
  if (type === "bytes") return { $bytes: trimmed };
  if (type === "int") {
    if (!/^-?\d+$/.test(trimmed)) throw new Error(`${name} is an integer, such as 42.`);
    return Number.isSafeInteger(Number(trimmed)) ? Number(trimmed) : { $int: trimmed };
  }
  try {
    return JSON.parse(trimmed);
  } catch {
    throw new Error(`${name} is ${type}: write it as JSON.`);
  }
}

function stateBlock(contractName, variable) {
  const keys = keyTypes(variable.type);
  const inputs = keys.map((type, place) => el("input", { placeholder: `key${keys.length > 1 ? ` ${place + 1}` : ""}: ${type}`, "aria-label": `key ${place + 1}`, spellcheck: "false", autocomplete: "off" }));
  const output = el("output", { "aria-live": "polite" });
  const run = async (event) => {
    event.preventDefault();
    try {
      output.replaceChildren(...await stateValue(contractName, variable.name, inputs.map((input) => input.value)));
    } catch (problem) {
      output.replaceChildren(el("div.fault", {}, show.sentence(problem.message)));
    }
  };
  return el("div.call", {},
    el("div.signature", {}, el("span.method", {}, variable.name), `: ${variable.type}`),
    el("form.run", { onsubmit: run }, inputs, el("button.button", { type: "submit" }, "Look up"), output));
}

/** The proven value; what the node says, where it cannot be verified (at height 0 there is no seal yet). */
async function stateValue(contract, variable, key) {
  const path = [contract, variable, ...key].map(encodeURIComponent).join("/");
  const address = `/v1/proofs/state/${path}`;
  const verdict = await proveState(contract, variable, key);
  if (verdict.state !== "verified") {
    const told = await get(`/v1/state/${path}`);
    return [el("div", {}, told.present ? show.value(told.value) : el("span.value", {}, "absent")), el("div.note", {}, mark(verdict), ` as this node says, at height ${show.number(told.height)}: ${verdict.why}`)];
  }
  const { state, header } = verdict.found;
  return [
    el("div", {}, state.value === null ? el("span.value", {}, "absent") : show.value(decoded(state.value))),
    el("div.note", {}, mark(verdict), ` at height ${show.number(header.height)} · `, el("a", { href: `${address}?height=${header.height}`, download: `state-${state.contract}-${state.variable}.json` }, `↓ proof, ${show.bytes(verdict.text.length)}`))];
}

function keyTypes(type) {
  if (type.startsWith("List[")) return ["int"];
  if (!type.startsWith("Map[")) return [];
  const inner = type.slice(4, -1);
  if (inner.startsWith("tuple[")) return inner.slice(6, inner.indexOf("]")).split(",").map((part) => part.trim());
  return [inner.split(",")[0].trim()];
}

// ── accounts ────────────────────────────────────────────────────────────

export async function accounts(page) {
  const { accounts: found } = await get("/v1/accounts?limit=100");
  const rows = found.map((account) => el("tr", {},
    el("td.height", {}, account.name ?? ""),
    el("td", {}, el("span.badges", {}, (account.roles ?? []).map((role) => badge(role, role === "admin" ? "accent" : "")))),
    el("td.rest", {}, account.public_key ? show.accountLink(account.public_key) : "")));
  put(page,
    heading("Network", "Accounts", { sub: "Who may send transactions, and in which role" }),
    card("Accounts", { proof: said("as this node says; open one to verify it") }, rows.length ? table([{ title: "Name" }, { title: "Roles" }, { title: "Public key" }], rows) : empty("No accounts", "An admin adds one with system.set_account.")));
}

export async function account(page, key, query) {
  const before = query.get("before");
  const [known, sent] = await Promise.all([
    get(`/v1/accounts/${encodeURIComponent(key)}`).catch((problem) => { if (problem.status !== 404) throw problem; return null; }),
    get(`/v1/accounts/${encodeURIComponent(key)}/transactions?limit=25${before ? `&before=${encodeURIComponent(before)}` : ""}`)]);
  const verdict = await proveState("system", "registered", [key.toLowerCase()]);
  const proven = verdict.state === "verified" ? verdict.found.state.value : undefined;
  const details = (proven === undefined ? known?.account : proven && decoded(proven)) ?? null;
  const columns = [{ title: "Outcome" }, { title: "Transaction" }, { title: "Block" }, { title: "Calls" }, { title: "Gas", number: true }];
  const rows = sent.transactions.map((entry) => el("tr", {},
    el("td", {}, entry.code ? outcome(entry.code) : ""),
    el("td", {}, show.transactionLink(entry.id)),
    el("td", {}, show.blockLink(entry.height)),
    el("td.wide", {}, entry.calls ? callNames(entry.calls) : ""),
    el("td.number.muted", {}, show.number(entry.gas_used ?? 0))));
  put(page,
    heading("Account", details?.name || show.short(key, 16, 12), { mono: !details?.name, sub: [details ? el("span.badges", {}, (details.roles ?? []).map((role) => badge(role, role === "admin" ? "accent" : ""))) : "not an account of this network now", " ", mark(verdict)] }),
    doubt(verdict),
    card("About", { proof: mark(verdict) }, facts([["Public key", show.hash(key, { full: true })]])),
    card("Transactions sent", { proof: said("as this node says; open one to verify it") }, rows.length ? table(columns, rows) : empty("Nothing sent", before ? "There is nothing older." : "This account has sent no transaction yet."), pager(`/account/${key}`, before, sent.next_before)));
}

// ── the network ─────────────────────────────────────────────────────────

export async function validators(page) {
  const [found, status, proofs] = await Promise.all([get("/v1/validators"), get("/v1/status"), get("/v1/evidence")]);
  const [verdict, members] = await provenMembers(status.sealed_height, found.validators);
  const total = members.reduce((sum, { power }) => sum + power, 0);
  const quorum = quorumOf(total);
  const agreed = await trustInThisNode().catch(() => null);
  const parameters = agreed?.parameters ?? status.parameters;
  put(page,
    heading("Network", "Validators", { sub: `A quorum is ${show.number(quorum)} of ${show.number(total)} voting power` }),
    card("As this node sees them", { count: found.validators.length, proof: said() }, el("div", {}, found.validators.map((member) => memberLine(member, status)))),
    card("Keys", { proof: mark(verdict) }, table([{ title: "#" }, { title: "Name" }, { title: "Power", number: true }, { title: "Public key" }], members.map((member) => el("tr", {},
      el("td.muted", {}, String(member.member)), el("td.height", {}, member.name), el("td.number", {}, show.number(member.power)), el("td.rest", {}, show.hash(member.public_key)))))),
    card("Evidence", { count: proofs.evidence.length, proof: said("as this node has it; verify the file elsewhere") }, proofs.evidence.length
      ? table([{ title: "Member" }, { title: "Signed two of" }, { title: "Proof" }], proofs.evidence.map((proof) => el("tr", {},
        el("td", {}, badge(proof.name, "bad")), el("td", {}, signedTwice(proof)), el("td.rest", {}, el("a", { href: `/v1/evidence/${proof.file}`, download: proof.file }, "↓ file for quorate verify")))))
      : empty("None", "This node has seen nobody sign two different messages where a correct member signs one.")),
    card("This node", { proof: said(), more: el("a", { href: "/v1/genesis?format=file", download: "genesis.json" }, "↓ genesis.json") }, facts([
      ["Name", status.name],
      ["Version", status.version],
      ["Chain id", show.hash(status.chain_id, { full: true })],
      ["View", `${show.number(status.view)}${status.changing_view ? ", changing" : ""}`],
      ["Sealed height", show.number(status.sealed_height)],
      ["Executed height", show.number(status.executed_height)],
      ["State root", show.hash(status.state_root, { full: true })],
      ["Running since", status.started_ms ? show.date(status.started_ms) : ""],
      ["Executor", status.executor?.sandbox ? `height ${show.number(status.executor.height)}; protections: ${status.executor.sandbox.join(", ") || "none"}` : "does not answer"]])),
    card("Agreed parameters", { proof: agreed ? mark({ state: "genesis" }) : said() }, facts(Object.entries(parameters).map(([name, item]) => [name.replaceAll("_", " "), show.number(item)]))));
}

/** Who may seal now: the set that sealed the newest block; before there is one, that of the genesis. */
async function provenMembers(height, told) {
  if (height > 0) {
    const verdict = await prove(`/v1/proofs/header/${height}`, ({ header }) => header.height === height);
    if (verdict.state !== "verified") return [verdict, told];
    return [verdict, verdict.found.members.map((each, member) => ({ ...each, member, public_key: toHex(each.public_key) }))];
  }
  const trust = await trustInThisNode().catch(() => null);
  if (!trust) return [{ state: "unchecked", why: "nothing is sealed yet" }, told];
  return [{ state: "genesis" }, trust.members.map((each, member) => ({ ...each, member, public_key: toHex(each.public_key) }))];
}

const signedTwice = (proof) => [proof.kind, proof.view === null ? "" : `view ${show.number(proof.view)}`, proof.height === null ? "" : `height ${show.number(proof.height)}`].filter(Boolean).join(", ");

export async function api(page) {
  const found = await get("/openapi.json");
  const groups = new Map();
  for (const [path, operations] of Object.entries(found.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const group = operation.tags?.[0] ?? "other";
      groups.set(group, [...(groups.get(group) ?? []), { path, method: method.toUpperCase(), ...operation }]);
    }
  }
  put(page, heading("Developers", "API", { sub: found.info.description, actions: el("a.button", { href: "/openapi.json" }, "OpenAPI") }));
  for (const [group, operations] of groups) {
    put(page, card(show.sentence(group).slice(0, -1), { count: operations.length }, el("div", {}, operations.map((operation) => el("div.call", {},
      el("div.signature", {}, el(`span.verb.${operation.method}`, {}, operation.method), " ", operation.method === "GET" && !operation.path.includes("{") ? el("a", { href: operation.path, target: "_blank" }, operation.path) : operation.path),
      el("div.doc", {}, operation.summary ?? ""),
      operation.parameters?.length ? el("dl.arguments", {}, operation.parameters.map((item) => [el("dt", {}, item.name), el("dd.muted", {}, item.description ?? item.schema?.description ?? "")])) : null)))));
  }
}
