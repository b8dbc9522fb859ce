// "Money" of docs/protocol.md: integers of micro-USDC, rounded up once.

import type { Units } from './messages.js';

const HOUR_MS = 3_600_000n;
const MILLION = 1_000_000n;
const NAMES = ['input_tokens', 'cached_input_tokens', 'output_tokens', 'images', 'audio_ms', 'requests'] as const;

export const NOTHING_SERVED = Object.fromEntries(NAMES.map((name) => [name, 0])) as unknown as Units;

export function ceilDiv(amount: bigint, divisor: bigint): bigint {
  return (amount + divisor - 1n) / divisor;
}

/** What running for so long costs. */
export function cost(pricePerHour: number, ms: number): bigint {
  return ceilDiv(BigInt(pricePerHour) * BigInt(ms), HOUR_MS);
}

/** What so much of each kind costs. */
export function unitCost(prices: Units, units: Units): bigint {
  return ceilDiv(
    NAMES.reduce((sum, name) => sum + BigInt(prices[name]) * BigInt(units[name]), 0n),
    MILLION,
  );
}

/** Whether it is at least as much, of each kind. */
export function covers(units: Units, other: Units): boolean {
  return NAMES.every((name) => units[name] >= other[name]);
}

/** Of each kind the greater of the two. */
export function most(units: Units, other: Units): Units {
  return Object.fromEntries(NAMES.map((name) => [name, Math.max(units[name], other[name])])) as unknown as Units;
}

export function unitWords(units: Units): string {
  const found = NAMES.filter((name) => units[name]).map((name) => `${units[name]} ${name.replaceAll('_', ' ')}`);
  return found.join(', ') || 'nothing';
}

/** An amount for people: two to six decimals. */
export function usdc(amount: number | bigint): string {
  const digits = String(amount).padStart(7, '0');
  return `${digits.slice(0, -6)}.${digits.slice(-6).replace(/0{1,4}$/, '')}`;
}
