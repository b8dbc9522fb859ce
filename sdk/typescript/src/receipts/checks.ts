// The rules that demand, bids, award, accept and events of a receipt keep together, in the words of the coordinator's
// own checks (marketplace/neurogrid_marketplace/receipt_checks.py), which a test compares with these.

import { cost, usdc } from './amounts.js';
import { ranking } from './auction.js';
import { demand as must, ReceiptInvalidError } from './invalid.js';
import { absent, BOTH, claimed, COORDINATOR, NODE, proven, type ReceiptItem } from './items.js';
import { canonical, type Json, type JsonMap } from './json.js';
import { hashOf } from './keys.js';
import { one, type Parts } from './links.js';
import type { Award, Comparator, Demand, Result, Units } from './messages.js';

const CLOCK_TOLERANCE_MS = 120_000;

export function checkIdentities({ coordinator, nodeId }: Parts): ReceiptItem[] {
  return [
    proven('coordinator', COORDINATOR, `the holder of key ${coordinator}; who that is, no key says`),
    proven('node', NODE, `the holder of key ${nodeId}; who that is, no key says`),
  ];
}

/** Demand and award belong together, and the award changes nothing that was demanded. */
export function checkTerms({ links }: Parts): ReceiptItem[] {
  const { message: asked, hash } = one(links.demand);
  const { message: award } = one(links.award);
  must(award.demand_hash === hash && award.demand_id === asked.demand_id, 'the award is for another demand');
  must(
    award.job_hash === asked.job_hash &&
      award.timeout_s === asked.timeout_s &&
      award.voucher_interval_s === asked.voucher_interval_s,
    'the award changes what was demanded',
  );
  const whole = asked.use
    ? BigInt(asked.use.max_cost_micro_usdc)
    : cost(award.price_micro_usdc_per_hour, asked.timeout_s * 1000);
  must(
    BigInt(award.max_cost_micro_usdc) === whole,
    "the award's most is not the cost of its whole time limit or use",
  );
  must(takes(asked, award.unit_prices ?? null), "the award's prices for units are not what was demanded");
  if (asked.use) {
    const { model, replica, max_cost_micro_usdc: most } = asked.use;
    return [
      proven(
        'terms',
        COORDINATOR,
        `use of ${model} as ${replica} serves it, for units at the prices in the demand, at most ${usdc(most)} USDC`,
      ),
    ];
  }
  return [
    proven(
      'terms',
      COORDINATOR,
      `job ${asked.job_hash.slice(0, 16)}… of image ${asked.image}, at most ` +
        `${usdc(asked.max_price_micro_usdc_per_hour)} USDC/h for ${asked.timeout_s} s; result verified: ${verifiedBy(asked)}`,
    ),
  ];
}

/** Whether a bid may ask these for units. */
function takes(asked: Demand, prices: Units | null): boolean {
  if (asked.use) return canonical(prices as Json) === canonical(asked.use.prices as unknown as Json);
  if (!asked.serves) return prices === null;
  const { max_prices: maxima } = asked.serves;
  return (
    prices !== null && Object.entries(maxima as unknown as Record<keyof Units, number>).every(([name, most]) => prices[name as keyof Units] <= most)
  );
}

function verifiedBy({ verify, comparator }: Demand): string {
  return verify === 'none' ? verify : `${verify}, by ${comparatorWords(comparator)}`;
}

function comparatorWords(comparator: Comparator | null): string {
  if (comparator === null || comparator.kind === 'exact') return 'the same bytes';
  if (comparator.kind === 'image') return `the client's own image ${comparator.image ?? ''}`;
  const limits = [
    [comparator.relative, 'relative'],
    [comparator.absolute, 'absolute'],
  ].filter(([value]) => Number(value));
  const files = comparator.files.map(({ pattern }) => pattern).join(', ');
  return `numbers within ${limits.map((limit) => limit.join(' ')).join(' or ')} in ${files}`;
}

