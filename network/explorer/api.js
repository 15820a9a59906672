// The node's API: JSON in, problems out as exceptions; and the one stream of sealed blocks that all pages share.

export class Problem extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

export async function get(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { headers: { accept: "application/json" }, ...options });
  } catch {
    throw new Problem(0, "no_answer", "The node does not answer. It may be restarting; this page tries again by itself when it is back.");
  }
  const type = answer.headers.get("content-type") ?? "";
  const data = type.includes("json") ? await answer.json() : null;
  if (!answer.ok) throw new Problem(answer.status, data?.code ?? "error", data?.detail ?? `The node answered with status ${answer.status}.`);
  return data;
}

export const post = (path, body) =>
  get(path, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } });

// ── live ────────────────────────────────────────────────────────────────

const listeners = { block: new Set(), state: new Set() };
let state = "off";

/** Call `handler` for each block sealed from now on; returns how to stop. */
export function onBlock(handler) {
  listeners.block.add(handler);
  return () => listeners.block.delete(handler);
}

export function onLive(handler) {
  listeners.state.add(handler);
  handler(state);
}

function tell(kind, data) {
  for (const handler of listeners[kind]) handler(data);
}

function become(next) {
  if (state === next) return;
  state = next;
  tell("state", next);
}

export function follow() {
  const stream = new EventSource("/v1/events?types=block");
  stream.addEventListener("open", () => become("on"));
  stream.addEventListener("error", () => {
    become("lost");
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  });
  stream.addEventListener("block", (event) => tell("block", JSON.parse(event.data)));
  addEventListener("pagehide", () => stream.close(), { once: true });
}
