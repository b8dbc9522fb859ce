"""The receipt of a lease: everything both sides signed, as one hash-linked, signed document.

    demand -> bids -> award -> accept -> events -> meters -> vouchers -> claimed -> settlement

`verify_receipt` needs nothing but the file. It says, item by item, what signatures and hashes prove
and what is only claimed: what ran inside the container, and what is on the chain, no file can prove.
The file has exactly one valid byte form, so any changed byte is found.

`receipt_file` is the file, `receipt_kinds` its links, `receipt_checks` and `receipt_money` what their
contents must keep, `receipt_items` what is said of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from . import receipt_file
from .comparator import EXACT, Comparator
from .demand import Demand
from .errors import BadSignature, InvalidValue, MalformedMessage, ReceiptInvalid
from .fields import Id
from .messages import Result
from .receipt_checks import (
    check_agreement,
    check_auction,
    check_identities,
    check_order,
    check_run,
    check_terms,
    result_of,
)
from .receipt_file import MAX_RECEIPT_BYTES, ReceiptFile
from .receipt_items import COORDINATOR, Item, proven
from .receipt_kinds import Evidence, Parts, SettlementStatement, contents_of, read_links
from .receipt_money import (
    check_charge,
    check_escrow,
    check_metering,
    check_settlement,
    check_vouchers,
    escrow_job_id,
    use_of,
)
from .receipt_sealing import check_sealing
from .serving import Use
from .units import Units

__all__ = [
    "MAX_RECEIPT_BYTES",
    "Evidence",
    "Item",
    "SettlementStatement",
    "Verification",
    "build_receipt",
    "escrow_job_id",
    "verify_receipt",
]

# In the order in which a lease is told. A check may rely on those before it.
CHECKS: tuple[Callable[[Parts], tuple[Item, ...]], ...] = (
    check_identities,
    check_terms,
    check_sealing,
    check_auction,
    check_agreement,
    check_run,
    check_escrow,
    check_metering,
    check_vouchers,
    check_charge,
    check_settlement,
    check_order,
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a valid receipt shows.

    Attributes:
        items: each thing it says, with what that is worth.
        paid_micro_usdc: what the client paid, as the coordinator says.
        settlement: what it says of the chain.
        comparator: by what the demand has its result compared with others'.
        use: what a lease for use was for; billed: what was passed on of it. None of one that counts time.
    """

    network: str
    task_id: Id
    lease_id: Id
    coordinator: str
    node_id: str
    result: Result
    price_micro_usdc_per_hour: int
    paid_micro_usdc: int
    transaction: str
    settlement: SettlementStatement
    items: tuple[Item, ...]
    comparator: Comparator = EXACT
    use: Use | None = None
    billed: Units | None = None


def build_receipt(
    sign: Callable[[bytes], bytes],
    *,
    network: str,
    coordinator: str,
    task_id: str,
    lease_id: str,
    evidence: Evidence,
) -> bytes:
    """The receipt file; ``sign`` signs with the coordinator's identity key."""
    file = ReceiptFile(network, coordinator, task_id, lease_id, contents_of(evidence))
    return receipt_file.write(file, sign)


def verify_receipt(data: bytes) -> Verification:
    """Check a receipt file.

    Raises:
        ReceiptInvalid: the first thing that does not hold, in words.
    """
    try:
        file = receipt_file.read(data)
        parts = read_links(
            file.links,
            network=file.network,
            coordinator=file.coordinator,
            task_id=file.task_id,
            lease_id=file.lease_id,
        )
        items = [item for check in CHECKS for item in check(parts)]
    except (MalformedMessage, BadSignature, InvalidValue) as error:
        raise ReceiptInvalid(str(error)) from error
    whole = proven(
        "receipt",
        COORDINATOR,
        f"{len(file.links)} links, unchanged since the coordinator signed them for {file.network}",
    )
    return Verification(
        network=file.network,
        task_id=file.task_id,
        lease_id=file.lease_id,
        coordinator=file.coordinator,
        node_id=parts.node_id,
        result=result_of(parts),
        price_micro_usdc_per_hour=parts.agreed.price_micro_usdc_per_hour,
        paid_micro_usdc=parts.settlement.paid_micro_usdc,
        transaction=parts.settlement.transaction,
        settlement=parts.settlement,
        items=(whole, *items),
        comparator=parts.one(Demand).message.comparator or EXACT,
        use=use_of(parts),
        billed=parts.settlement.billed,
    )
