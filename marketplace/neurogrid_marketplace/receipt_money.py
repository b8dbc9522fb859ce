"""The rules that meters, vouchers, escrow and settlement of a receipt must keep together."""

import hashlib

from .demand import Demand
from .errors import BadSignature, ReceiptInvalid
from .faults import CONSEQUENCES
from .identity import address_bytes, check_signature
from .messages import Claimed, Event, Meter, VoucherMessage
from .money import cost_micro_usdc, format_usdc
from .payment_chain import NO_VOUCHER
from .receipt_checks import result_of
from .receipt_items import BOTH, COORDINATOR, NODE, Item, absent, claimed, proven
from .receipt_kinds import Parts
from .serving import Use
from .units import NOTHING_SERVED
from .voucher import Voucher

_VOUCHER_KEY = "voucher key"


def escrow_job_id(lease_id: str) -> bytes:
    """The 32-byte job id under which a lease's escrow is opened."""
    return hashlib.sha256(f"neurogrid:lease:{lease_id}".encode()).digest()


def check_escrow(parts: Parts) -> tuple[Item, ...]:
    """The escrow's address belongs to this lease and this client."""
    settlement = parts.settlement
    derived = hashlib.sha256(
        b"escrow"
        + address_bytes(settlement.client_account)
        + escrow_job_id(parts.lease_id)
        + bytes([settlement.escrow_bump])
        + address_bytes(settlement.program_id)
        + b"ProgramDerivedAddress"
    ).digest()
    if derived != address_bytes(settlement.escrow):
        raise ReceiptInvalid("the escrow's address does not belong to this lease")
    return (
        proven(
            "escrow",
            COORDINATOR,
            f"{settlement.escrow} belongs to this lease and to client account "
            f"{settlement.client_account}, and to nothing else",
        ),
    )


def check_metering(parts: Parts) -> tuple[Item, ...]:
    """Each meter names the voucher before it, so that none is missing between them."""
    meters, vouchers = parts.all(Meter), parts.all(VoucherMessage)
    linked = len(vouchers) - 1
    # The last meter may be one whose voucher was not linked: the final one took its place.
    if len(meters) not in (linked, linked + 1):
        raise ReceiptInvalid(f"{len(meters)} meters for {linked} vouchers and the final one")
    held = NO_VOUCHER
    for number, meter in enumerate(meters):
        if meter.message.lease_id != parts.lease_id:
            raise ReceiptInvalid(f"meter {number} is not of this lease")
        if meter.message.voucher_hash != held:
            raise ReceiptInvalid(f"meter {number} names another voucher than the one before it")
        held = vouchers[number].message.hash()
    if not meters:
        return (absent("metering", "the job ended before a meter was answered"),)
    last = meters[-1].message
    upto = f"{last.metered_ms / 1000:.3f} s"
    if use_of(parts) is not None:
        upto = (last.served or NOTHING_SERVED).words()
    return (
        proven(
            "metering",
            NODE,
            f"{len(meters)} meters up to {upto}, none left out between "
            "them: each names the voucher before it, and a voucher names it",
        ),
    )


def check_vouchers(parts: Parts) -> tuple[Item, ...]:
    """The vouchers follow one another, each over no more than its meter, each signed."""
    award, result, links = parts.agreed, result_of(parts), parts.all(VoucherMessage)
    vouchers: list[VoucherMessage] = [link.message for link in links]
    meters = parts.all(Meter)[: len(vouchers) - 1]
    answered = [link.message.hash() for link in meters]
    answered.append(parts.all(Event)[-1].message.hash())
    previous, amount = NO_VOUCHER, 0
    for number, voucher in enumerate(vouchers):
        link = voucher.link
        if voucher.lease_id != parts.lease_id or link is None:
            raise ReceiptInvalid(f"voucher {number} is not of this lease's chain")
        if link.number != number or link.previous_hash != previous:
            raise ReceiptInvalid(f"voucher {number} does not follow the one before it")
        if link.answers_hash != answered[number]:
            raise ReceiptInvalid(f"voucher {number} does not answer what stands beside it")
        if voucher.final != (number == len(vouchers) - 1):
            raise ReceiptInvalid("not the last voucher, and it alone, is final")
        if voucher.cumulative_micro_usdc < amount:
            raise ReceiptInvalid(f"voucher {number} is over less than the one before it")
        previous, amount = voucher.hash(), voucher.cumulative_micro_usdc
        _check_signature(parts, number, voucher)
    price = award.price_micro_usdc_per_hour
    # What use came to is not for the node to say: `check_charge` has it.
    for number, meter in enumerate(meters if use_of(parts) is None else ()):
        if vouchers[number].cumulative_micro_usdc > cost_micro_usdc(
            price, meter.message.metered_ms
        ):
            raise ReceiptInvalid(f"voucher {number} is over more than its metered time costs")
    hashes = [voucher.hash() for voucher in vouchers]
    if result.voucher_hash not in (NO_VOUCHER, *hashes):
        raise ReceiptInvalid("the result names a voucher that is not here")
    confirmed = hashes.index(result.voucher_hash) + 1 if result.voucher_hash in hashes else 0
    return (
        proven(
            "vouchers",
            _VOUCHER_KEY,
            f"{len(vouchers)} vouchers, in order, the final one over {format_usdc(amount)} USDC",
        ),
        proven("vouchers_held", NODE, f"the node held the first {confirmed} when the run ended")
        if confirmed
        else absent("vouchers_held", "the node named none that it held when the run ended"),
    )


