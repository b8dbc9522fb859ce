// "Canonical form and hashes" of docs/protocol.md.

import { createHash } from 'node:crypto';

const MAX_DEPTH = 16;

/** The canonical text of a value. */
export function canonical(value, depth = MAX_DEPTH) {
  if (depth < 0) throw new TypeError(`nested deeper than ${MAX_DEPTH}`);
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is no integer`);
    return String(value);
  }
  if (typeof value === 'string') {
    if (/\p{Surrogate}/u.test(value)) throw new TypeError('a lone surrogate');
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, depth - 1)).join(',')}]`;
  if (typeof value !== 'object') throw new TypeError(`${typeof value} has no canonical form`);
  const keys = Object.keys(value).sort();
  for (const key of keys) {
    if (!/^[\x00-\x7f]*$/.test(key)) throw new TypeError(`the key ${key} is not ASCII`);
  }
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key], depth - 1)}`).join(',')}}`;
}

/** SHA-256 of bytes or texts, one after the other, in lower-case hex. */
export function sha256(...parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}
