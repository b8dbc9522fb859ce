import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { build, type Rolldown } from 'vite';
import { expect, test } from 'vitest';

/** The bytes that a page loads for this, packed. */
async function packed(name: string): Promise<number> {
  const entry = fileURLToPath(new URL(`bundled/${name}.ts`, import.meta.url));
  const made = await build({
    configFile: false,
    logLevel: 'silent',
    build: { write: false, minify: true, lib: { entry, formats: ['es'] } },
  });
  const [{ output }] = made as [Rolldown.RolldownOutput];
  return output.reduce((size, each) => size + (each.type === 'chunk' ? gzipSync(each.code).length : 0), 0);
}

test.each([
  ['client', 12_000],
  ['receipts', 14_000],
])('a page that uses the %s loads at most %i bytes for it', async (name, most) => {
  expect(await packed(name)).toBeLessThan(most);
});
