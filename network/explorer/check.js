// The page that verifies a proof file in the browser: nothing is sent anywhere, the node is asked for its genesis only.

import { badge, card, el, facts, heading, put } from "./dom.js";
import * as show from "./format.js";
import { decoded, eventShown, judge, mark, proofCard, receiptShown, transactionShown, trustInThisNode } from "./proven.js";
import { elementLabel, toHex, trustGenesis, trustHeader } from "./verify.mjs";

const SAYS = {
  header: "This header was sealed",
  transaction: "This transaction took place",
  receipt: "This was the outcome of the transaction",
  event: "This event was emitted",
};

export function check(page) {
  const proof = el("input", { type: "file", id: "proof-file", accept: ".json,application/json" });
  const genesis = el("input", { type: "file", id: "genesis-file", accept: ".json,application/json" });
  const header = el("input", { id: "trusted-header", placeholder: "64 hexadecimal digits", spellcheck: "false", autocomplete: "off", maxlength: 64 });
  const choices = [["node", "the genesis that this node names", null], ["file", "my own genesis file", genesis], ["header", "a header, by its hash", header]];
  const radios = choices.map(([value]) => el("input", { type: "radio", name: "trust", value, id: `trust-${value}`, checked: value === "node" }));
  const result = el("div", { "aria-live": "polite" });
  const chosen = () => radios.find((radio) => radio.checked).value;
  const run = async () => {
    const file = proof.files[0];
    if (!file) return;
    result.replaceChildren();
    const trustOf = async () => {
      if (chosen() === "node") return trustInThisNode();
      if (chosen() === "header") return trustHeader(header.value.trim().toLowerCase());
      if (!genesis.files[0]) throw new Error("choose your genesis file first");
      return { ...await trustGenesis(await genesis.files[0].text()), own: true };
    };
    try {
      const verdict = await judge(new Uint8Array(await file.arrayBuffer()), trustOf);
      put(result, verdictCard(verdict, file.name), verdict.state === "verified" ? proofCard(verdict, null) : null);
    } catch (error) {
      put(result, el("div.banner", { role: "alert" }, show.sentence(`it could not be checked: ${error.message}`)));
    }
  };
  for (const input of [proof, genesis, header, ...radios]) input.addEventListener("change", run);
  genesis.addEventListener("change", () => { radios[1].checked = true; run(); });
  header.addEventListener("input", () => { radios[2].checked = true; });

  const drop = el("label.drop", { for: "proof-file" }, el("b", {}, "Choose a proof, or drop it here"), el("span.muted.small", {}, "a file of quorate proof, quorate tx --receipt, or a download of this explorer"), proof);
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.dataset.over = ""; });
  drop.addEventListener("dragleave", () => delete drop.dataset.over);
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    delete drop.dataset.over;
    proof.files = event.dataTransfer.files;
    run();
  });
  put(page,
    heading("Proofs", "Verify a file", { sub: "It is checked here, in your browser. No part of it is sent anywhere." }),
    el("section.card", {}, drop,
      el("fieldset.trust", {}, el("legend", {}, "Trust"), choices.map(([value, text, input], place) => el("div", {}, radios[place], el("label", { for: `trust-${value}` }, text), input)))),
    result,
    el("p.muted.small", {}, "Who doubts this node doubts these scripts too: they came from it. Then verify elsewhere, with ", el("span.mono", {}, "quorate verify FILE --genesis genesis.json"), " or ", el("span.mono", {}, "node verify.mjs FILE genesis.json"), "."));
}

function verdictCard(verdict, name) {
  if (verdict.state !== "verified") {
    return el("div", {}, el(verdict.state === "invalid" ? "div.banner.bad" : "div.banner", { role: "alert" }, verdict.state === "invalid" ? `Invalid, because ${verdict.why}.` : show.sentence(`not verified: ${verdict.why}`)));
  }
  const { found } = verdict;
  return card(says(found), { more: mark(verdict) }, facts([
    ["File", name],
    ["Kind", badge(found.kind)],
    ["Block", `${show.number(found.header.height)}, at ${show.date(found.header.time_ms)}`],
    ["Chain", show.hash(toHex(found.header.chain_id), { full: true })],
    ...rows(found)]));
}

function says({ kind, state }) {
  if (state) return `${place(state)} had ${state.value === null ? "no value" : "this value"}`;
  return SAYS[kind];
}

const place = ({ contract, variable, elements }) => `${contract}.${variable}${elements.length ? `[${elements.map(elementLabel).join(", ")}]` : ""}`;

function rows(found) {
  const { header, transaction, receipt, event, state } = found;
  if (state) return [["Place", el("span.mono", {}, place(state))], ["Value", state.value === null ? "none: it is absent" : show.value(decoded(state.value))], ["State root", show.hash(toHex(header.state_root), { full: true })]];
  if (!receipt) return [["Hash", show.hash(toHex(header.hash), { full: true })], ["State root", show.hash(toHex(header.state_root), { full: true })]];
  const shown = receiptShown(receipt);
  const told = [["Transaction", show.hash(toHex(receipt.transaction_id), { full: true })], ["Outcome", shown.code === "ok" ? badge("ok", "good") : [badge(shown.code.replaceAll("_", " "), "bad"), ` ${shown.message}`]]];
  if (transaction) {
    const { sender, calls } = transactionShown(found);
    told.push(["Sender", show.hash(sender, { full: true })]);
    for (const call of calls) told.push(["Call", el("div", {}, el("div.mono", {}, `${call.contract}.${call.method}`), show.value(call.args))]);
  }
  if (event) told.push(["Event", el("div", {}, el("div.mono", {}, `${event.contract}.${event.name}`), show.value(eventShown(event).fields))]);
  return told;
}
