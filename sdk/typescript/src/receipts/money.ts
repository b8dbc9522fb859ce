// The rules that meters, vouchers, escrow and settlement of a receipt keep together
// (marketplace/neurogrid_marketplace/receipt_money.py).

import { cost, covers, most, NOTHING_SERVED, unitCost, unitWords, usdc } from './amounts.js';
import { agreed, resultOf } from './checks.js';
import { demand as must } from './invalid.js';
import { absent, BOTH, claimed, COORDINATOR, NODE, proven, type ReceiptItem } from './items.js';
import { fromBase58, fromHex, isSigned, joined, sha256, hex, utf8, type Bytes } from './keys.js';
import { one, type Parts } from './links.js';
import { NO_HASH, type Settlement, type Use, type Voucher } from './messages.js';

// Outcomes that are paid beyond what was signed before them (marketplace/neurogrid_marketplace/faults.py).
const CHARGED = ['completed', 'exit_nonzero', 'cancelled', 'preempted'];
const U64_END = 2n ** 64n;

/** The escrow's address belongs to this lease and this client. */
export async function checkEscrow({ links, leaseId }: Parts): Promise<ReceiptItem[]> {
  const { message: said } = one(links.settlement);
  const jobId = await sha256(utf8(`neurogrid:lease:${leaseId}`));
  const derived = await sha256(
    utf8('escrow'),
    fromBase58(said.client_account, 32),
    fromHex(jobId, 32),
    new Uint8Array([said.escrow_bump]),
    fromBase58(said.program_id, 32),
    utf8('ProgramDerivedAddress'),
  );
  must(derived === hex(fromBase58(said.escrow, 32)), "the escrow's address does not belong to this lease");
  return [
    proven(
      'escrow',
      COORDINATOR,
      `${said.escrow} belongs to this lease and to client account ${said.client_account}, and to nothing else`,
    ),
  ];
}

/** Each meter names the voucher before it, so that none is missing between them. */
export function checkMetering({ links, leaseId }: Parts): ReceiptItem[] {
  const { meter: meters, voucher: vouchers } = links;
  const linked = vouchers.length - 1;
  // The last meter may be one whose voucher was not linked: the final one took its place.
  must(
    meters.length === linked || meters.length === linked + 1,
    `${meters.length} meters for ${linked} vouchers and the final one`,
  );
  let held = NO_HASH;
  for (const [number, { message }] of meters.entries()) {
    must(message.lease_id === leaseId, `meter ${number} is not of this lease`);
    must(message.voucher_hash === held, `meter ${number} names another voucher than the one before it`);
    held = vouchers[number]?.hash ?? '';
  }
  const last = meters.at(-1)?.message;
  if (!last) return [absent('metering', 'the job ended before a meter was answered')];
  const upto = useOf(links) ? unitWords(last.served ?? NOTHING_SERVED) : `${(last.metered_ms / 1000).toFixed(3)} s`;
  return [
    proven(
      'metering',
      NODE,
      `${meters.length} meters up to ${upto}, none left out between them: each names the voucher before it, and a voucher names it`,
    ),
  ];
}

/** The vouchers follow one another, each over no more than its meter, each signed. */
export async function checkVouchers(parts: Parts): Promise<ReceiptItem[]> {
  const { links, leaseId } = parts;
  const { voucher: vouchers } = links;
  const { message: said } = one(links.settlement);
  const meters = links.meter.slice(0, vouchers.length - 1);
  const answered = [...meters.map(({ hash }) => hash), links.event.at(-1)?.hash];
  let [previous, amount] = [NO_HASH, 0];
  for (const [number, { message, hash }] of vouchers.entries()) {
    const { link } = message;
    must(message.lease_id === leaseId && link !== null, `voucher ${number} is not of this lease's chain`);
    must(
      link.number === number && link.previous_hash === previous,
      `voucher ${number} does not follow the one before it`,
    );
    must(link.answers_hash === answered[number], `voucher ${number} does not answer what stands beside it`);
    must(message.final === (number === vouchers.length - 1), 'not the last voucher, and it alone, is final');
    must(message.cumulative_micro_usdc >= amount, `voucher ${number} is over less than the one before it`);
    [previous, amount] = [hash, message.cumulative_micro_usdc];
    must(await isVoucherSigned(said, message), `voucher ${number}: the Ed25519 signature does not match`);
  }
  // What use came to is not for the node to say: `checkCharge` has it.
  if (!useOf(links)) {
    const price = agreed(parts).price_micro_usdc_per_hour;
    for (const [number, { message }] of meters.entries()) {
      must(
        BigInt(vouchers[number]?.message.cumulative_micro_usdc ?? 0) <= cost(price, message.metered_ms),
        `voucher ${number} is over more than its metered time costs`,
      );
    }
  }
  const { voucher_hash: named } = resultOf(parts);
  const confirmed = vouchers.findIndex(({ hash }) => hash === named) + 1;
  must(confirmed > 0 || named === NO_HASH, 'the result names a voucher that is not here');
  return [
    proven(
      'vouchers',
      'voucher key',
      `${vouchers.length} vouchers, in order, the final one over ${usdc(amount)} USDC`,
    ),
    confirmed
      ? proven('vouchers_held', NODE, `the node held the first ${confirmed} when the run ended`)
      : absent('vouchers_held', 'the node named none that it held when the run ended'),
  ];
}