/** Commitments, their list and the bids belong together; nothing of an open auction. */
export async function checkSealing({ links }: Parts): Promise<ReceiptItem[]> {
  const { message: asked, hash } = one(links.demand);
  const { commit: commits, reveal: reveals } = links;
  const { reveal_hash: named } = one(links.award).message;
  if (!asked.sealed_bids) {
    must(commits.length + reveals.length === 0 && !named, 'there are commitments, and the demand did not ask for any');
    return [];
  }
  must(
    reveals.length > 0 && named === one(reveals).hash,
    'the award does not name the list of commitments that is here',
  );
  const listed = one(reveals).message.commitments;
  for (const { sender, message } of commits) {
    must(message.demand_hash === hash, `the commitment of ${sender} is for another demand`);
  }
  const signed = Object.fromEntries(commits.map(({ sender, message }) => [sender, message.commitment]));
  must(
    canonical(signed) === canonical(listed) && commits.length === Object.keys(signed).length,
    'the commitments are not those of the list',
  );
  const shown = new Set<string>();
  for (const { sender, message } of links.bid) {
    const made = await hashOf({ bid: message as unknown as JsonMap, node_id: sender });
    must(listed[sender] === made, `the bid of ${sender} is not what it had committed to`);
    shown.add(sender);
  }
  const all = Object.keys(listed).length;
  const silent = all - shown.size;
  const words = `that ${silent} of ${all} nodes that had committed showed no bid that counts`;
  return [
    proven(
      'sealed_bids',
      BOTH,
      `${shown.size} bids are what their nodes had committed to, in a list of ${all} commitments that the awarded node agreed to`,
    ),
    ...(silent ? [claimed('not_revealed', COORDINATOR, words)] : []),
  ];
}

/** Hold the auction again and find the awarded bid in it. */
export function checkAuction(parts: Parts): ReceiptItem[] {
  const { links, nodeId } = parts;
  const { message: asked, hash } = one(links.demand);
  const { message: award } = one(links.award);
  const hashes = new Set(links.bid.map(({ envelopeHash }) => envelopeHash));
  const named = new Set([award.bid_hash, ...award.other_bid_hashes]);
  must(
    hashes.size === links.bid.length && hashes.size === named.size && [...named].every((each) => hashes.has(each)),
    'the bids are not those that the award names',
  );
  const factors = award.start_factors_permille;
  must(
    Object.keys(factors).every((each) => hashes.has(each)),
    'the award names a start factor of a bid that is not there',
  );
  for (const { sender, message } of links.bid) {
    must(message.demand_hash === hash, `the bid of ${sender} is for another demand`);
  }
  const ranked = ranking(
    asked,
    links.bid.map(({ sender, message, envelopeHash }) => ({
      nodeId: sender,
      bid: message,
      hash: envelopeHash,
      startFactor: factors[envelopeHash],
    })),
  );
  const place = ranked.findIndex((each) => each.hash === award.bid_hash);
  const winner = ranked[place];
  must(winner !== undefined, "the awarded bid was above the client's maximum");
  must(
    winner.price === BigInt(award.price_micro_usdc_per_hour),
    `awarded at ${award.price_micro_usdc_per_hour} micro-USDC/h; the bids give ${winner.price.toString()}`,
  );
  must(winner.nodeId === nodeId, 'the lease was accepted by a node that did not place the winning bid');
  must(
    canonical((winner.bid.unit_prices ?? null) as Json) === canonical((award.unit_prices ?? null) as Json),
    "the award's prices for units are not those of its bid",
  );
  const slow = Object.keys(factors).length;
  const words = `that the nodes of ${slow} bids start slower than they say, by the factors in the award`;
  return [
    proven('auction', 'each bidder', `${links.bid.length} bids, each signed by its node for these terms, all named in the award`),
    proven('price_rule', BOTH, `${usdc(award.price_micro_usdc_per_hour)} USDC/h is what the rules give ${nodeId}`),
    ...(slow ? [claimed('start_factors', COORDINATOR, words)] : []),
    claimed('best_bid', COORDINATOR, bestBid(asked, place)),
  ];
}

function bestBid({ gang }: Demand, place: number): string {
  if (gang) {
    must(place < gang.size, `the awarded bid won none of the gang's ${gang.size} seats`);
    return `that nobody else bid: rank ${place} of the ${gang.size} that won seats at once`;
  }
  if (place === 0) return 'that nobody else bid: the best of the bids here won';
  return `that the ${place} better bids here were offered the lease first, and nobody else bid`;
}

/** The node accepted this award for this lease. */
export function checkAgreement({ links, leaseId }: Parts): ReceiptItem[] {
  const { message: award, hash } = one(links.award);
  const { message: accept } = one(links.accept);
  must(award.lease_id === leaseId && accept.lease_id === leaseId, 'award or accept is for another lease');
  must(accept.award_hash === hash, 'what was accepted is not this award');
  const most = usdc(award.max_cost_micro_usdc);
  return [proven('agreement', BOTH, `lease ${leaseId}: at most ${award.timeout_s} s and ${most} USDC`)];
}

