/** Sums by days of UTC. Money is counted in micro-USDC; only what is drawn becomes a number. */
import { decimalUsdc, microUsdc } from '../../design/format';

export interface Dated {
  /** ISO 8601; null: it does not count yet. */
  readonly at: string | null;
  /** USDC. */
  readonly amount: string;
}

export interface Day {
  /** `2030-01-31`. */
  readonly day: string;
  readonly microUsdc: bigint;
  readonly count: number;
}

const DAY_MS = 86_400_000;

/** The last days up to one, oldest first, those without anything included. */
export function byDay(rows: readonly Dated[], days: number, until: Date): Day[] {
  const sums = new Map<string, { microUsdc: bigint; count: number }>();
  for (const { at, amount } of rows) {
    const day = at?.slice(0, 10) ?? '';
    const sum = sums.get(day) ?? { microUsdc: 0n, count: 0 };
    sums.set(day, { microUsdc: sum.microUsdc + (microUsdc(amount) ?? 0n), count: sum.count + 1 });
  }
  return Array.from({ length: days }, (_, index) => {
    const day = new Date(until.getTime() - (days - 1 - index) * DAY_MS).toISOString().slice(0, 10);
    return { day, ...(sums.get(day) ?? { microUsdc: 0n, count: 0 }) };
  });
}

/** For a chart alone. */
export function drawn({ microUsdc: micro }: Day): number {
  return Number(decimalUsdc(micro));
}

/** What is wrong with an amount that was typed; empty: nothing. */
export function wrongAmount(text: string): string {
  const micro = microUsdc(text.trim());
  if (text.trim() === '' || (micro !== null && micro > 0n)) return '';
  return 'Give an amount of USDC with a point and at most six decimals, such as 5 or 0.25.';
}
