"""The escrow program as the rules see it: who holds how much, and which escrow is in what state.

The real program is tested in tests/contracts; this keeps its accounting for the simulator, where
every micro-USDC is counted after every step.
"""

from dataclasses import dataclass

from .clockwork import Clockwork

GRACE_MS = 60_000


class ChainSilent(Exception):
    """The call or its reply was lost."""


@dataclass(slots=True)
class SimEscrow:
    """One escrow account."""

    provider: str
    max_micro_usdc: int
    claim_until_ms: int
    released_micro_usdc: int = 0


class SimChain:
    """All money there is."""

    def __init__(self, clockwork: Clockwork, client_micro_usdc: int) -> None:
        self.clockwork = clockwork
        self.client_micro_usdc = client_micro_usdc
        self.locked_micro_usdc = 0
        self.providers: dict[str, int] = {}
        self.escrows: dict[str, SimEscrow] = {}
        self.closed: dict[str, int] = {}
        self.total_micro_usdc = client_micro_usdc

    def check(self) -> None:
        """Nothing appears, nothing vanishes, nothing is promised twice."""
        held = sum(
            escrow.max_micro_usdc - escrow.released_micro_usdc for escrow in self.escrows.values()
        )
        assert held == self.locked_micro_usdc
        assert 0 <= self.locked_micro_usdc <= self.client_micro_usdc
        assert self.client_micro_usdc + sum(self.providers.values()) == self.total_micro_usdc

    def _call(self) -> bool:
        """Whether the call arrives; raises if not. Returns whether its reply will be lost."""
        if self.clockwork.chance(self.clockwork.chaos.chain_loss):
            raise ChainSilent
        return self.clockwork.chance(self.clockwork.chaos.chain_loss)

    def open(self, lease_id: str, provider: str, max_micro_usdc: int, deadline_ms: int) -> None:
        """Open an escrow; opening it again changes nothing."""
        lost = self._call()
        if lease_id not in self.escrows and lease_id not in self.closed:
            assert self.client_micro_usdc - self.locked_micro_usdc >= max_micro_usdc
            self.escrows[lease_id] = SimEscrow(provider, max_micro_usdc, deadline_ms + GRACE_MS)
            self.locked_micro_usdc += max_micro_usdc
        self.check()
        if lost:
            raise ChainSilent

    def is_open(self, lease_id: str) -> bool:
        """Whether the escrow account exists."""
        if self._call():
            raise ChainSilent
        return lease_id in self.escrows

    def redeem(self, lease_id: str, cumulative_micro_usdc: int) -> None:
        """The provider claims its last voucher (0: gives up) and closes the escrow."""
        lost = self._call()
        escrow = self.escrows.get(lease_id)
        if escrow is not None and self.clockwork.now_ms <= escrow.claim_until_ms:
            assert cumulative_micro_usdc <= escrow.max_micro_usdc
            amount = max(0, cumulative_micro_usdc - escrow.released_micro_usdc)
            self._pay(escrow, amount)
            self._close(lease_id, escrow)
        self.check()
        if lost:
            raise ChainSilent

    def release_final(self, lease_id: str) -> None:
        """The client's side says that no more will come: the challenge window starts."""
        lost = self._call()
        escrow = self.escrows.get(lease_id)
        if escrow is not None:
            escrow.claim_until_ms = min(escrow.claim_until_ms, self.clockwork.now_ms + GRACE_MS)
        if lost:
            raise ChainSilent

    def refund(self, lease_id: str) -> None:
        """After the window the rest goes back; before it nothing happens."""
        lost = self._call()
        escrow = self.escrows.get(lease_id)
        if escrow is not None and self.clockwork.now_ms > escrow.claim_until_ms:
            self._close(lease_id, escrow)
        self.check()
        if lost:
            raise ChainSilent

    def _pay(self, escrow: SimEscrow, amount: int) -> None:
        escrow.released_micro_usdc += amount
        self.locked_micro_usdc -= amount
        self.client_micro_usdc -= amount
        self.providers[escrow.provider] = self.providers.get(escrow.provider, 0) + amount

    def _close(self, lease_id: str, escrow: SimEscrow) -> None:
        assert lease_id not in self.closed, "an escrow closes once"
        self.locked_micro_usdc -= escrow.max_micro_usdc - escrow.released_micro_usdc
        self.closed[lease_id] = escrow.released_micro_usdc
        del self.escrows[lease_id]
