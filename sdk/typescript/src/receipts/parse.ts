// Values by the tables of docs/protocol.md: every type, bound, default and word there is checked here.

import { canonical, isMap, type Json, type JsonMap } from './json.js';
import { ReceiptInvalidError } from './invalid.js';
import { STRUCTS, TYPES, WORDS } from './tables.js';

function refuse(path: string, why: string): never {
  throw new ReceiptInvalidError(`${path}: ${why}`);
}

const bound = (text: string | undefined): number | null =>
  text === undefined ? null : text === '2^53 - 1' ? Number.MAX_SAFE_INTEGER : Number(text);

/** A value of a type as the tables word it: checked, defaults filled in, unknown fields dropped. */
function read(type: string, value: Json, path: string): Json {
  const nullable = /^(.*) or null$/.exec(type)?.[1];
  if (nullable !== undefined) return value === null ? null : read(nullable, value, path);
  const either = /^`(\w+)` or `(\w+)`$/.exec(type);
  if (either) {
    const isNumber = typeof value === 'number' || typeof value === 'bigint';
    return read(`\`${(isNumber ? either[1] : either[2]) ?? ''}\``, value, path);
  }
  const list = /^list of (.*), (?:(\d+) to|at most) (\d+)$/.exec(type);
  if (list) {
    if (!Array.isArray(value)) refuse(path, 'no list');
    if (value.length < Number(list[2] ?? 0) || value.length > Number(list[3])) refuse(path, 'too short or too long');
    return value.map((item, index) => read(list[1] ?? '', item, `${path}[${index}]`));
  }
  const map = /^map of (.*) to (.*), at most (\d+)$/.exec(type);
  if (map) {
    const entries = Object.entries(struct(value, path));
    if (entries.length > Number(map[3])) refuse(path, 'too many');
    return mapOf(
      entries.map(([key, item]) => [
        read(map[1] ?? '', key, path) as string,
        read(map[2] ?? '', item, `${path}.${key}`),
      ]),
    );
  }
  const whole = /^int(?:, (?:at least (-?\d+)|(-?\d+) to (.*)))?$/.exec(type);
  if (whole) {
    if (typeof value !== 'number' && typeof value !== 'bigint') refuse(path, 'no integer');
    const [least, most] = [bound(whole[1] ?? whole[2]), bound(whole[3])];
    if (least !== null && value < least) refuse(path, 'too small');
    if (most !== null && value > most) refuse(path, 'too large');
    return value;
  }
  if (type === 'bool') {
    if (typeof value !== 'boolean') refuse(path, 'no boolean');
    return value;
  }
  if (type === 'str' || type.startsWith('str, ')) return text(type, value, path);
  const name = /`([^`]*)`/.exec(type)?.[1] ?? '';
  if (Object.hasOwn(TYPES, name)) return read(TYPES[name] ?? '', value, path);
  if (Object.hasOwn(WORDS, name)) {
    if (typeof value !== 'string' || !WORDS[name]?.includes(value)) refuse(path, 'none of its words');
    return value;
  }
  return parse(name, value, path);
}

const patterns = new Map<string, RegExp>();

function text(type: string, value: Json, path: string): string {
  if (typeof value !== 'string') refuse(path, 'no string');
  const pattern = /`([^`]*)`/.exec(type)?.[1];
  if (pattern !== undefined) {
    // The page writes Python's regular expressions, with the table's own bar escaped.
    const matches =
      patterns.get(pattern) ??
      new RegExp(`^(?:${pattern.replaceAll('\\|', '|').replaceAll('\\Z', '$')})$`, 'u');
    patterns.set(pattern, matches);
    if (!matches.test(value)) refuse(path, `does not match ${pattern}`);
  }
  const most = /at most (\d+) characters/.exec(type)?.[1];
  if (most !== undefined && Array.from(value).length > Number(most)) refuse(path, 'too long');
  return value;
}

function struct(value: Json, path: string): JsonMap {
  if (!isMap(value)) refuse(path, 'no map');
  return value;
}

function mapOf(entries: [string, Json][]): JsonMap {
  return Object.assign(Object.create(null) as JsonMap, Object.fromEntries(entries));
}

/** A message, or what messages are made of, with every field of its table but those that are left out with their default. */
export function parse(name: string, value: Json, path = name): JsonMap {
  const fields = STRUCTS[name];
  if (!fields) throw new ReceiptInvalidError(`there is no ${name}`);
  const given = struct(value, path);
  const found: [string, Json][] = [];
  for (const [field, type, fallback, isOmitted] of fields) {
    const has = Object.hasOwn(given, field);
    if (!has && fallback === undefined) refuse(path, `lacks ${field}`);
    const item = (has ? given[field] : fallback) as Json;
    // A default may be an empty list.
    if (isOmitted && canonical(item) === canonical(fallback as Json)) continue;
    found.push([field, read(type, item, `${path}.${field}`)]);
  }
  return mapOf(found);
}

/** As `parse`, of what has exactly the fields of its table: what nobody reads could say anything. */
export function parseExactly(name: string, value: Json): JsonMap {
  const found = parse(name, value);
  if (canonical(found) !== canonical(value)) refuse(name, 'has not exactly the fields of its kind');
  return found;
}
