// The JSON of receipts: integers of any size, no floats, and one byte form of each value ("Canonical form and hashes"
// of docs/protocol.md).

import { ReceiptInvalidError } from './invalid.js';

export type Json = null | boolean | number | bigint | string | Json[] | JsonMap;

export interface JsonMap {
  [key: string]: Json;
}

// What is deeper has no canonical form; a hostile file shall not exhaust the stack either.
const DEPTH_MAX = 16;
const DEPTH_READ_MAX = 64;
const TOKEN = /\s*(?:([{}[\],:])|("(?:[^"\\]|\\.)*")|(-?\d[\d.eE+-]*)|(true|false|null))/y;
const INTEGER = /^-?(0|[1-9]\d*)$/;
// Longer than any number of ours; a BigInt of a million digits takes its time.
const DIGITS_MAX = 40;

/** Read a text; integers beyond 2^53 become BigInt, and what is no integer is refused, because `JSON.parse` can't tell. */
export function parseJson(text: string): Json {
  let at = 0;

  function next(): RegExpExecArray {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match) throw new ReceiptInvalidError(`not the JSON of a receipt, from character ${at} on`);
    at = TOKEN.lastIndex;
    return match;
  }

  function items(close: string, item: () => void): void {
    const before = at;
    if (next()[1] === close) return;
    at = before;
    for (;;) {
      item();
      const mark = next()[1];
      if (mark === close) return;
      if (mark !== ',') throw new ReceiptInvalidError(`not the JSON of a receipt: no comma at ${at}`);
    }
  }

  function value(depth: number): Json {
    if (depth > DEPTH_READ_MAX) throw new ReceiptInvalidError('not the JSON of a receipt: nested too deeply');
    const [, mark, string, number, word] = next();
    if (string !== undefined) return read(string);
    if (number !== undefined) return integer(number);
    if (word !== undefined) return word === 'null' ? null : word === 'true';
    if (mark === '[') {
      const list: Json[] = [];
      items(']', () => list.push(value(depth + 1)));
      return list;
    }
    if (mark !== '{') throw new ReceiptInvalidError(`not the JSON of a receipt: no value at ${at}`);
    // Without a prototype, so that no key means anything to JavaScript.
    const map = Object.create(null) as JsonMap;
    items('}', () => {
      const [, , key] = next();
      if (key === undefined || next()[1] !== ':') throw new ReceiptInvalidError(`not the JSON of a receipt: no key at ${at}`);
      map[read(key)] = value(depth + 1);
    });
    return map;
  }

  const result = value(0);
  if (text.slice(at).trim()) throw new ReceiptInvalidError('more than one value');
  return result;
}

function read(string: string): string {
  try {
    return JSON.parse(string) as string;
  } catch {
    throw new ReceiptInvalidError('not the JSON of a receipt: a string that is none');
  }
}

function integer(text: string): number | bigint {
  if (!INTEGER.test(text) || text.length > DIGITS_MAX) throw new ReceiptInvalidError(`${text.slice(0, 50)} is no integer`);
  const exact = BigInt(text);
  return Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
}

export function isMap(value: Json | undefined): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The canonical text of a value. */
export function canonical(value: Json, depth = DEPTH_MAX): string {
  if (typeof value === 'string') {
    if (/\p{Surrogate}/u.test(value)) throw new ReceiptInvalidError('a string holds a lone surrogate');
    return JSON.stringify(value);
  }
  if (typeof value !== 'object' || value === null) return String(value);
  const items = Array.isArray(value) ? value : Object.values(value);
  if (items.length > 0 && depth === 0) throw new ReceiptInvalidError(`nested deeper than ${DEPTH_MAX}`);
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, depth - 1)).join(',')}]`;
  const entries = sorted(value).map(([key, item]) => {
    // eslint-disable-next-line no-control-regex -- ASCII is what keys are made of, its control characters included
    if (!/^[\x00-\x7f]*$/.test(key)) throw new ReceiptInvalidError(`the key ${key} is not ASCII`);
    return `${JSON.stringify(key)}:${canonical(item, depth - 1)}`;
  });
  return `{${entries.join(',')}}`;
}

/** A document in its one byte form, less the newline at its end: sorted keys, two spaces. */
export function byteForm(value: Json, margin = ''): string {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const inner = `${margin}  `;
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  const items = Array.isArray(value)
    ? value.map((item) => byteForm(item, inner))
    : sorted(value).map(([key, item]) => `${JSON.stringify(key)}: ${byteForm(item, inner)}`);
  if (items.length === 0) return open + close;
  return `${open}\n${items.map((item) => inner + item).join(',\n')}\n${margin}${close}`;
}

function sorted(map: JsonMap): [string, Json][] {
  return Object.entries(map).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}
