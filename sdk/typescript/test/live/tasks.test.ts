// Against a coordinator whose nodes answer every task; tests/typescript starts it.

import { expect, test } from 'vitest';

import { BoltClient, NotFoundError } from '../../src/index.js';

const client = new BoltClient();

test('a task that was submitted is followed to its result', async () => {
  const task = await client.submitTask({ model: 'small', input: 'To be,' });
  const seen: number[] = [];
  task.on('progress', (percent) => seen.push(percent));
  const done = await task.wait();
  expect(done.result).toBe(' or not to be');
  expect(done.status).toBe('complete');
  expect(seen.at(-1)).toBe(100);
});

test('what the coordinator refuses is an error with its code', async () => {
  const asked = client.submitTask({ model: 'none-of-this-name', input: 'x' });
  const error = await asked.catch((found: unknown) => found);
  expect(error).toBeInstanceOf(NotFoundError);
  expect(error).toMatchObject({ code: 'MODEL_UNAVAILABLE', status: 404 });
  expect((error as NotFoundError).requestId).not.toBe('');
});

test('a ping is answered by a pong, and the connection is told of', async () => {
  const heard = await new Promise<string[]>((resolve) => {
    const names: string[] = [];
    client.on('connect', () => {
      names.push('connect');
      client.ping();
    });
    client.on('pong', () => {
      names.push('pong');
      resolve(names);
    });
  });
  client.close();
  expect(heard).toEqual(['connect', 'pong']);
});
