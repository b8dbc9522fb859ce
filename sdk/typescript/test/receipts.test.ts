import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { ranking } from '../src/receipts/auction.js';
import { ReceiptInvalidError, verifyReceipt } from '../src/receipts/index.js';
import type { Bid, Demand } from '../src/receipts/messages.js';

const VECTORS = new URL('../../../tests/vectors/', import.meta.url);
const TIME = readFileSync(new URL('receipt.json', VECTORS));
const USE = readFileSync(new URL('receipt_of_use.json', VECTORS));
// A prime, so that bytes of every kind are met.
const STRIDE = 13;

test('a receipt says item by item what it is worth', async () => {
  const found = await verifyReceipt(TIME);
  expect(found.result.outcome).toBe('completed');
  expect(found.paidMicroUsdc).toBe(8831);
  expect(Object.fromEntries(found.items.map(({ name, proof }) => [name, proof]))).toMatchObject({
    receipt: 'proven',
    auction: 'proven',
    execution: 'claimed',
    charge: 'proven',
    settlement: 'claimed',
  });
  expect(found.notChecked[0]).toContain(found.transaction);
});

test('a receipt of use says what was billed', async () => {
  const { use, billed } = await verifyReceipt(USE);
  expect(use?.model).toBe('meta-llama/Llama-3.2-1B-Instruct');
  expect(billed?.output_tokens).toBe(440);
});

test.each([
  ['time', TIME],
  ['use', USE],
])('a changed byte of a receipt of %s is found', async (_, receipt) => {
  const missed: number[] = [];
  for (let at = 0; at < receipt.length; at += STRIDE) {
    const changed = new Uint8Array(receipt);
    changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
    const found = await verifyReceipt(changed).catch((error: unknown) => error);
    if (!(found instanceof ReceiptInvalidError)) missed.push(at);
  }
  expect(missed).toEqual([]);
});

test('a text is as good as its bytes', async () => {
  await expect(verifyReceipt(TIME.toString())).resolves.toMatchObject({ paidMicroUsdc: 8831 });
});

test('another layout of the same content is no receipt', async () => {
  const laidOut = JSON.stringify(JSON.parse(TIME.toString()));
  await expect(verifyReceipt(laidOut)).rejects.toThrow('byte form');
});

test('what the reader expected is compared', async () => {
  const { coordinator, network, taskId, nodeId } = await verifyReceipt(TIME);
  await expect(verifyReceipt(TIME, { coordinator: [nodeId, coordinator], network, taskId })).resolves.toBeDefined();
  await expect(verifyReceipt(TIME, { coordinator: nodeId })).rejects.toThrow('whom you do not trust');
  await expect(verifyReceipt(TIME, { taskId: `${taskId}0` })).rejects.toThrow('another taskId');
});

test.each(['', '{}', 'null', '['.repeat(1_000_000), `{"a":${'9'.repeat(100_000)}}`, '{"__proto__": 1}'])(
  'garbage is no receipt: %.20s',
  async (garbage) => {
    await expect(verifyReceipt(garbage)).rejects.toThrow(ReceiptInvalidError);
  },
);

test('an auction held again gives the order and the prices that it gave', () => {
  const auctions = JSON.parse(readFileSync(new URL('auctions.json', VECTORS), 'utf8')) as Auction[];
  expect(auctions.length).toBeGreaterThan(10);
  for (const { name, bids, ranking: expected, ...terms } of auctions) {
    const entries = bids.map(({ node_id: nodeId, start_factor_permille: startFactor, ...bid }) => ({
      nodeId,
      startFactor,
      hash: nodeId,
      bid: bid as Bid,
    }));
    const ranked = ranking(terms as Demand, entries);
    expect(
      ranked.map(({ nodeId, price }) => [nodeId, Number(price)]),
      name,
    ).toEqual(expected.map((each) => [each.node_id, each.award_price_micro_usdc_per_hour]));
  }
});

interface Auction extends Pick<Demand, 'max_price_micro_usdc_per_hour' | 'gang'> {
  name: string;
  bids: (Partial<Bid> & { node_id: string; start_factor_permille: number })[];
  ranking: { node_id: string; award_price_micro_usdc_per_hour: number }[];
}
