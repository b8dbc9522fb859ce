// The types of what the API takes and answers, made of a coordinator's OpenAPI document:
//
//   curl -s $NEUROGRID_API_URL/openapi.json | node scripts/schema.mjs > src/schema.ts
//
// `make schema` at the repository's root does it with the coordinator of this checkout.

import { text } from 'node:stream/consumers';

import openapiTS, { astToString } from 'openapi-typescript';

// Documents 001 and 004 have programs of their own, which this package is not for.
const PREFIXES = ['/api/', '/v1/', '/oauth/', '/health'];
const SCHEMA = '#/components/schemas/';

function* referenced(value) {
  if (typeof value !== 'object' || value === null) return;
  if (typeof value.$ref === 'string' && value.$ref.startsWith(SCHEMA)) yield value.$ref.slice(SCHEMA.length);
  for (const item of Object.values(value)) yield* referenced(item);
}

/** A schema without its examples; a property may be called `title` or `example`, too. */
function withoutExamples(schema) {
  if (Array.isArray(schema)) return schema.map(withoutExamples);
  if (typeof schema !== 'object' || schema === null) return schema;
  const kept = Object.entries(schema).filter(
    ([name, value]) => !(['example', 'examples'].includes(name) || (name === 'title' && typeof value === 'string')),
  );
  return Object.fromEntries(
    kept.map(([name, value]) => [
      name,
      name === 'properties'
        ? Object.fromEntries(Object.entries(value).map(([field, item]) => [field, withoutExamples(item)]))
        : withoutExamples(value),
    ]),
  );
}

const document = JSON.parse(await text(process.stdin));
const every = document.components.schemas;
const kept = new Set();
const open = Object.entries(document.paths)
  .filter(([path]) => PREFIXES.some((prefix) => path.startsWith(prefix)))
  .flatMap(([, methods]) => [...referenced(methods)]);
for (let name = open.pop(); name !== undefined; name = open.pop()) {
  if (kept.has(name)) continue;
  kept.add(name);
  open.push(...referenced(every[name]));
}
const schemas = Object.fromEntries([...kept].sort().map((name) => [name, withoutExamples(every[name])]));
const ast = await openapiTS(
  { openapi: document.openapi, info: document.info, paths: {}, components: { schemas } },
  {
    rootTypes: true,
    rootTypesNoSchemaPrefix: true,
    rootTypesKeepCasing: true,
    // What has a default may be left out of a request.
    defaultNonNullable: false,
    emptyObjectsUnknown: true,
    silent: true,
  },
);
process.stdout.write(`// Written by scripts/schema.mjs from the coordinator's OpenAPI document: change it there.\n\n${astToString(ast)}`);
