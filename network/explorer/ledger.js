// Pages of what is on the chain: contracts, one contract with its views, accounts, validators, and the API itself.

import { get, post } from "./api.js";
import { callNames, memberLine, outcome, pager } from "./chain.js";
import { badge, card, el, empty, facts, heading, put, table } from "./dom.js";
import * as show from "./format.js";
import { decoded, mark, prove } from "./proven.js";
import { toHex } from "./verify.mjs";

// ── contracts ───────────────────────────────────────────────────────────

export async function contracts(page) {
  const { contracts: found } = await get("/v1/contracts");
  put(page, heading("Chain", "Contracts", { sub: `${show.plural(found.length, "contract")} on this network` }));
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
  const methods = (title, which, body) => kind(found, which).length ? card(title, { count: kind(found, which).length }, el("div", {}, kind(found, which).map(body))) : null;
  put(page,
    heading("Contract", found.name, { sub: firstParagraph(found.doc) }),
    card("About", facts([
      ["Owner", isSystem(found) ? "the network itself" : show.accountLink(found.owner, { full: true })],
      ["Version", [`${found.version}`, found.deployed_height ? [" · deployed in block ", show.blockLink(found.deployed_height)] : null]],
      ["Code hash", show.hash(found.code_hash, { full: true })]])),
    methods("Views", "view", (method) => methodBlock(method, viewForm(found.name, method))),
    methods("Calls", "call", (method) => methodBlock(method)),
    methods("Constructor", "init", (method) => methodBlock(method)),
    found.state.length ? card("State", { count: found.state.length }, el("div", {}, found.state.map((item) => stateBlock(found.name, item)))) : null,
    found.events.length ? card("Events", { count: found.events.length }, el("div", {}, found.events.map((event) => el("div.call", {}, el("div.signature", {}, el("span.method", {}, event.name), `(${parameters(event.fields)})`))))) : null,
    found.source ? card("Source", { count: show.plural(found.source.trimEnd().split("\n").length, "line") }, show.source(found.source, marked)) : null);
  if (marked) document.getElementById(`L${marked}`)?.scrollIntoView({ block: "center" });
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
      output.replaceChildren(el("div", {}, show.value(answer.value)), el("div.note", {}, `at height ${show.number(answer.height)}, ${show.number(answer.gas_used)} gas`));
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
    const path = [variable.name, ...inputs.map((input) => input.value)].map(encodeURIComponent).join("/");
    try {
      output.replaceChildren(...await stateValue(encodeURIComponent(contractName), path, (state) => isAt(state, contractName, variable.name, inputs.map((input) => input.value))));
    } catch (problem) {
      output.replaceChildren(el("div.fault", {}, show.sentence(problem.message)));
    }
  };
  return el("div.call", {},
    el("div.signature", {}, el("span.method", {}, variable.name), `: ${variable.type}`),
    el("form.run", { onsubmit: run }, inputs, el("button.button", { type: "submit" }, "Look up"), output));
}

/** The proven value; what the node says, where it cannot be verified (at height 0 there is no seal yet). */
async function stateValue(contract, path, isAsked) {
  const address = `/v1/proofs/state/${contract}/${path}`;
  const verdict = await prove(address, ({ state }) => isAsked(state)).catch((problem) => {
    if (problem.code === "no_proof") return { state: "unchecked", why: problem.message };
    throw problem;
  });
  if (verdict.state !== "verified") {
    const said = await get(`/v1/state/${contract}/${path}`);
    return [el("div", {}, said.present ? show.value(said.value) : el("span.value", {}, "absent")), el("div.note", {}, mark(verdict), ` as this node says, at height ${show.number(said.height)}: ${verdict.why}`)];
  }
  const { state, header } = verdict.found;
  return [
    el("div", {}, state.value === null ? el("span.value", {}, "absent") : show.value(decoded(state.value))),
    el("div.note", {}, mark(verdict), ` at height ${show.number(header.height)} · `, el("a", { href: `${address}?height=${header.height}`, download: `state-${state.contract}-${state.variable}.json` }, `↓ proof, ${show.bytes(verdict.text.length)}`))];
}

