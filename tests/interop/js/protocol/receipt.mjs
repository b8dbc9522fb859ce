// "Receipt" of docs/protocol.md: whether a file holds.

import { canonical, sha256 } from './canonical.mjs';
import { checkEnvelope, envelopeHash, messageHash } from './envelope.mjs';
import { parseJson } from './json.mjs';
import { fromBase58, isSigned, publicKeyOf } from './keys.mjs';
import { ranking } from './market.mjs';
import { cost, escrowJobId, unitCost, voucherMessage } from './money.mjs';
import { LINK_KINDS, Malformed, parse } from './page.mjs';
import { commitment } from './sealing.mjs';

const BYTES_MAX = 4 * 1024 * 1024;
const VERSION = 2;
const ZEROS = '0'.repeat(64);

function demand(holds, what) {
  if (!holds) throw new Malformed(what);
}

/** A document in its one byte form, less the newline at its end. */
function bytesOf(value, margin = '') {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const inner = `${margin}  `;
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const items = Array.isArray(value)
    ? value.map((item) => bytesOf(item, inner))
    : Object.keys(value)
        .sort()
        .map((key) => `${JSON.stringify(key)}: ${bytesOf(value[key], inner)}`);
  if (items.length === 0) return open + close;
  return `${open}\n${items.map((item) => inner + item).join(',\n')}\n${margin}${close}`;
}

/** Check a receipt file; its result. Throws on the first thing that does not hold. */
export function verifyReceipt(text) {
  demand(Buffer.byteLength(text) <= BYTES_MAX, 'too large');
  const receipt = parseJson(text);
  demand(receipt.version === VERSION, 'another version');
  demand(`${bytesOf(receipt)}\n` === text, 'not in its one byte form');
  const { signature, ...rest } = receipt;
  const signed = Buffer.from(`neurogrid:receipt:v${VERSION}\0${canonical(rest)}`);
  const coordinator = publicKeyOf(receipt.coordinator);
  demand(isSigned(coordinator, signed, Buffer.from(signature, 'hex')), 'a wrong signature of the receipt');
  const links = chained(receipt.links);
  for (const check of [envelopes, auction, sealing, run, escrow, vouchers, charge]) check(links, receipt);
  return links.event.at(-1).body.result;
}

/** The contents of the links by kind, their order and hashes checked. */
function chained(links) {
  const contents = Object.fromEntries(LINK_KINDS.map(({ kind }) => [kind, []]));
  let previous = ZEROS;
  let place = 0;
  for (const { hash, ...link } of links) {
    demand(link.previous === previous && sha256(canonical(link)) === hash, 'the chain of links is broken');
    const at = LINK_KINDS.findIndex(({ kind }) => kind === link.kind);
    demand(at >= place, `the ${link.kind} stands at a wrong place`);
    contents[link.kind].push(link.content);
    [previous, place] = [hash, at];
  }
  for (const { kind, least, most } of LINK_KINDS) {
    const { length } = contents[kind];
    demand(length >= least && length <= most, `${length} links of ${kind}`);
  }
  return contents;
}

function envelopes(links, { network, coordinator }) {
  const node = links.accept[0].sender;
  for (const { kind, signer } of LINK_KINDS) {
    for (const content of links[kind]) {
      if (signer === 'receipt') {
        parse(kind === 'settlement' ? 'SettlementStatement' : kind, content);
        continue;
      }
      checkEnvelope(content, network);
      demand(content.type === kind, `a ${content.type} in place of a ${kind}`);
      parse(kind, content.body);
      const theirs = signer === 'coordinator' ? content.sender : content.recipient;
      const other = signer === 'coordinator' ? content.recipient : content.sender;
      demand(theirs === coordinator, `a ${kind} between others`);
      demand(signer === 'any node' || other === node, `a ${kind} of another node`);
    }
  }
}

const hashOf = (envelope) => messageHash(envelope.type, envelope.body);

function auction({ demand: [asked], bid: bids, award: [award], accept: [accept] }, { lease_id }) {
  const terms = parse('demand', asked.body);
  const { body } = award;
  demand(body.lease_id === lease_id && accept.body.lease_id === lease_id, 'another lease');
  demand(body.demand_hash === hashOf(asked), 'an award of another demand');
  demand(bids.every((bid) => bid.body.demand_hash === hashOf(asked)), 'a bid on another demand');
  for (const name of ['demand_id', 'job_hash', 'timeout_s', 'voucher_interval_s']) {
    demand(body[name] === terms[name], `another ${name} than was demanded`);
  }
  demand(accept.body.award_hash === hashOf(award), 'an accept of another award');
  const named = [body.bid_hash, ...body.other_bid_hashes].sort().join();
  demand(named === bids.map(envelopeHash).sort().join(), 'the award names other bids');
  const factors = body.start_factors_permille ?? {};
  const ranked = ranking(
    terms.max_price_micro_usdc_per_hour,
    bids.map((bid) => ({
      ...bid.body,
      node_id: bid.sender,
      start_factor_permille: factors[envelopeHash(bid)],
    })),
    terms.gang,
  );
  const winner = bids.find((bid) => envelopeHash(bid) === body.bid_hash);
  // Not always the best: those before it may have denied.
  const place = ranked.find(({ node_id }) => node_id === winner.sender);
  demand(place.award_price_micro_usdc_per_hour === body.price_micro_usdc_per_hour, 'another price');
  demand(winner.sender === accept.sender, 'somebody else accepted');
  const whole = terms.use?.max_cost_micro_usdc ?? cost(body.price_micro_usdc_per_hour, body.timeout_s * 1000);
  demand(body.max_cost_micro_usdc >= whole, 'too little');
  demand(canonical(body.unit_prices ?? null) === canonical(winner.body.unit_prices ?? null), 'other prices for units');
  if (terms.use) demand(canonical(body.unit_prices) === canonical(terms.use.prices), 'other prices than were demanded');
}

