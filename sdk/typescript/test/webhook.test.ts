import { createHmac } from 'node:crypto';

import { expect, test } from 'vitest';

import { verifyWebhook } from '../src/index.js';

const SECRET = 'whsec_of_a_test';
const BODY = '{"type":"task.completed"}';
const now = () => String(Math.floor(Date.now() / 1000));
const signed = (text: string) => createHmac('sha256', SECRET).update(text).digest('hex');

test('a delivery with its time is the coordinator\'s', async () => {
  const timestamp = now();
  const signature = signed(`${timestamp}.${BODY}`);
  expect(await verifyWebhook(BODY, { signature, timestamp }, SECRET)).toBe(true);
  expect(await verifyWebhook(new TextEncoder().encode(BODY), { signature, timestamp }, SECRET)).toBe(true);
});

test('a delivery of document 000 is signed by its body alone', async () => {
  expect(await verifyWebhook(BODY, signed(BODY), SECRET)).toBe(true);
  expect(await verifyWebhook(`${BODY} `, signed(BODY), SECRET)).toBe(false);
});

test.each([
  ['another secret', BODY, (time: string) => signed(`${time}.${BODY}`), now(), 'another'],
  ['another body', '{}', (time: string) => signed(`${time}.${BODY}`), now(), SECRET],
  ['a signature without its time', BODY, () => signed(BODY), now(), SECRET],
  ['no signature', BODY, () => '', now(), SECRET],
  ['an old delivery', BODY, (time: string) => signed(`${time}.${BODY}`), '1700000000', SECRET],
  ['no time', BODY, () => signed(`.${BODY}`), '', SECRET],
  ['a time that is none', BODY, () => signed(`x.${BODY}`), 'x', SECRET],
])('refused: %s', async (_, body, signature, timestamp, secret) => {
  expect(await verifyWebhook(body, { signature: signature(timestamp), timestamp }, secret)).toBe(false);
});

test('how old a delivery may be is the receiver\'s', async () => {
  const headers = { signature: signed(`1700000000.${BODY}`), timestamp: '1700000000' };
  expect(await verifyWebhook(BODY, headers, SECRET, { toleranceSeconds: null })).toBe(true);
});
