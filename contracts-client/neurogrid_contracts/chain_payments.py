"""How a daemon's transactions are paid for and decided: keys that ``[chain]`` of node.toml and of
coordinator.toml share, and the outbox that obeys them.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal, Protocol

from msgspec import Meta

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.money import parse_usdc
from neurogrid_wallet.fees import FeePolicy
from neurogrid_wallet.outbox import Outbox, OutboxPolicy
from neurogrid_wallet.payment_store import PaymentDatabase
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import SignerSource

FeeKind = Literal["percentile", "fixed"]
Price = Annotated[int, Meta(ge=0, le=10**12)]
Percentile = Annotated[int, Meta(ge=1, le=100)]
Cap = Annotated[int, Meta(ge=0, le=10**12)]

FEE_CAP_LAMPORTS = 100_000
"""0.0001 SOL, twenty times the fee of a signature: what redeems a small job must not eat it up."""

TWO_ENDPOINTS_FROM_USDC = "1000"


class ChainPayments(Protocol):
    """The shared keys. The packaged files explain each.

    Attributes:
        fee_policy: where the price comes from.
        compute_unit_price_micro_lamports: the fixed price, or the lowest.
        fee_percentile: of recent prices for the same accounts.
        fee_cap_lamports: what the priority of one transaction costs at most.
        second_rpc_url: empty: none, and every payment is decided by the first.
        two_endpoints_from_usdc: the smallest payment that both decide, decimal USDC.
    """

    @property
    def rpc_url(self) -> str: ...
    @property
    def fee_policy(self) -> FeeKind: ...
    @property
    def compute_unit_price_micro_lamports(self) -> int: ...
    @property
    def fee_percentile(self) -> int: ...
    @property
    def fee_cap_lamports(self) -> int: ...
    @property
    def second_rpc_url(self) -> str: ...
    @property
    def two_endpoints_from_usdc(self) -> str: ...


def outbox_policy(chain: ChainPayments) -> OutboxPolicy:
    """What these keys ask of an outbox.

    Raises:
        InvalidValue: they cannot be used together, or one is no address or amount.
    """
    if chain.second_rpc_url and not chain.second_rpc_url.startswith(("http://", "https://")):
        raise InvalidValue("[chain] second_rpc_url is no http address")
    if chain.second_rpc_url == chain.rpc_url:
        raise InvalidValue(
            "[chain] second_rpc_url is rpc_url once more, which would always agree with itself: "
            "name another operator's endpoint, or none"
        )
    try:
        two_endpoints_from = parse_usdc(chain.two_endpoints_from_usdc)
    except InvalidValue as error:
        raise InvalidValue(f"[chain] two_endpoints_from_usdc: {error}") from error
    fees = FeePolicy(
        unit_price_micro_lamports=chain.compute_unit_price_micro_lamports,
        percentile=chain.fee_percentile if chain.fee_policy == "percentile" else None,
        cap_lamports=chain.fee_cap_lamports,
    )
    # Without a second endpoint a limit would refuse large payments, a claim of what was earned too.
    return OutboxPolicy(
        fees=fees,
        two_endpoints_from_micro_usdc=two_endpoints_from if chain.second_rpc_url else None,
    )


@asynccontextmanager
async def open_outbox(
    chain: ChainPayments, place: Path | PaymentDatabase, signers: SignerSource
) -> AsyncIterator[tuple[Rpc, Outbox]]:
    """The first endpoint, and an outbox on the configured ones; somebody has to run it.

    Raises:
        OutboxInUse, OutboxCorrupt: see ``Outbox``.
    """
    async with AsyncExitStack() as stack:
        rpc = await stack.enter_async_context(Rpc(chain.rpc_url))
        second = None
        if chain.second_rpc_url:
            second = await stack.enter_async_context(Rpc(chain.second_rpc_url))
        outbox = Outbox(
            place, rpc=rpc, signers=signers, policy=outbox_policy(chain), second_rpc=second
        )
        yield rpc, await stack.enter_async_context(outbox)
