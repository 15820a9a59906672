// How numbers, times, hashes and contract values look. Data in, text or elements out; nothing is fetched here.

import { copy, el } from "./dom.js";

export const number = (value) => Number(value).toLocaleString("en-US");
export const plural = (count, one, many = one + "s") => `${number(count)} ${count === 1 ? one : many}`;
export const short = (text, head = 8, tail = 6) => (text.length > head + tail + 1 ? `${text.slice(0, head)}…${text.slice(-tail)}` : text);

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  if (count < 1 << 20) return `${(count / 1024).toFixed(1)} KiB`;
  return `${(count / (1 << 20)).toFixed(1)} MiB`;
}

export function age(timeMs, nowMs = Date.now()) {
  const seconds = Math.max(0, Math.round((nowMs - timeMs) / 1000));
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${plural(Math.floor(seconds / 86400), "day")} ago`;
}

const CALENDAR_END_MS = 253_402_300_799_999;  // the year 9999

export const date = (timeMs) => (timeMs <= CALENDAR_END_MS ? new Date(timeMs).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }) : `${timeMs} ms`);
export const utc = (timeMs) => (timeMs <= CALENDAR_END_MS ? new Date(timeMs).toISOString() : `${timeMs} ms`);

/** A time that keeps telling how long ago it is. */
export function when(timeMs) {
  return el("time", { datetime: utc(timeMs), title: date(timeMs), data: { age: String(timeMs) } }, age(timeMs));
}

setInterval(() => {
  for (const element of document.querySelectorAll("time[data-age]")) element.textContent = age(Number(element.dataset.age));
}, 1000);

/** A hash, linked and shortened, with a copy button. */
export function hash(text, { href, full = false, copyable = true } = {}) {
  const shown = full ? text : short(text);
  const name = href ? el("a.hash", { href, title: text }, shown) : el("span.hash", { title: text }, shown);
  return el("span", {}, name, copyable ? copy(text) : null);
}

export const blockLink = (height) => el("a.height", { href: `/block/${height}` }, number(height));
export const transactionLink = (id, options = {}) => hash(id, { href: `/tx/${id}`, ...options });
export const accountLink = (key, options = {}) => hash(key, { href: `/account/${key}`, ...options });
export const contractLink = (name) => el("a", { href: `/contract/${encodeURIComponent(name)}` }, name);

/** A contract value with its types told apart. Keys, ids and hashes inside text become links. */
export function value(data, depth = 0) {
  const box = depth === 0 ? el("span.value") : document.createDocumentFragment();
  box.append(...parts(data, depth));
  return box;
}

function parts(data, depth) {
  if (data === null) return [el("span.word", {}, "None")];
  if (data === true) return [el("span.word", {}, "True")];
  if (data === false) return [el("span.word", {}, "False")];
  if (typeof data === "number") return [el("span.number", {}, String(data))];
  if (typeof data === "string") return [el("span.text", {}, JSON.stringify(data))];
  if (Array.isArray(data)) return sequence("[", "]", data.map((item) => value(item, depth + 1)), depth);
  const keys = Object.keys(data);
  if (keys.length === 1 && keys[0] === "$int") return [el("span.number", {}, String(data.$int))];
  if (keys.length === 1 && keys[0] === "$bytes") return [el("span.name", {}, "0x"), el("span.number", {}, String(data.$bytes))];
  const entries = keys.map((key) => el("span", {}, el("span.name", {}, `${keys.length === 1 && key.startsWith("$$") ? key.slice(1) : key}: `), value(data[key], depth + 1)));
  return sequence("{", "}", entries, depth);
}

function sequence(open, close, items, depth) {
  if (!items.length) return [open + close];
  const long = items.reduce((sum, item) => sum + item.textContent.length, 0) > 76;
  const pad = "  ".repeat(depth + 1);
  const list = [open];
  items.forEach((item, place) => {
    if (place) list.push(",");
    list.push(long ? `\n${pad}` : place ? " " : "", item);
  });
  list.push(long ? `\n${"  ".repeat(depth)}${close}` : close);
  return list;
}

const TOKEN = /("""[\s\S]*?"""|'''[\s\S]*?'''|[rbf]*"(?:\\.|[^"\\\n])*"|[rbf]*'(?:\\.|[^'\\\n])*')|(#[^\n]*)|(@\w+)|\b(and|as|assert|break|class|continue|def|elif|else|False|for|from|if|import|in|is|None|not|or|pass|raise|return|self|True|while)\b|\b(\d[\d_]*)\b/g;
const KINDS = ["", "s", "c", "d", "k", "n"];

/** Python source with line numbers, coloured. `marked` is a line to point at. */
export function source(text, marked = 0) {
  const lines = [[]];
  const put = (piece, kind) => piece.split("\n").forEach((part, place) => {
    if (place) lines.push([]);
    if (part) lines[lines.length - 1].push(kind ? el(`span.${kind}`, {}, part) : part);
  });
  let last = 0;
  for (const match of text.matchAll(TOKEN)) {
    put(text.slice(last, match.index), "");
    put(match[0], KINDS[match.findIndex((group, place) => place > 0 && group !== undefined)]);
    last = match.index + match[0].length;
  }
  put(text.slice(last).replace(/\n$/, ""), "");
  return el("pre.source", {}, lines.map((pieces, place) =>
    el(place + 1 === marked ? "span.line.marked" : "span.line", { id: `L${place + 1}` }, ...pieces)));
}
