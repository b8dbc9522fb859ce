// Prints the result in a receipt, if everything in the receipt holds:
//
//   node verify-receipt.mjs FILE

import { readFileSync } from 'node:fs';

import { verifyReceipt } from './receipt.mjs';

console.log(JSON.stringify(verifyReceipt(readFileSync(process.argv[2], 'utf8'))));