function sealing({ demand: [asked], commit: commits, reveal: reveals, bid: bids, award: [award] }) {
  if (!parse('demand', asked.body).sealed_bids) {
    return demand(commits.length + reveals.length === 0 && !award.body.reveal_hash, 'sealed, and not asked to be');
  }
  demand(reveals.length === 1 && award.body.reveal_hash === hashOf(reveals[0]), 'the award names another reveal');
  const shown = reveals[0].body.commitments;
  const made = Object.fromEntries(commits.map(({ sender, body }) => [sender, body.commitment]));
  demand(canonical(shown) === canonical(made), 'the reveal has other commitments');
  const isKept = ({ sender, body }) => commitment(sender, body) === made[sender];
  return demand(bids.every(isKept), 'another bid than was committed to');
}

function run({ event: events, accept: [accept] }) {
  let previous = hashOf(accept);
  for (const [number, event] of events.entries()) {
    demand(event.body.number === number && event.body.previous_hash === previous, 'an event out of order');
    previous = hashOf(event);
  }
  const { kind, result } = events.at(-1).body;
  demand(kind === 'finished' && result, 'no result');
}

function escrow({ settlement: [said] }, { lease_id }) {
  const seeds = [
    Buffer.from('escrow'),
    fromBase58(said.client_account),
    escrowJobId(lease_id),
    Buffer.from([said.escrow_bump]),
    fromBase58(said.program_id),
    Buffer.from('ProgramDerivedAddress'),
  ];
  demand(sha256(...seeds) === fromBase58(said.escrow).toString('hex'), "another lease's escrow");
}

function vouchers({ voucher: all, meter: meters, event: events, settlement: [said] }) {
  let previous = ZEROS;
  for (const [number, voucher] of all.entries()) {
    const { link, final, cumulative_micro_usdc: cumulative } = voucher;
    const answered = final ? events.at(-1) : meters[number];
    demand(link.number === number && link.previous_hash === previous, 'vouchers are not chained');
    demand(final === (number === all.length - 1), 'the last voucher is the final one');
    demand(answered && link.answers_hash === hashOf(answered), 'a voucher that answers nothing');
    demand(final || answered.body.voucher_hash === previous, 'a meter that knows another voucher');
    const { domain, escrow_sequence: sequence, escrow: account } = said;
    const message = voucherMessage({ domain, escrow: account, sequence, cumulative });
    const signature = Buffer.from(voucher.signature, 'hex');
    demand(isSigned(fromBase58(said.voucher_signer), message, signature), "a voucher's signature");
    previous = messageHash('voucher', voucher);
  }
  const named = events.at(-1).body.result.voucher_hash ?? ZEROS;
  const hashes = all.map((voucher) => messageHash('voucher', voucher));
  demand(named === ZEROS || hashes.includes(named), 'the result names an unknown voucher');
}

function charge({ demand: [asked], voucher: all, meter: meters, event: events, award: [award], claimed, settlement: [said] }) {
  const price = award.body.price_micro_usdc_per_hour;
  const { use } = parse('demand', asked.body);
  if (use) {
    const last = all.at(-1).cumulative_micro_usdc;
    demand(said.paid_micro_usdc <= last, 'more was paid than the final voucher is over');
    demand(last <= unitCost(use.prices, said.billed), 'the final voucher is over more than what was passed on costs');
    demand(last <= award.body.max_cost_micro_usdc, 'the final voucher is over more than the escrow holds');
    return;
  }
  for (const [number, voucher] of all.slice(0, -1).entries()) {
    demand(voucher.cumulative_micro_usdc <= cost(price, meters[number].body.metered_ms), 'more than was metered');
  }
  const metered = [...meters, { body: events.at(-1).body.result }].map(({ body }) => body.metered_ms);
  const final = all.at(-1).cumulative_micro_usdc;
  demand(said.paid_micro_usdc <= final, 'more was paid than the final voucher is over');
  demand(final <= cost(price, Math.max(...metered)), 'the final voucher is over more than the longest time costs');
  demand(claimed.every(({ body }) => body.transaction === said.transaction), 'another transaction was claimed');
}
