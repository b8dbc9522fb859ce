// Receipts: everything that both sides of a lease have signed, checked here, with nobody asked. docs/receipts.md.

import {
  agreed,
  checkAgreement,
  checkAuction,
  checkIdentities,
  checkOrder,
  checkRun,
  checkSealing,
  checkTerms,
  resultOf,
} from './checks.js';
import { demand, ReceiptInvalidError } from './invalid.js';
import { COORDINATOR, proven, type ReceiptItem } from './items.js';
import { one, readParts, type Parts } from './links.js';
import type { Result, Settlement, Units, Use } from './messages.js';
import { checkCharge, checkEscrow, checkMetering, checkSettlement, checkVouchers } from './money.js';

export { ReceiptInvalidError } from './invalid.js';
export type { Proof, ReceiptItem } from './items.js';
export type { Result, Settlement, Units, Use } from './messages.js';

/** Whom the reader trusts, and what the receipt has to be of; what is left out may be anything. */
export interface Expected {
  /** The coordinator's peer id, or several. */
  coordinator?: string | readonly string[];
  /** The market's tag. */
  network?: string;
  taskId?: string;
  leaseId?: string;
}

/** What a valid receipt shows. */
export interface VerifiedReceipt {
  readonly network: string;
  readonly taskId: string;
  readonly leaseId: string;
  readonly coordinator: string;
  readonly nodeId: string;
  readonly result: Result;
  readonly priceMicroUsdcPerHour: number;
  /** What the client paid, as the coordinator says. */
  readonly paidMicroUsdc: number;
  readonly transaction: string;
  readonly settlement: Settlement;
  /** What a lease for use was for, and what was passed on of it; null of one that counts time. */
  readonly use: Use | null;
  readonly billed: Units | null;
  /** Each thing it says, with what that is worth. */
  readonly items: readonly ReceiptItem[];
  /** What nothing here has looked at, for people. */
  readonly notChecked: readonly string[];
}

// In the order in which a lease is told. A check may rely on those before it.
const CHECKS: readonly ((parts: Parts) => ReceiptItem[] | Promise<ReceiptItem[]>)[] = [
  checkIdentities,
  checkTerms,
  checkSealing,
  checkAuction,
  checkAgreement,
  checkRun,
  checkEscrow,
  checkMetering,
  checkVouchers,
  checkCharge,
  checkSettlement,
  checkOrder,
];

/**
 * Check a receipt, as it came: a single changed byte makes it invalid, so do not parse it before.
 *
 * @throws ReceiptInvalidError the first thing that does not hold, in words.
 * @throws ConfigurationError this platform has no Ed25519.
 */
export async function verifyReceipt(
  receipt: string | ArrayBuffer | Uint8Array,
  expected: Expected = {},
): Promise<VerifiedReceipt> {
  try {
    const parts = await readParts(receipt);
    const items: ReceiptItem[] = [];
    for (const check of CHECKS) items.push(...(await check(parts)));
    checkExpected(parts, expected);
    return verified(parts, items);
  } catch (error) {
    // Nested beyond what this engine's stack holds.
    if (error instanceof RangeError) throw new ReceiptInvalidError('not the JSON of a receipt', { cause: error });
    throw error;
  }
}

function checkExpected(parts: Parts, expected: Expected): void {
  const trusted = expected.coordinator === undefined ? [parts.coordinator] : [expected.coordinator].flat();
  demand(trusted.includes(parts.coordinator), `signed by coordinator ${parts.coordinator}, whom you do not trust`);
  for (const name of ['network', 'taskId', 'leaseId'] as const) {
    demand(
      expected[name] === undefined || expected[name] === parts[name],
      `another ${name} than you expected: ${parts[name]}`,
    );
  }
}

function verified(parts: Parts, items: readonly ReceiptItem[]): VerifiedReceipt {
  const { network, taskId, leaseId, coordinator, nodeId } = parts;
  const { message: settlement } = one(parts.links.settlement);
  const whole = proven(
    'receipt',
    COORDINATOR,
    `${parts.size} links, unchanged since the coordinator signed them for ${network}`,
  );
  return {
    network,
    taskId,
    leaseId,
    coordinator,
    nodeId,
    result: resultOf(parts),
    priceMicroUsdcPerHour: agreed(parts).price_micro_usdc_per_hour,
    paidMicroUsdc: settlement.paid_micro_usdc,
    transaction: settlement.transaction,
    settlement,
    use: one(parts.links.demand).message.use ?? null,
    billed: settlement.billed ?? null,
    items: [whole, ...items],
    notChecked: [
      `the chain: whether transaction ${settlement.transaction} is there, and what it paid (\`neurogrid verify --rpc\` looks)`,
      'the output files: whether those that you have are those that the node named (`neurogrid verify --outputs` compares)',
      'who holds the keys of coordinator and node, beyond what you named',
    ],
  };
}
