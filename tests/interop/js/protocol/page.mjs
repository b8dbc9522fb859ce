// docs/protocol.md, read by a program: the tables are the source of every type, field, default and word here.

import { readFileSync } from 'node:fs';

const PAGE = readFileSync(new URL('../../../../docs/protocol.md', import.meta.url), 'utf8').split('\n');
const SAFE = Number.MAX_SAFE_INTEGER;

/** A value that does not fit its table. */
export class Malformed extends Error {}

/** A message of a later version, which may be passed over. */
export class Unknown extends Malformed {}

/** The cells of the tables under a heading, up to the next one. */
function rows(heading) {
  const start = PAGE.findIndex((line) => line.startsWith('#') && line.replace(/^#+ /, '') === heading);
  const found = [];
  for (let at = start + 1; start >= 0 && at < PAGE.length && !PAGE[at].startsWith('#'); at += 1) {
    if (PAGE[at].startsWith('|') && !PAGE[at].startsWith('|---')) {
      found.push(
        PAGE[at]
          .split(/(?<!\\)\|/)
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
    }
  }
  return found.slice(1);
}

const bare = (cell) => cell.replaceAll('`', '');
const ticked = (cell) => [...cell.matchAll(/`([^`]*)`/g)].map((match) => match[1]);

const TYPES = Object.fromEntries(rows('Types').map(([name, bounds]) => [bare(name), bounds]));
const WORDS = Object.fromEntries(rows('Words').map(([name, values]) => [bare(name), ticked(values)]));

/** Message name -> 'C' or 'N', who says it. */
export const SAID_BY = Object.fromEntries(rows('Messages').map(([name, by]) => [bare(name), by]));

/** The fields of a message or of what messages are made of: name, type and default. */
function fields(name) {
  const found = rows(`\`${name}\``);
  if (found.length === 0) throw new Error(`docs/protocol.md has no table of ${name}`);
  return found.map(([field, type, words]) => {
    const fallback = words.replace(/, omitted$/, '');
    return {
      name: bare(field),
      type,
      omitted: fallback !== words,
      fallback:
        fallback === '64 zeros' ? '0'.repeat(64) : fallback === '' ? undefined : JSON.parse(bare(fallback)),
    };
  });
}

const number = (text) => (text === '2^53 - 1' ? SAFE : Number(text));

function refuse(path, why) {
  throw new Malformed(`${path}: ${why}`);
}

/** A value of a type as the tables word it: checked, defaults filled in, unknown fields dropped. */
function read(type, value, path) {
  const nullable = /^(.*) or null$/.exec(type);
  if (nullable) return value === null ? null : read(nullable[1], value, path);
  const either = /^`(\w+)` or `(\w+)`$/.exec(type);
  if (either) {
    const isNumber = typeof value === 'number' || typeof value === 'bigint';
    return read(`\`${either[isNumber ? 1 : 2]}\``, value, path);
  }
  const list = /^list of (.*), (?:(\d+) to|at most) (\d+)$/.exec(type);
  if (list) {
    if (!Array.isArray(value)) refuse(path, 'no list');
    if (value.length < Number(list[2] ?? 0) || value.length > Number(list[3])) refuse(path, 'too short or too long');
    return value.map((item, index) => read(list[1], item, `${path}[${index}]`));
  }
  const map = /^map of (.*) to (.*), at most (\d+)$/.exec(type);
  if (map) {
    const entries = Object.entries(object(value, path));
    if (entries.length > Number(map[3])) refuse(path, 'too many');
    return Object.fromEntries(
      entries.map(([key, item]) => [read(map[1], key, path), read(map[2], item, `${path}.${key}`)]),
    );
  }
  const whole = /^int(?:, (?:at least (-?\d+)|(-?\d+) to (.*)))?$/.exec(type);
  if (whole) {
    if (!Number.isSafeInteger(value) && typeof value !== 'bigint') refuse(path, 'no integer');
    if (value < number(whole[1] ?? whole[2] ?? '-Infinity')) refuse(path, 'too small');
    if (whole[3] !== undefined && value > number(whole[3])) refuse(path, 'too large');
    return value;
  }
  if (type === 'bool') {
    if (typeof value !== 'boolean') refuse(path, 'no boolean');
    return value;
  }
  if (type === 'str' || type.startsWith('str, ')) return text(type, value, path);
  const [name] = ticked(type);
  if (name in TYPES) return read(TYPES[name], value, path);
  if (name in WORDS) {
    if (!WORDS[name].includes(value)) refuse(path, `not one of ${WORDS[name]}`);
    return value;
  }
  return struct(name, value, path);
}

function text(type, value, path) {
  if (typeof value !== 'string') refuse(path, 'no string');
  const [pattern] = ticked(type);
  // The page writes Python's regular expressions, with the table's own bar escaped.
  const matches = pattern && `^(?:${pattern.replaceAll('\\|', '|').replaceAll('\\Z', '$')})$`;
  if (matches && !new RegExp(matches, 'u').test(value)) refuse(path, `does not match ${pattern}`);
  const most = /at most (\d+) characters/.exec(type);
  if (most && [...value].length > Number(most[1])) refuse(path, 'too long');
  return value;
}

function object(value, path) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(path, 'no map');
  return value;
}

function struct(name, value, path) {
  const given = object(value, path);
  const result = {};
  for (const field of fields(name)) {
    const has = Object.hasOwn(given, field.name);
    if (!has && field.fallback === undefined) refuse(path, `lacks ${field.name}`);
    const item = has ? given[field.name] : field.fallback;
    // Every later field so far is null where it says nothing.
    if (field.omitted && item === field.fallback) continue;
    result[field.name] = read(field.type, item, `${path}.${field.name}`);
  }
  return result;
}

/** A message, or what messages are made of, with every field of its table. */
export function parse(name, value) {
  return struct(name, value, name);
}

/** The body of a message, by "Versions". */
export function parseBody(type, body) {
  const isKnown = Object.hasOwn(SAID_BY, type);
  const known = isKnown ? [type, ...fields(type).map((field) => field.name)] : [];
  const critical = Object.hasOwn(object(body, type), 'critical') ? body.critical : [];
  if (!Array.isArray(critical) || critical.length > 16) refuse(type, 'critical is no short list');
  for (const name of critical) if (!known.includes(name)) refuse(type, `${name} has to be understood`);
  if (!isKnown) throw new Unknown(`no message is called ${type}`);
  return parse(type, body);
}

/** Rows of the table of a receipt's links: kind, least, most, signer. */
export const LINK_KINDS = rows('Kinds of links').map(([kind, count, signer]) => {
  const [least, most = least] = count.split(' to ').map(Number);
  return { kind: bare(kind), least, most, signer };
});