/** Whether a proven place is the one that was typed. */
function isAt(state, contract, variable, texts) {
  const same = (element, text) => {
    if (element instanceof Uint8Array) return toHex(element) === text.toLowerCase();
    if (typeof element === "bigint") return /^-?\d+$/.test(text) && BigInt(text) === element;
    return String(element) === text;
  };
  return state.contract === contract && state.variable === variable && state.elements.length === texts.length && state.elements.every((element, place) => same(element, texts[place]));
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
    el("section.card", {}, rows.length ? table([{ title: "Name" }, { title: "Roles" }, { title: "Public key" }], rows) : empty("No accounts", "An admin adds one with system.set_account.")));
}

export async function account(page, key, query) {
  const before = query.get("before");
  const [known, sent] = await Promise.all([
    get(`/v1/accounts/${encodeURIComponent(key)}`).catch((problem) => { if (problem.status !== 404) throw problem; return null; }),
    get(`/v1/accounts/${encodeURIComponent(key)}/transactions?limit=25${before ? `&before=${encodeURIComponent(before)}` : ""}`)]);
  const details = known?.account ?? {};
  const columns = [{ title: "Outcome" }, { title: "Transaction" }, { title: "Block" }, { title: "Calls" }, { title: "Gas", number: true }];
  const rows = sent.transactions.map((entry) => el("tr", {},
    el("td", {}, entry.code ? outcome(entry.code) : ""),
    el("td", {}, show.transactionLink(entry.id)),
    el("td", {}, show.blockLink(entry.height)),
    el("td.wide", {}, entry.calls ? callNames(entry.calls) : ""),
    el("td.number.muted", {}, show.number(entry.gas_used ?? 0))));
  put(page,
    heading("Account", details.name || show.short(key, 16, 12), { mono: !details.name, sub: known ? el("span.badges", {}, (details.roles ?? []).map((role) => badge(role, role === "admin" ? "accent" : ""))) : "not an account of this network now" }),
    card("About", facts([["Public key", show.hash(key, { full: true })]])),
    card("Transactions sent", rows.length ? table(columns, rows) : empty("Nothing sent", before ? "There is nothing older." : "This account has sent no transaction yet."), pager(`/account/${key}`, before, sent.next_before)));
}

// ── the network ─────────────────────────────────────────────────────────

export async function validators(page) {
  const [found, status, proofs] = await Promise.all([get("/v1/validators"), get("/v1/status"), get("/v1/evidence")]);
  const quorum = found.total_power - Math.floor((found.total_power - 1) / 3);
  put(page,
    heading("Network", "Validators", { sub: `A quorum is ${show.number(quorum)} of ${show.number(found.total_power)} voting power` }),
    card("As this node sees them", { count: found.validators.length }, el("div", {}, found.validators.map((member) => memberLine(member, status)))),
    card("Keys", table([{ title: "#" }, { title: "Name" }, { title: "Power", number: true }, { title: "Public key" }], found.validators.map((member) => el("tr", {},
      el("td.muted", {}, String(member.member)), el("td.height", {}, member.name), el("td.number", {}, show.number(member.power)), el("td.rest", {}, show.hash(member.public_key)))))),
    card("Evidence", { count: proofs.evidence.length }, proofs.evidence.length
      ? table([{ title: "Member" }, { title: "Signed two of" }, { title: "Proof" }], proofs.evidence.map((proof) => el("tr", {},
        el("td", {}, badge(proof.name, "bad")), el("td", {}, signedTwice(proof)), el("td.rest", {}, el("a", { href: `/v1/evidence/${proof.file}`, download: proof.file }, "↓ file for quorate verify")))))
      : empty("None", "This node has seen nobody sign two different messages where a correct member signs one.")),
    card("This node", { more: el("a", { href: "/v1/genesis?format=file", download: "genesis.json" }, "↓ genesis.json") }, facts([
      ["Name", status.name],
      ["Version", status.version],
      ["Chain id", show.hash(status.chain_id, { full: true })],
      ["View", `${show.number(status.view)}${status.changing_view ? ", changing" : ""}`],
      ["Sealed height", show.number(status.sealed_height)],
      ["Executed height", show.number(status.executed_height)],
      ["State root", show.hash(status.state_root, { full: true })],
      ["Running since", status.started_ms ? show.date(status.started_ms) : ""],
      ["Executor", status.executor?.sandbox ? `height ${show.number(status.executor.height)}; protections: ${status.executor.sandbox.join(", ") || "none"}` : "does not answer"]])),
    card("Agreed parameters", facts(Object.entries(status.parameters).map(([name, item]) => [name.replaceAll("_", " "), show.number(item)]))));
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
