// What this package says of receipts that Python has verified: reads lines of {receipt, items}, prints differences.
//
//   node test/receipts-recorded.ts FILE

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

import { verifyReceipt, ReceiptInvalidError } from '../dist/receipts/index.js';

let [valid, invalid] = [0, 0];
const differences: object[] = [];
const lines = createInterface({ input: createReadStream(process.argv[2] ?? '') });
for await (const line of lines) {
  const { receipt, items } = JSON.parse(line) as { receipt: string; items: string[][] | null };
  const found = await verifyReceipt(Buffer.from(receipt, 'base64')).catch((error: unknown) => error as Error);
  if (found instanceof Error) {
    invalid += 1;
    // Not any error: what breaks this program is no verdict.
    if (items !== null || !(found instanceof ReceiptInvalidError)) differences.push({ why: found.stack, python: items, receipt });
  } else {
    valid += 1;
    const ours = found.items.map(({ name, proof, signedBy, shows }) => [name, proof, signedBy, shows]);
    if (JSON.stringify(ours) !== JSON.stringify(items)) differences.push({ ours, python: items });
  }
}
console.log(JSON.stringify({ valid, invalid, differences }));
