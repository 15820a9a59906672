// Judges many proofs in one process: the JavaScript half of scripts/mutate_proofs.py.
// In: a line of JSON with the trusts, then one line a file: the number of its trust, a space, the file in base64.
// Out: a line of JSON for each file: null when it is valid, else why it is not. Anything else that is thrown ends it all.

import { createInterface } from "node:readline";
import { Invalid, trustGenesis, trustHeader, verify } from "../network/explorer/verify.mjs";

let trusts = null;
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  if (trusts === null) {
    trusts = await Promise.all(JSON.parse(line).map(({ genesis, header }) => (genesis ? trustGenesis(genesis) : trustHeader(header))));
    continue;
  }
  const [place, data] = line.split(" ");
  let verdict = null;
  try {
    await verify(new Uint8Array(Buffer.from(data, "base64")), trusts[Number(place)]);
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
    verdict = error.message;
  }
  process.stdout.write(`${JSON.stringify(verdict)}\n`);
}
