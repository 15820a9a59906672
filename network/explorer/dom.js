// Elements out of data. All text goes through textContent: whatever a contract or a peer wrote stays text.

/** `el("a.hash", {href: "/"}, "text", child)`: an element with classes, attributes and children. */
export function el(shape, attributes = {}, ...children) {
  const [name, ...classes] = shape.split(".");
  const element = document.createElement(name || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "data") Object.assign(element.dataset, value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  put(element, children);
  return element;
}

/** Append what is there; null and false are left out. */
export function put(place, ...children) {
  place.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

/** An SVG element. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** A card. `proof` is the mark that says whether what it shows was verified: `mark`, or `said`, of proven.js. */
export function card(title, ...content) {
  const { count, more, proof } = content[0]?.constructor === Object ? content.shift() : {};
  return el("section.card", {},
    el("header", {}, el("h2", {}, title), count !== undefined && el("span.count", {}, String(count)), proof, more && el("span.more", {}, more)),
    ...content);
}

export function facts(pairs) {
  const list = el("dl.facts");
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === "") continue;
    list.append(el("dt", {}, name), el("dd", {}, value));
  }
  return list;
}

export function table(columns, rows) {
  const head = columns.map((column) => el(column.number ? "th.number" : "th", { scope: "col" }, column.title));
  return el("div.scroll", {}, el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}

export function heading(kind, title, { sub, actions, mono } = {}) {
  return el("div.head", {},
    el("div", {}, el("span.kind", {}, kind), el(mono ? "h1.mono" : "h1", {}, title), sub && el("p.sub", {}, sub)),
    actions && el("div.actions", {}, actions));
}

export function badge(text, tone = "") {
  return el(tone ? `span.badge.${tone}` : "span.badge", {}, text);
}

export function skeleton() {
  return el("div.card.skeleton", { "aria-busy": "true" }, el("i"), el("i"), el("i"), el("i"));
}

export function empty(title, text, ...actions) {
  return el("div.empty", {}, el("b", {}, title), text, actions.length ? el("div.actions", {}, actions) : null);
}

const COPY = "M5.5 5.5h7v7h-7zM10.5 5.5v-2h-7v7h2";
const DONE = "M3.5 8.5l3 3 6-7";

function icon(path) {
  return svg("svg", { viewBox: "0 0 16 16", width: 13, height: 13, "aria-hidden": "true" },
    svg("path", { d: path, fill: "none", stroke: "currentColor", "stroke-width": 1.4, "stroke-linejoin": "round", "stroke-linecap": "round" }));
}

/** A copy button for a text. */
export function copy(text) {
  const button = el("button.copy", { type: "button", title: "Copy", "aria-label": "Copy" }, icon(COPY));
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = el("textarea", {}, text);
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.replaceChildren(icon(DONE));
    button.dataset.done = "";
    setTimeout(() => { button.replaceChildren(icon(COPY)); delete button.dataset.done; }, 1200);
  });
  return button;
}
