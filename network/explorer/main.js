// The address says which page; links inside the explorer change the address without loading anything again.

import { Problem, follow, get, onLive } from "./api.js";
import * as chain from "./chain.js";
import { check } from "./check.js";
import { el, empty, skeleton } from "./dom.js";
import * as show from "./format.js";
import * as ledger from "./ledger.js";
import { chainBanner } from "./proven.js";

const ROUTES = {
  "": ["Quorate", chain.home],
  blocks: ["Blocks", chain.blocks],
  block: ["Block", chain.block, "blocks"],
  tx: ["Transaction", chain.transaction, "blocks"],
  transactions: ["Transaction", chain.transaction, "blocks"],  // the API's word
  contracts: ["Contracts", ledger.contracts],
  contract: ["Contract", ledger.contract, "contracts"],
  accounts: ["Accounts", ledger.accounts],
  account: ["Account", ledger.account, "accounts"],
  validators: ["Validators", ledger.validators],
  verify: ["Verify", check],
  api: ["API", ledger.api],
};
const ONE_OF = { blocks: "block", contracts: "contract", accounts: "account" };  // the API's words work too
const SKELETON_AFTER_MS = 150;
const RETRY_MS = 3000;
const HEX = /^(0x)?[0-9a-f]{64}$/i;

const outlet = document.getElementById("page");
let leave = () => {};
let visit = 0;

async function draw() {
  const mine = ++visit;
  leave();
  leave = () => {};
  const [word, argument = ""] = location.pathname.split("/").slice(1).map(unescaped);
  const name = (argument && Object.hasOwn(ONE_OF, word) && ONE_OF[word]) || word;
  const [title, page, section = name] = Object.hasOwn(ROUTES, name) ? ROUTES[name] : ["No such page", nothing];
  document.title = name ? `${argument ? `${show.short(argument)} · ` : ""}${title} · Quorate` : "Quorate explorer";
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.pathname === `/${section}` && section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const waiting = setTimeout(() => { if (mine === visit) outlet.replaceChildren(skeleton()); }, SKELETON_AFTER_MS);
  const content = el("div");
  try {
    const done = await page(content, argument, new URLSearchParams(location.search));
    if (mine !== visit) return void (done ?? (() => {}))();
    leave = done ?? (() => {});
  } catch (problem) {
    if (mine !== visit) return;
    content.replaceChildren(trouble(problem));
    if (problem.status === 0 || problem.status === 503) {
      const timer = setTimeout(draw, RETRY_MS);
      leave = () => clearTimeout(timer);
    }
    if (!(problem instanceof Problem)) console.error(problem);
  } finally {
    clearTimeout(waiting);
  }
  outlet.replaceChildren(content);
  const line = location.hash && document.getElementById(location.hash.slice(1));
  if (line) line.scrollIntoView({ block: "center" });
}

/** What an address says; one that nobody wrote like that is shown as it is. */
function unescaped(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function trouble(problem) {
  const titles = { 0: "No answer", 404: "Not found", 503: "Not available right now" };
  const title = titles[problem.status] ?? "That did not work";
  return el("section.card", {}, el("div.empty", { role: "alert" }, el("b", {}, title), show.sentence(problem.message), problem.code ? el("div.code", {}, problem.code) : null,
    el("div.actions", {}, el("a.button", { href: "/" }, "Home"), problem.code === "unknown_contract" ? el("a.button", { href: "/contracts" }, "All contracts") : null, el("button.button", { type: "button", onclick: draw }, "Try again"))));
}

async function nothing(content) {
  content.append(el("section.card", {}, empty("No such page", "The explorer has nothing at this address. The field above finds blocks, transactions, accounts and contracts.", el("a.button", { href: "/" }, "Home"))));
}

// ── links ───────────────────────────────────────────────────────────────

function go(path) {
  history.pushState(null, "", path);
  scrollTo(0, 0);
  draw();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const ours = link.origin === location.origin && Object.hasOwn(ROUTES, link.pathname.split("/")[1]) && !link.target && !link.hasAttribute("download");
  if (!ours) return;
  event.preventDefault();
  if (!link.hasAttribute("disabled")) go(link.pathname + link.search + link.hash);
});
addEventListener("popstate", draw);

// ── search ──────────────────────────────────────────────────────────────

const search = document.getElementById("search-text");

document.getElementById("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = search.value.trim();
  if (!text) return;
  search.blur();
  search.value = "";
  go(await destination(text));
});

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(input|textarea)$/i.test(document.activeElement?.tagName ?? "")) {
    event.preventDefault();
    search.focus();
  }
});

/** The page that a searched text most likely means. */
async function destination(text) {
  const digits = text.replace(/[,_\s#]/g, "");
  if (/^\d{1,16}$/.test(digits)) return `/block/${digits}`;
  if (!HEX.test(text)) return `/contract/${encodeURIComponent(text)}`;
  const name = text.toLowerCase().replace(/^0x/, "");
  const exists = async (path) => get(path).then(() => true, () => false);
  const [isTransaction, isBlock] = await Promise.all([exists(`/v1/transactions/${name}?proof=false`), exists(`/v1/blocks/${name}`)]);
  if (isTransaction) return `/tx/${name}`;
  if (isBlock) return `/block/${name}`;
  const sent = await get(`/v1/accounts/${name}/transactions?limit=1`).catch(() => null);
  if (sent?.transactions.length || (await exists(`/v1/accounts/${name}`))) return `/account/${name}`;
  return `/tx/${name}`;
}

// ── the frame ───────────────────────────────────────────────────────────

onLive((state) => {
  document.getElementById("live").dataset.state = state;
  document.getElementById("live-text").textContent = { on: "live", lost: "connection lost, trying again", off: "connecting" }[state];
});

async function introduce() {
  try {
    const status = await get("/v1/status");
    document.getElementById("network").textContent = status.network;
    document.getElementById("node").textContent = `${status.name} · Quorate ${status.version} · chain ${show.short(status.chain_id)}`;
    const banner = await chainBanner(status.chain_id, () => location.reload());
    if (banner) document.getElementById("page").before(el("div.notice", {}, banner));
  } catch {
    setTimeout(introduce, RETRY_MS);
  }
}

introduce();
follow();
draw();
