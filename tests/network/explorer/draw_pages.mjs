// Draws pages of the explorer outside a browser, against a node that may lie, and says what stands in each card.
// In: a line of JSON with `base` (the node's address), `pages` ([module, function, argument]), and `lies`: texts to be
// replaced in what the node answers at matching paths; perhaps `chain`, remembered from an earlier visit, and `secure`. Out: a line of JSON: for each page its cards, tiles and words.

class Element {
  constructor(name) {
    Object.assign(this, { name, className: "", attributes: {}, dataset: {}, children: [], value: "", listeners: {} });
  }

  append(...items) {
    this.children.push(...items.flatMap((item) => (item.name === "#fragment" ? item.children : [item instanceof Element ? item : String(item)])));
  }

  replaceChildren(...items) {
    this.children = [];
    this.append(...items);
  }

  setAttribute(name, value) { this.attributes[name] = value; }
  addEventListener(name, handler) { this.listeners[name] = handler; }
  scrollIntoView() {}
  get textContent() { return this.children.map((child) => (typeof child === "string" ? child : child.textContent)).join(""); }
  set textContent(text) { this.children = [text]; }
  get inside() { return this.children.filter((child) => child instanceof Element).flatMap((child) => [child, ...child.inside]); }
  get proofs() { return [...new Set(this.inside.map((element) => element.dataset.proof).filter(Boolean))].sort(); }
}

const { base, pages, lies, chain = null, secure = true } = JSON.parse((await import("node:fs")).readFileSync(0, "utf8"));
const store = new Map(chain ? [["quorate.chain", chain]] : []);
if (!secure) Object.defineProperty(globalThis, "crypto", { value: {} });  // as browsers have it over plain HTTP
globalThis.localStorage = { getItem: (name) => store.get(name) ?? null, setItem: (name, value) => store.set(name, value) };
globalThis.document = {
  createElement: (name) => new Element(name),
  createElementNS: (_, name) => new Element(name),
  createDocumentFragment: () => new Element("#fragment"),
  getElementById: () => null,
  querySelectorAll: () => [],
};
const ask = globalThis.fetch;
globalThis.fetch = async (path, options) => {
  const answer = await ask(new URL(path, base), options);
  let body = Buffer.from(await answer.arrayBuffer()).toString("latin1");
  for (const [where, from, to] of lies) if (new RegExp(where).test(path)) body = body.replaceAll(from, to);
  return new Response(Buffer.from(body, "latin1"), { status: answer.status, headers: answer.headers });
};

const explorer = new URL("../../../network/explorer/", import.meta.url);
const drawn = [];
for (const [module, name, argument] of pages) {
  const page = new Element("div");
  const leave = await (await import(new URL(module, explorer)))[name](page, argument, new URLSearchParams());
  if (typeof leave === "function") leave();
  const told = (element) => ({ title: (element.inside.find(({ name: each }) => each === "h2") ?? element.children[0]).textContent, proofs: element.proofs, text: element.textContent });
  const of = (kind) => page.inside.filter(({ className }) => className.split(" ").includes(kind)).map(told);
  drawn.push({ cards: of("card"), tiles: of("tile"), proofs: page.proofs, text: page.textContent });
}
console.log(JSON.stringify(drawn));
process.exit(0);  // the pages go on by themselves
