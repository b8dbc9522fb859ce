// The tables of docs/protocol.md that a receipt is made of, as TypeScript:
//
//   node scripts/protocol.mjs < ../../docs/protocol.md > src/receipts/tables.ts

import { text } from 'node:stream/consumers';

const page = (await text(process.stdin)).split('\n');

/** The cells of the tables under a heading, up to the next one. */
function rows(heading) {
  const start = page.findIndex((line) => line.startsWith('#') && line.replace(/^#+ /, '') === heading);
  if (start < 0) throw new Error(`docs/protocol.md has no heading ${heading}`);
  const end = page.findIndex((line, at) => at > start && line.startsWith('#'));
  return page
    .slice(start, end)
    .filter((line) => line.startsWith('|') && !line.startsWith('|---'))
    .slice(1)
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

const bare = (cell) => cell.replaceAll('`', '');
const ticked = (cell) => [...cell.matchAll(/`([^`]*)`/g)].map((match) => match[1]);
const types = Object.fromEntries(rows('Types').map(([name, bounds]) => [bare(name), bounds]));
const words = Object.fromEntries(rows('Words').map(([name, values]) => [bare(name), ticked(values)]));
const links = rows('Kinds of links').map(([kind, count, signer]) => {
  const [least, most = least] = count.split(' to ').map(Number);
  return { kind: bare(kind), least, most, signer };
});

const found = { types: {}, words: {}, structs: {} };

/** Everything that a type is made of. */
function take(type) {
  // A pattern is no name.
  if (type.startsWith('str, ')) return;
  for (const name of ticked(type)) {
    if (name in types) {
      if (name in found.types) continue;
      found.types[name] = types[name];
      take(types[name]);
    } else if (name in words) found.words[name] = words[name];
    else takeStruct(name);
  }
}

function takeStruct(name) {
  if (name in found.structs) return;
  found.structs[name] = rows(`\`${name}\``).map(([field, type, said]) => {
    const fallback = said.replace(/, omitted$/, '');
    const isOmitted = fallback !== said;
    return [
      bare(field),
      type,
      ...(fallback === '' ? [] : [fallback === '64 zeros' ? '0'.repeat(64) : JSON.parse(bare(fallback))]),
      ...(isOmitted ? [true] : []),
    ];
  });
  for (const [, type] of found.structs[name]) take(type);
}

for (const { kind } of links) takeStruct(kind === 'settlement' ? 'SettlementStatement' : kind);

const sorted = (map) => Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
const written = (value) => JSON.stringify(value, null, 1).replace(/\[\n\s+("(?:[^"\\]|\\.)*"),\n\s+("(?:[^"\\]|\\.)*")((?:,\n\s+[^\n[\]{}]+)*)\n\s+\]/g, (_, a, b, rest) => `[${a}, ${b}${rest.replace(/\n\s+/g, ' ')}]`);

process.stdout.write(`// Written by scripts/protocol.mjs from docs/protocol.md: change it there.

/** A field's name, its type in the page's words, its default where it has one, and whether it is left out with it. */
export type Field = readonly [name: string, type: string, fallback?: unknown, omitted?: true];

export const TYPES: Readonly<Record<string, string>> = ${written(sorted(found.types))};

export const WORDS: Readonly<Record<string, readonly string[]>> = ${written(sorted(found.words))};

export const STRUCTS: Readonly<Record<string, readonly Field[]>> = ${written(sorted(found.structs))};

export const LINK_KINDS: readonly { kind: string; least: number; most: number; signer: string }[] = ${written(links)};
`);