def check_charge(parts: Parts) -> tuple[Item, ...]:
    """What was paid is within what was signed, and that within what was metered and agreed."""
    award, result, settlement = parts.agreed, result_of(parts), parts.settlement
    final: VoucherMessage = parts.all(VoucherMessage)[-1].message
    amount = final.cumulative_micro_usdc
    if settlement.paid_micro_usdc > amount or amount > award.max_cost_micro_usdc:
        raise ReceiptInvalid("more was paid than was signed or held in escrow")
    use = use_of(parts)
    if use is not None:
        return _check_use(parts, use, amount)
    if settlement.billed is not None:
        raise ReceiptInvalid("units are billed of a lease that counts time")
    # A node's last meter may say a few milliseconds more than its result, whose times are the engine's.
    metered = min(
        cost_micro_usdc(award.price_micro_usdc_per_hour, _metered_ms(parts)),
        award.max_cost_micro_usdc,
    )
    if amount > metered:
        raise ReceiptInvalid("the voucher is over more than the metered time costs")
    words = (
        f"{format_usdc(amount)} USDC at most, within the metered time at the agreed price "
        f"({format_usdc(metered)})"
    )
    if not CONSEQUENCES[result.outcome].charged:
        words += f"; {result.outcome.value} is not charged beyond what was signed before it"
    return (proven("charge", BOTH, words),)


def _check_use(parts: Parts, use: Use, amount: int) -> tuple[Item, ...]:
    """What was paid for use is what was passed on, as the coordinator says; the node has counted too."""
    billed = parts.settlement.billed
    if billed is None:
        raise ReceiptInvalid("nothing says what was passed on")
    if amount > use.prices.cost_micro_usdc(billed):
        raise ReceiptInvalid("the voucher is over more than what was passed on costs")
    counted = [link.message.served for link in parts.all(Meter)]
    served = NOTHING_SERVED
    for units in (*counted, result_of(parts).served):
        served = served.most(units or NOTHING_SERVED)
    charge = claimed(
        "charge",
        COORDINATOR,
        f"{format_usdc(amount)} USDC for what it passed on, at the agreed prices: {billed.words()}",
    )
    if served.covers(billed):
        words = f"the node counted no less: {served.words()}"
        return (charge, proven("served", NODE, words))
    # It loses what it had counted since its last meter when it is killed.
    words = f"that it served less than was passed on: {served.words()}"
    return (charge, claimed("served", NODE, words))


def use_of(parts: Parts) -> Use | None:
    """What the lease is for, where it counts units."""
    return parts.one(Demand).message.use


def check_settlement(parts: Parts) -> tuple[Item, ...]:
    """What is said of the chain; only the chain can prove it."""
    settlement, named = parts.settlement, parts.all(Claimed)
    signed_by = COORDINATOR
    if named:
        said: Claimed = named[0].message
        if said.lease_id != parts.lease_id:
            raise ReceiptInvalid("the node's claim is of another lease")
        if said.transaction != settlement.transaction:
            raise ReceiptInvalid("node and coordinator name different transactions")
        signed_by = BOTH
    paid = format_usdc(settlement.paid_micro_usdc)
    return (
        claimed(
            "transaction", signed_by, f"that {settlement.transaction} closed the escrow, finally"
        ),
        claimed("settlement", COORDINATOR, f"that {paid} USDC left the client's account by it"),
    )


def _metered_ms(parts: Parts) -> int:
    """The most running time that the node has signed."""
    said = [link.message.metered_ms for link in parts.all(Meter)]
    return max([result_of(parts).metered_ms, *said])


def _check_signature(parts: Parts, number: int, voucher: VoucherMessage) -> None:
    settlement = parts.settlement
    statement = Voucher(
        settlement.domain,
        address_bytes(settlement.escrow),
        settlement.escrow_sequence,
        voucher.cumulative_micro_usdc,
    )
    try:
        check_signature(
            address_bytes(settlement.voucher_signer),
            statement.message(),
            bytes.fromhex(voucher.signature),
        )
    except BadSignature as error:
        raise ReceiptInvalid(f"voucher {number}: {error}") from error
