"""What is asked for, what is risked, and where it is paid: [prices], [spot], [risk], [chain] of node.toml."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from neurogrid_contracts.chain_payments import (
    FEE_CAP_LAMPORTS,
    TWO_ENDPOINTS_FROM_USDC,
    Cap,
    FeeKind,
    Percentile,
    Price,
)
from neurogrid_contracts.deployment import Deployment
from neurogrid_marketplace.fields import Permille
from neurogrid_marketplace.offer import PriceList
from neurogrid_marketplace.spot import RECLAIM_WINDOW_MAX_S, SpotTerms

from .amounts import Usdc, price

_Positive = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, slots=True)
class PriceConfig:
    """Asking prices, decimal USDC per hour. A bid is their sum over what a task asks for."""

    base: Usdc = "0.00"
    cpu_core: Usdc = "0.02"
    memory_gib: Usdc = "0.005"
    gpu: Usdc = "0.60"

    def price_list(self) -> PriceList:
        """As micro-USDC.

        Raises:
            InvalidValue: one is no amount, or absurd.
        """
        return PriceList(
            base_micro_usdc_per_hour=price("base", self.base),
            cpu_core_micro_usdc_per_hour=price("cpu_core", self.cpu_core),
            memory_gib_micro_usdc_per_hour=price("memory_gib", self.memory_gib),
            gpu_micro_usdc_per_hour=price("gpu", self.gpu),
        )


@dataclass(frozen=True, slots=True)
class SpotConfig:
    """Jobs that may be reclaimed; docs/kinds-of-tasks.md says what that is.

    Attributes:
        take: whether preemptible tasks are taken as such; else as any other.
        discount_permille: how much less is asked for one.
        reclaim_window_s: from the warning to the stop.
        displace: whether ordinary tasks may take the place of preemptible ones.
    """

    take: bool = False
    discount_permille: Permille = 500
    reclaim_window_s: Annotated[int, Meta(ge=1, le=RECLAIM_WINDOW_MAX_S)] = 120
    displace: bool = True

    def terms(self) -> SpotTerms | None:
        """As they are offered."""
        return SpotTerms(self.discount_permille, self.reclaim_window_s) if self.take else None


@dataclass(frozen=True, slots=True)
class RiskConfig:
    """How far the owner trusts clients.

    Attributes:
        max_unpaid_s: unpaid work, in seconds of the agreed price, before a job is paused.
        max_timeout_s: longest job that is taken.
        stake_usdc: stake that the first `start` registers with; then commands decide.
    """

    max_unpaid_s: _Positive = 300
    max_timeout_s: _Positive = 24 * 3600
    stake_usdc: Usdc = "10.00"


@dataclass(frozen=True, slots=True)
class ChainConfig:
    """Where the market's program lives, and how we pay there: see `ChainPayments`."""

    rpc_url: str
    program_id: str
    usdc_mint: str
    admin: str
    genesis_hash: str
    fee_policy: FeeKind = "percentile"
    compute_unit_price_micro_lamports: Price = 0
    fee_percentile: Percentile = 50
    fee_cap_lamports: Cap = FEE_CAP_LAMPORTS
    second_rpc_url: str = ""
    two_endpoints_from_usdc: Usdc = TWO_ENDPOINTS_FROM_USDC

    def deployment(self) -> Deployment:
        """The addresses as keys.

        Raises:
            ValueError: one is not an address.
        """
        return Deployment.from_json(
            {"program_id": self.program_id, "usdc_mint": self.usdc_mint, "admin": self.admin}
        )
