"""What an account can spend: its deposit on the chain, less what its tasks may still cost."""

from dataclasses import dataclass

from ..money.client_funds import ClientFunds


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's money, micro-USDC.

    Attributes:
        available: what new tasks can spend.
        held: promised to tasks that have no open escrow yet.
        escrowed: locked on the chain.
        wallet: in the owner's own wallet, not deposited.
        operator_limit: what we may still open escrows for; bounds ``available`` too.
    """

    available_micro_usdc: int
    held_micro_usdc: int
    escrowed_micro_usdc: int
    wallet_micro_usdc: int
    operator_limit_micro_usdc: int

    @classmethod
    def of(cls, funds: ClientFunds, held_micro_usdc: int) -> "Balance":
        """The balance with this much held."""
        free = min(
            funds.balance_micro_usdc - funds.locked_micro_usdc, funds.operator_limit_micro_usdc
        )
        return cls(
            available_micro_usdc=max(0, free - held_micro_usdc),
            held_micro_usdc=held_micro_usdc,
            escrowed_micro_usdc=funds.locked_micro_usdc,
            wallet_micro_usdc=funds.wallet_micro_usdc,
            operator_limit_micro_usdc=funds.operator_limit_micro_usdc,
        )
