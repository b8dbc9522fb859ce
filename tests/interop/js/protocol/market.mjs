// "Auction" of docs/protocol.md: who is asked, and who wins at which price.

import { blake2b } from '@noble/hashes/blake2.js';

import { ceilDiv } from './money.mjs';

const POOL = 64;
const NEUTRAL_WEIGHT = 500;
const ascending = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** The first 8 bytes of BLAKE2b of a text, as a number. */
export function hash64(text) {
  return Buffer.from(blake2b(Buffer.from(text), { dkLen: 8 })).readBigUInt64BE();
}

/** The nodes that follow a demand on the ring, as many as the pool holds. */
export function pool(demandId, nodeIds) {
  const start = hash64(demandId);
  const placed = nodeIds.map((id) => ({ id, place: hash64(id) }));
  placed.sort((a, b) => ascending(a.place, b.place) || ascending(a.id, b.id));
  const first = placed.findIndex(({ place }) => place >= start);
  const turned = first < 0 ? placed : [...placed.slice(first), ...placed.slice(0, first)];
  return turned.slice(0, POOL).map(({ id }) => id);
}

/** Who is asked, best draw first; `weights` by peer id. */
export function sample(demandId, nodeIds, size, weights = {}) {
  const drawn = pool(demandId, nodeIds).map((id) => {
    const uniform = (Number(hash64(`${demandId}:${id}`) >> 11n) + 0.5) / 2 ** 53;
    return { id, key: -Math.log(uniform) / (weights[id] ?? NEUTRAL_WEIGHT) };
  });
  drawn.sort((a, b) => a.key - b.key || ascending(a.id, b.id));
  return drawn.slice(0, size).map(({ id }) => id);
}

const PUNCTUAL = 1000;

/** How long a node will take to start, in what its waiting costs an hour. */
function waiting(maxPrice, { start_ms, start_factor_permille: factor = PUNCTUAL }) {
  const expected = ceilDiv(BigInt(Math.max(1, start_ms)) * BigInt(factor), 1_000n);
  return Number(ceilDiv(BigInt(maxPrice) * expected, 1_000_000n));
}

/** Bids, best first, each with what it would be paid; of a gang those with a seat first, by rank. */
export function ranking(maxPrice, bids, gang = null) {
  const scored = bids
    .filter((bid) => bid.price_micro_usdc_per_hour <= maxPrice)
    .map((bid) => ({ ...bid, score: bid.price_micro_usdc_per_hour + waiting(maxPrice, bid) }));
  scored.sort((a, b) => a.score - b.score || ascending(a.node_id, b.node_id));
  if (gang) return gangRanking(maxPrice, scored, gang);
  return scored.map((bid, place) => {
    const { node_id, wallet, score, price_micro_usdc_per_hour: price } = bid;
    const second = scored.slice(place + 1).find((other) => other.wallet !== wallet)?.score;
    const paid = second === undefined ? price : Math.max(price, second - waiting(maxPrice, bid));
    return { node_id, score, award_price_micro_usdc_per_hour: Math.min(maxPrice, paid) };
  });
}

/** "Gangs": each winner is paid by who would have had to be taken without its owner. */
function gangRanking(maxPrice, scored, { size, apart }) {
  const seated = [];
  const losers = [];
  const owners = new Set();
  const free = (bid) => apart === 'node' || !owners.has(bid.wallet);
  for (const bid of scored) {
    if (seated.length < size && free(bid)) {
      seated.push(bid);
      owners.add(bid.wallet);
    }
  }
  for (const bid of scored) {
    if (!seated.includes(bid) && free(bid)) {
      losers.push(bid);
      owners.add(bid.wallet);
    }
  }
  const seatsBefore = {};
  const paid = new Map();
  for (const bid of seated) {
    const before = seatsBefore[bid.wallet] ?? 0;
    seatsBefore[bid.wallet] = before + 1;
    const displaced = losers.filter(({ wallet }) => wallet !== bid.wallet)[before];
    if (displaced && seated.length === size) {
      paid.set(bid, Math.min(maxPrice, displaced.score - waiting(maxPrice, bid)));
    }
  }
  return [...seated, ...scored.filter((bid) => !seated.includes(bid))].map((bid) => ({
    node_id: bid.node_id,
    score: bid.score,
    award_price_micro_usdc_per_hour: Math.max(bid.price_micro_usdc_per_hour, paid.get(bid) ?? 0),
  }));
}
