"""What an account can spend: its deposit on the chain, less what its tasks may still cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deposit:
    """A client account on the chain, micro-USDC.

    Attributes:
        balance: in the client account, locked part included.
        locked: of it, in escrows.
        operator_limit: what the coordinator may still open escrows for; None for no limit.
        wallet: in the owner's own token account, not deposited; None if it is not known now.
    """

    balance_micro_usdc: int
    locked_micro_usdc: int
    operator_limit_micro_usdc: int | None = None
    wallet_micro_usdc: int | None = None

    @property
    def free_micro_usdc(self) -> int:
        """What escrows can still be opened for."""
        free = max(0, self.balance_micro_usdc - self.locked_micro_usdc)
        limit = self.operator_limit_micro_usdc
        return free if limit is None else min(free, limit)


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's money, micro-USDC.

    Attributes:
        available: what new tasks can spend.
        held: promised to tasks that have no open escrow yet.
        escrowed: locked on the chain.
        wallet: see `Deposit`.
    """

    available_micro_usdc: int
    held_micro_usdc: int
    escrowed_micro_usdc: int
    wallet_micro_usdc: int | None

    @classmethod
    def of(cls, deposit: Deposit, held_micro_usdc: int) -> "Balance":
        """The balance with this much held."""
        return cls(
            available_micro_usdc=max(0, deposit.free_micro_usdc - held_micro_usdc),
            held_micro_usdc=held_micro_usdc,
            escrowed_micro_usdc=deposit.locked_micro_usdc,
            wallet_micro_usdc=deposit.wallet_micro_usdc,
        )
