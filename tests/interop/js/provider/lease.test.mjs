// A lease of the provider without a market: what it keeps of what it hears, with a chain that it is told of.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { Lease } from './lease.mjs';

const MESSAGES = JSON.parse(readFileSync(new URL('../../../vectors/messages.json', import.meta.url), 'utf8'));
const AWARD = MESSAGES.find(({ envelope }) => envelope.type === 'award').envelope.body;
const FUNDED = { lease_id: AWARD.lease_id, escrow: 'escrow', client: 'client', voucher_signer: 'signer' };

const voucher = (amount, final) => ({
  lease_id: AWARD.lease_id,
  cumulative_micro_usdc: amount,
  signature: '',
  link: null,
  final,
});

/** A lease that was stopped before its start, and the vouchers that it has redeemed; `looks` are its looks at the chain. */
function stopped(looks = []) {
  const redeemed = [];
  const chain = {
    escrow: async () => {
      const problem = looks.shift();
      if (problem) throw new Error(problem);
      return { max: 1000n };
    },
    isGood: async () => true,
    redeem: async (_, { cumulative_micro_usdc: amount }) => redeemed.push(amount) && 'transaction',
  };
  const lease = new Lease({ award: AWARD, need: {}, chain, save: () => {}, log: () => {} });
  lease.channel = { send: () => null, close: () => {} };
  lease.stop('cancelled');
  return { lease, redeemed };
}

/** Let everything that waits for nothing go on. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('a final voucher over nothing that comes before its escrow is kept', async () => {
  const { lease, redeemed } = stopped();
  await lease.heard('voucher', voucher(0, true));
  await settled();
  assert.deepEqual([lease.phase, redeemed], ['reported', []]);
  await lease.heard('funded', FUNDED);
  await settled();
  assert.deepEqual([lease.phase, redeemed], ['claiming', [0]]);
  lease.close();
});

test('the other way round it is the same', async () => {
  const { lease, redeemed } = stopped();
  await lease.heard('funded', FUNDED);
  await lease.heard('voucher', voucher(0, true));
  await settled();
  assert.deepEqual([lease.phase, redeemed], ['claiming', [0]]);
  lease.close();
});

test('a voucher over something that nothing is known to check against is not kept', async () => {
  const { lease, redeemed } = stopped();
  await lease.heard('voucher', voucher(7, true));
  await lease.heard('funded', FUNDED);
  await settled();
  assert.deepEqual([lease.phase, redeemed], ['reported', []]);
  await lease.heard('voucher', voucher(0, true));
  await settled();
  assert.deepEqual([lease.phase, redeemed], ['claiming', [0]]);
  lease.close();
});

test('an escrow that was not seen is looked for when it is named again', async () => {
  const { lease, redeemed } = stopped(['the escrow did not appear']);
  await lease.heard('voucher', voucher(0, true));
  await lease.heard('funded', FUNDED);
  await settled();
  assert.deepEqual([lease.phase, redeemed], ['reported', []]);
  await lease.heard('funded', FUNDED);
  await settled();
  assert.deepEqual([lease.phase, redeemed], ['claiming', [0]]);
  lease.close();
});
