// The ledger under test. tests/interop/ledger.py puts what there is to know about it into the environment.

import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';

// What @solana/kit takes for granted and Debian 12's Node.js 18 lacks as a global.
globalThis.crypto ??= webcrypto;
globalThis.CustomEvent ??= class CustomEvent extends Event {
  constructor(type, { detail = null, ...options } = {}) {
    super(type, options);
    this.detail = detail;
  }
};

export const ledger = JSON.parse(process.env.INTEROP_LEDGER);

/** The result of a JSON-RPC call that no library knows. */
export async function call(method, ...params) {
  const response = await fetch(ledger.rpc_url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

/** Move the chain's clock forward; every blockhash so far is dead beyond 150 slots. */
export function warp(slots) {
  const key = readFileSync(ledger.control_key_file, 'utf8').trim();
  return call('neurogrid_warp', { key, slots });
}

/** Polls until `probe` answers something; the suite's own time limit bounds it. */
export async function until(probe) {
  for (;;) {
    const found = await probe();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Base58, as signatures and keys are written. */
export const base58 = (bytes) => {
  const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
  let number = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  let text = '';
  for (; number > 0n; number /= 58n) text = alphabet[Number(number % 58n)] + text;
  return '1'.repeat(bytes.findIndex((byte) => byte !== 0)) + text;
};
