// "Auction" of docs/protocol.md: who wins at which price.

import { ceilDiv } from './amounts.js';
import type { Bid, Demand } from './messages.js';

const PUNCTUAL = 1000;

/** A bid to be ranked. */
export interface Entry {
  readonly nodeId: string;
  readonly bid: Bid;
  /** Of its envelope. */
  readonly hash: string;
  /** What its node's word on its start is multiplied by, thousandths. */
  readonly startFactor?: number | undefined;
}

export interface Ranked extends Entry {
  /** What it is paid an hour if it gets the lease. */
  readonly price: bigint;
}

interface Scored extends Entry {
  readonly asked: bigint;
  readonly waiting: bigint;
  readonly score: bigint;
}

const ascending = <T>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);
const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const greatest = (a: bigint, b: bigint): bigint => (a > b ? a : b);

/** All bids that count, best first, each with the price it would be paid; of a gang those with a seat first, by rank. */
export function ranking(demand: Demand, entries: readonly Entry[]): Ranked[] {
  const maximum = BigInt(demand.max_price_micro_usdc_per_hour);
  const counted = entries.filter(
    ({ nodeId, bid }, at) =>
      // Only the first bid of a node counts.
      entries.findIndex((other) => other.nodeId === nodeId && BigInt(other.bid.price_micro_usdc_per_hour) <= maximum) === at &&
      BigInt(bid.price_micro_usdc_per_hour) <= maximum,
  );
  const scored = counted.map((entry): Scored => {
    const asked = BigInt(entry.bid.price_micro_usdc_per_hour);
    const started = BigInt(Math.max(1, entry.bid.start_ms)) * BigInt(entry.startFactor ?? PUNCTUAL);
    // Per mille of the maximum for each 1000 ms.
    const waiting = ceilDiv(maximum * ceilDiv(started, 1000n), 1_000_000n);
    return { ...entry, asked, waiting, score: asked + waiting };
  });
  scored.sort((a, b) => ascending(a.score, b.score) || ascending(a.nodeId, b.nodeId));
  return demand.gang ? gangRanking(maximum, scored, demand.gang) : secondScores(maximum, scored);
}

function secondScores(maximum: bigint, scored: readonly Scored[]): Ranked[] {
  return scored.map((entry, place) => {
    const second = scored.slice(place + 1).find(({ bid }) => bid.wallet !== entry.bid.wallet)?.score;
    const paid = second === undefined ? entry.asked : greatest(entry.asked, second - entry.waiting);
    return { ...entry, price: least(maximum, paid) };
  });
}

/** "Gangs": each winner is paid by who would have had to be taken without its owner. */
function gangRanking(maximum: bigint, scored: readonly Scored[], gang: NonNullable<Demand['gang']>): Ranked[] {
  const owners = new Set<string>();
  const isFree = ({ bid }: Scored): boolean => gang.apart === 'node' || !owners.has(bid.wallet);
  const seated: Scored[] = [];
  for (const entry of scored) {
    if (seated.length === gang.size || !isFree(entry)) continue;
    seated.push(entry);
    owners.add(entry.bid.wallet);
  }
  const losers: Scored[] = [];
  for (const entry of scored) {
    if (seated.includes(entry) || !isFree(entry)) continue;
    losers.push(entry);
    owners.add(entry.bid.wallet);
  }
  const seatsBefore = new Map<string, number>();
  const prices = new Map<Scored, bigint>();
  for (const entry of seated) {
    const { wallet } = entry.bid;
    const before = seatsBefore.get(wallet) ?? 0;
    seatsBefore.set(wallet, before + 1);
    const displaced = losers.filter(({ bid }) => bid.wallet !== wallet)[before];
    if (displaced && seated.length === gang.size) prices.set(entry, least(maximum, displaced.score - entry.waiting));
  }
  return [...seated, ...scored.filter((entry) => !seated.includes(entry))].map((entry) => ({
    ...entry,
    price: greatest(entry.asked, prices.get(entry) ?? 0n),
  }));
}