/** The result that the last event has. */
export function resultOf({ links }: Parts): Result {
  const last = links.event.at(-1)?.message;
  if (last?.kind !== 'finished' || last.result === null) {
    throw new ReceiptInvalidError('the events do not end with a result');
  }
  return last.result;
}

/** The events follow one another and end with a result. */
export function checkRun(parts: Parts): ReceiptItem[] {
  const { links, leaseId } = parts;
  let previous = one(links.accept).hash;
  for (const [number, { message, hash }] of links.event.entries()) {
    must(message.lease_id === leaseId, `event ${number} is not of this lease`);
    must(
      message.number === number && message.previous_hash === previous,
      `event ${number} does not follow the one before it`,
    );
    previous = hash;
  }
  const result = resultOf(parts);
  const started = links.event.findLast(({ message }) => message.kind === 'started')?.message;
  return [
    started
      ? claimed('start', NODE, `the container started at ${started.at_ms} ms by the node's clock`)
      : absent('start', 'the node reported no running container'),
    proven(
      'result',
      NODE,
      `the node reported ${result.outcome}, exit code ${result.exit_code}, ` +
        `${(result.metered_ms / 1000).toFixed(3)} s, a log of ${result.logs_bytes} bytes`,
    ),
    proven('outputs', NODE, `the node named ${result.outputs.length} output files, each by its SHA-256`),
    claimed('execution', NODE, 'that the program really ran as reported'),
    ...ofReclaim(parts, result),
    ...ofCheckpoints(result),
  ];
}

/** Nothing where the node did not take its machine back. */
function ofReclaim({ links }: Parts, result: Result): ReceiptItem[] {
  const warned = links.event.find(({ message }) => message.kind === 'reclaimed')?.message;
  if (!warned && result.outcome !== 'preempted') return [];
  const { message: award } = one(links.award);
  const bid = links.bid.find(({ envelopeHash }) => envelopeHash === award.bid_hash)?.message;
  if (!bid?.reclaim_window_s) {
    return [proven('reclaim', NODE, 'the node took its machine back without having agreed on it')];
  }
  const ended = links.event.at(-1)?.message.at_ms ?? 0;
  const words = warned
    ? `warned the job ${((ended - warned.at_ms) / 1000).toFixed(1)} s before its end was reported`
    : 'ended the lease before its job ran';
  return [proven('reclaim', NODE, `the node ${words}, by its own clock; agreed were ${bid.reclaim_window_s} s`)];
}

/** Nothing where the job began from nothing and has kept nothing. */
function ofCheckpoints({ resumed, checkpoint }: Result): ReceiptItem[] {
  const began = resumed && `that the job began from checkpoint ${resumed.sequence}, manifest ${resumed.manifest_sha256}`;
  const left =
    checkpoint &&
    `the node named checkpoint ${checkpoint.sequence} as what the run has kept: ${checkpoint.files} files ` +
      `of ${checkpoint.size_bytes} bytes, manifest ${checkpoint.manifest_sha256}`;
  return [
    ...(began ? [claimed('resumed', NODE, began)] : []),
    ...(left ? [proven('checkpoint', NODE, left)] : []),
  ];
}

/** What came before what: by hashes it is proven, by clocks it is said. */
export function checkOrder({ links }: Parts): ReceiptItem[] {
  const stamps = Object.values(links)
    .flatMap((each: readonly { sentAtMs: number | null }[]) => each.map(({ sentAtMs }) => sentAtMs))
    .filter((each) => each !== null);
  let [latest, behind] = [0, 0];
  for (const { sentAtMs } of [one(links.demand), one(links.award), one(links.accept), ...links.event]) {
    behind = Math.max(behind, latest - (sentAtMs ?? 0));
    latest = Math.max(latest, sentAtMs ?? 0);
  }
  const agree =
    behind <= CLOCK_TOLERANCE_MS
      ? `they agree with the order within ${CLOCK_TOLERANCE_MS / 1000} s`
      : `they are ${(behind / 1000).toFixed(0)} s against the order of what they stamp`;
  return [
    proven(
      'order',
      BOTH,
      'demand, bids, award, accept and events came in this order: each names the hash of what it follows',
    ),
    claimed('clocks', BOTH, `from ${Math.min(...stamps)} to ${Math.max(...stamps)} ms Unix time; ${agree}`),
  ];
}

/** The terms that both sides have signed. */
export function agreed({ links }: Parts): Award {
  return one(links.award).message;
}