/** "Vouchers" of docs/protocol.md: the 72 bytes that the signature covers. */
async function isVoucherSigned(said: Settlement, voucher: Voucher): Promise<boolean> {
  const message = joined(
    utf8('NGVOUCH1'),
    u64(said.domain),
    fromBase58(said.escrow, 32),
    u64(said.escrow_sequence),
    u64(voucher.cumulative_micro_usdc),
    new Uint8Array(8),
  );
  return isSigned(fromBase58(said.voucher_signer, 32), message, fromHex(voucher.signature, 64));
}

function u64(value: number | bigint): Bytes {
  must(BigInt(value) < U64_END, `${String(value)} is no 64-bit number`);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

/** What was paid is within what was signed, and that within what was metered and agreed. */
export function checkCharge(parts: Parts): ReceiptItem[] {
  const { links } = parts;
  const award = agreed(parts);
  const { message: said } = one(links.settlement);
  const amount = links.voucher.at(-1)?.message.cumulative_micro_usdc ?? 0;
  must(
    said.paid_micro_usdc <= amount && amount <= award.max_cost_micro_usdc,
    'more was paid than was signed or held in escrow',
  );
  const use = useOf(links);
  if (use) return ofUse(parts, use, amount);
  must(!said.billed, 'units are billed of a lease that counts time');
  const result = resultOf(parts);
  // A node's last meter may say a few milliseconds more than its result, whose times are the engine's.
  const ms = Math.max(result.metered_ms, ...links.meter.map(({ message }) => message.metered_ms));
  const whole = cost(award.price_micro_usdc_per_hour, ms);
  const metered = whole < BigInt(award.max_cost_micro_usdc) ? whole : BigInt(award.max_cost_micro_usdc);
  must(BigInt(amount) <= metered, 'the voucher is over more than the metered time costs');
  const beyond = CHARGED.includes(result.outcome)
    ? ''
    : `; ${result.outcome} is not charged beyond what was signed before it`;
  return [
    proven(
      'charge',
      BOTH,
      `${usdc(amount)} USDC at most, within the metered time at the agreed price (${usdc(metered)})${beyond}`,
    ),
  ];
}

/** What was paid for use is what was passed on, as the coordinator says; the node has counted too. */
function ofUse(parts: Parts, use: Use, amount: number): ReceiptItem[] {
  const { billed } = one(parts.links.settlement).message;
  must(billed !== undefined && billed !== null, 'nothing says what was passed on');
  must(
    BigInt(amount) <= unitCost(use.prices, billed),
    'the voucher is over more than what was passed on costs',
  );
  const served = [...parts.links.meter.map(({ message }) => message.served), resultOf(parts).served]
    .map((units) => units ?? NOTHING_SERVED)
    .reduce(most, NOTHING_SERVED);
  const charge = claimed(
    'charge',
    COORDINATOR,
    `${usdc(amount)} USDC for what it passed on, at the agreed prices: ${unitWords(billed)}`,
  );
  return [
    charge,
    covers(served, billed)
      ? proven('served', NODE, `the node counted no less: ${unitWords(served)}`)
      : // It loses what it had counted since its last meter when it is killed.
        claimed('served', NODE, `that it served less than was passed on: ${unitWords(served)}`),
  ];
}

function useOf(links: Parts['links']): Use | null {
  return one(links.demand).message.use ?? null;
}

/** What is said of the chain; only the chain can prove it. */
export function checkSettlement({ links, leaseId }: Parts): ReceiptItem[] {
  const { message: said } = one(links.settlement);
  const named = links.claimed[0]?.message;
  if (named) {
    must(named.lease_id === leaseId, "the node's claim is of another lease");
    must(named.transaction === said.transaction, 'node and coordinator name different transactions');
  }
  return [
    claimed('transaction', named ? BOTH : COORDINATOR, `that ${said.transaction} closed the escrow, finally`),
    claimed('settlement', COORDINATOR, `that ${usdc(said.paid_micro_usdc)} USDC left the client's account by it`),
  ];
}
