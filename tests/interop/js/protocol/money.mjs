// "Money" of docs/protocol.md, and what of "Pay as it runs" is arithmetic. All amounts are integers of micro-USDC.

import { sha256 } from './canonical.mjs';
import { fromBase58 } from './keys.mjs';

const HOUR_MS = 3_600_000n;
const GIB = 2n ** 30n;
const TOLERANCE_MS = 5_000;

/** Of BigInts, rounded up. */
export const ceilDiv = (amount, divisor) => (amount + divisor - 1n) / divisor;

/** What running for so long costs. */
export function cost(pricePerHour, ms) {
  return Number(ceilDiv(BigInt(pricePerHour) * BigInt(ms), HOUR_MS));
}

/** What a price list asks for requirements, per hour. */
export function quote(prices, need) {
  const parts = [
    [prices.cpu_core_micro_usdc_per_hour, need.cpu_millis, 1000n],
    [prices.memory_gib_micro_usdc_per_hour, need.memory_bytes, GIB],
    [prices.gpu_micro_usdc_per_hour, need.gpu_count, 1n],
  ];
  return parts.reduce(
    (sum, [price, amount, unit]) => sum + Number(ceilDiv(BigInt(price) * BigInt(amount), unit)),
    prices.base_micro_usdc_per_hour,
  );
}

/** The most that a coordinator signs. */
export function signable(pricePerHour, maxCost, meteredMs, elapsedMs) {
  return Math.min(maxCost, cost(pricePerHour, Math.min(meteredMs, elapsedMs + TOLERANCE_MS)));
}

/** Whether a node stops working until it gets a voucher. */
export function mustPause(pricePerHour, meteredMs, voucher, maxUnpaidMs) {
  return cost(pricePerHour, meteredMs) - voucher > cost(pricePerHour, maxUnpaidMs);
}

/** What units cost, rounded up once: a BigInt. */
export function unitCost(prices, units) {
  const exact = Object.keys(prices).reduce((sum, name) => sum + BigInt(prices[name]) * BigInt(units[name]), 0n);
  return ceilDiv(exact, 1_000_000n);
}

/** An amount for people: two to six decimals. */
export function usdc(amount) {
  const digits = String(amount).padStart(7, '0');
  const decimals = digits.slice(-6).replace(/0{1,4}$/, '');
  return `${digits.slice(0, -6)}.${decimals}`;
}

/** The job id of a lease's escrow, 32 bytes. */
export function escrowJobId(leaseId) {
  return Buffer.from(sha256(`neurogrid:lease:${leaseId}`), 'hex');
}

/** The 72 bytes that a voucher's signature covers. */
export function voucherMessage({ domain, escrow, sequence, cumulative }) {
  const message = Buffer.alloc(72);
  message.write('NGVOUCH1', 0);
  message.writeBigUInt64LE(BigInt(domain), 8);
  fromBase58(escrow).copy(message, 16);
  message.writeBigUInt64LE(BigInt(sequence), 48);
  message.writeBigUInt64LE(BigInt(cumulative), 56);
  return message;
}
