// Contract values out of their encoding (msgpack), in the JSON form that the API has for them: bytes as {$bytes: hex}, large
// integers as {$int: digits}. For what was verified as bytes, so that what is shown is what was proven.

import { toHex } from "./verify.mjs";

/** The value that these bytes encode; what is no encoding of one is shown as what it is. */
export function decoded(bytes) {
  const reader = { bytes, at: 0, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
  try {
    const value = read(reader);
    if (reader.at === bytes.length) return value;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return { $undecodable: toHex(bytes) };
}

const DEPTH_MAX = 70;

function read(reader, depth = 0) {
  if (depth > DEPTH_MAX) throw new RangeError("nested too deep");
  const first = unsigned(reader, 1);
  if (first <= 0x7f) return first;
  if (first <= 0x8f) return map(reader, first - 0x80, depth);
  if (first <= 0x9f) return list(reader, first - 0x90, depth);
  if (first <= 0xbf) return text(reader, first - 0xa0);
  if (first >= 0xe0) return first - 0x100;
  switch (first) {
    case 0xc0: return null;
    case 0xc2: return false;
    case 0xc3: return true;
    case 0xc4: case 0xc5: case 0xc6: return { $bytes: toHex(take(reader, unsigned(reader, 1 << (first - 0xc4)))) };
    case 0xcc: case 0xcd: case 0xce: case 0xcf: return integer(bigEndian(take(reader, 1 << (first - 0xcc)), false));
    case 0xd0: case 0xd1: case 0xd2: case 0xd3: return integer(bigEndian(take(reader, 1 << (first - 0xd0)), true));
    case 0xd9: case 0xda: case 0xdb: return text(reader, unsigned(reader, 1 << (first - 0xd9)));
    case 0xdc: case 0xdd: return list(reader, unsigned(reader, 2 << (first - 0xdc)), depth);
    case 0xde: case 0xdf: return map(reader, unsigned(reader, 2 << (first - 0xde)), depth);
    case 0xc7: return extension(reader, unsigned(reader, 1));
    case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return extension(reader, 1 << (first - 0xd4));
    default: throw new RangeError("no contract value begins so");
  }
}

function take(reader, count) {
  if (reader.at + count > reader.bytes.length) throw new RangeError("cut short");
  reader.at += count;
  return reader.bytes.subarray(reader.at - count, reader.at);
}

const unsigned = (reader, width) => Number(bigEndian(take(reader, width), false));

function bigEndian(bytes, isSigned) {
  const magnitude = BigInt(`0x${toHex(bytes) || "0"}`);
  return isSigned ? BigInt.asIntN(8 * bytes.length, magnitude) : magnitude;
}

const integer = (value) => (value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : { $int: String(value) });

function text(reader, length) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(take(reader, length));
  } catch (error) {
    throw error instanceof TypeError ? new RangeError("not UTF-8") : error;
  }
}

function list(reader, length, depth) {
  const items = [];
  for (let left = length; left > 0; left -= 1) items.push(read(reader, depth + 1));
  return items;
}

function map(reader, length, depth) {
  const entries = [];
  for (let left = length; left > 0; left -= 1) entries.push([read(reader, depth + 1), read(reader, depth + 1)]);
  if (!entries.every(([key]) => typeof key === "string")) return { $map: entries };
  if (entries.length === 1 && entries[0][0].startsWith("$")) return { [`$${entries[0][0]}`]: entries[0][1] };
  return Object.fromEntries(entries);
}

/** Extension 1: an integer beyond 64 bits, two's complement. */
function extension(reader, length) {
  if (unsigned(reader, 1) !== 1) throw new RangeError("an unknown extension");
  return integer(bigEndian(take(reader, length), true));
}
