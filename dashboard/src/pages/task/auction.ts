import type { schema } from '@neurogrid/sdk';

import { microUsdc, shortened, usdc } from '../../design/format';

/** Why the winner won, and why it is paid what it is. */
export function whyWon({ winner, bids, price_per_hour }: schema.AuctionView): string {
  const own = bids.find(({ won }) => won);
  const paid = `It is paid ${usdc(price_per_hour)} per hour`;
  const who = `Node ${shortened(winner)} won`;
  if (own === undefined) return `${who}. ${paid}.`;
  const reason = bids.length === 1 ? ' as the only one that offered'
    : bids.filter(({ won }) => won).length > 1 ? `: its score of ${own.score} was among the best of ${bids.length}` : `: its score of ${own.score} was the best of ${bids.length}`;
  const more = (microUsdc(price_per_hour) ?? 0n) > (microUsdc(own.price_per_hour) ?? 0n);
  const price = more
    ? `, above the ${usdc(own.price_per_hour)} that it asked: the best bid of another owner that did not win, or the limit, decides, so that asking more than it needs gains a node nothing`
    : ', as it asked';
  return `${who}${reason}. ${paid}${price}.`;
}
