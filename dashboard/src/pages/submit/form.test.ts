import { expect, test } from 'vitest';

import { NEW, placeOf, requestOf } from './form';
import { asCommand, asCurl, asPython } from './programs';
import { lineOf, wordsOf } from './words';

const FORM = { ...NEW, image: 'neurogrid/job:1', command: `sh -c 'echo "hi"'` };

test('the command becomes words as a shell has them', () => {
  expect(wordsOf(`a 'b c' "d \\"e" f\\ g ''`)).toEqual(['a', 'b c', 'd "e', 'f g', '']);
  expect(wordsOf(`a 'b`)).toBeNull();
});

test('words become a line that has the same words', () => {
  const words = ['a', "it's", '', 'x y', '$HOME', '"', '\\'];
  expect(wordsOf(lineOf(words))).toEqual(words);
});

test('what is left as it is is not in the request', () => {
  expect(requestOf(FORM).request).toEqual({
    docker_image: 'neurogrid/job:1',
    max_price_per_hour: '1.00',
    timeout_seconds: 3600,
    resource_requirements: { cpu_cores: 1, ram_gb: 1, storage_gb: 1 },
    command: ['sh', '-c', 'echo "hi"'],
  });
});

test('each field that is wrong has a sentence of its own, and no request is made', () => {
  const { request, problems } = requestOf({ ...NEW, price: 'much', env: 'X', cores: '0' });
  expect(request).toBeNull();
  expect(Object.keys(problems).sort()).toEqual(['cores', 'env', 'image', 'price']);
});

test("an error of the API's has its place in the form", () => {
  expect(placeOf('resource_requirements.ram_gb')).toBe('memoryGb');
  expect(placeOf('constraints')).toBe('where');
  expect(placeOf('something')).toBeNull();
});

test('the request is the same for a terminal and in Python', () => {
  const { request } = requestOf({ ...FORM, preemptible: true });
  if (request === null) throw new Error('no request');
  expect(asCurl(request, 'http://x')).toContain('"preemptible":true');
  expect(asPython(request, 'http://x')).toContain('preemptible=True,');
  expect(asCommand(request)).toContain(`--preemptible \\\n  -- neurogrid/job:1 sh -c 'echo "hi"'`);
});

test('what the form has no field for is taken over, and left out where its field was changed', () => {
  const rest = { needs: { gpu_model: 'RTX 4090' }, request: { regions: ['eu-west'], verification: { mode: 'quorum' as const, runs: 3 } } };
  const { request } = requestOf({ ...FORM, gpus: '1', verification: 'quorum', rest });
  expect(request).toMatchObject({ regions: ['eu-west'], verification: { runs: 3 }, resource_requirements: { gpu_model: 'RTX 4090' } });
  expect(requestOf({ ...FORM, rest }).request).not.toHaveProperty('verification');
});
