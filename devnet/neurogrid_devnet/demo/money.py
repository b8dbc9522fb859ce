"""What the chain says of everybody's money, asked while a demo goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal
from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import ClientAccount
from neurogrid_contracts.deployment import Market
from neurogrid_wallet.rpc import Rpc, TransactionRecord
from neurogrid_wallet.usdc import usdc_balance

from ..network_file import Network


@dataclass(frozen=True, slots=True)
class Money:
    """Everybody's USDC at one moment, in micro-USDC.

    Attributes:
        available, locked: of the client's deposit: free, and promised to escrows.
        wallets: of each node by peer id.
    """

    available: int
    locked: int
    treasury: int
    wallets: dict[str, int]

    @property
    def total(self) -> int:
        """Everything there is: payments only move it."""
        return self.available + self.locked + self.treasury + sum(self.wallets.values())


class Ledger:
    """The devnet's chain, for callers that are not asynchronous. Made by `open_ledger`."""

    def __init__(self, portal: BlockingPortal, rpc: Rpc, network: Network) -> None:
        self._portal = portal
        self._rpc = rpc
        self._network = network
        self._deployment = Market.load(Path(network.chain)).deployment

    def money(self) -> Money:
        """Who has what now."""
        return self._portal.call(self._money)

    def transaction(self, signature: str) -> TransactionRecord | None:
        """A transaction, looked up; None if the ledger knows none."""
        return self._portal.call(self._rpc.transaction, signature)

    async def _money(self) -> Money:
        network, mint = self._network, self._deployment.usdc_mint
        owner = Pubkey.from_string(network.client_wallet)
        account = await self._rpc.get_account(self._deployment.client(owner))
        client = ClientAccount.parse(account.data) if account is not None else None
        return Money(
            available=client.available_micro_usdc if client else 0,
            locked=client.locked_micro_usdc if client else 0,
            treasury=await usdc_balance(
                self._rpc, mint, Pubkey.from_string(network.treasury_wallet)
            ),
            wallets={
                node.peer_id: await usdc_balance(self._rpc, mint, Pubkey.from_string(node.wallet))
                for node in network.nodes
            },
        )


@contextmanager
def open_ledger(network: Network) -> Iterator[Ledger]:
    """Connect to the devnet's ledger."""
    with (
        start_blocking_portal("trio") as portal,
        portal.wrap_async_context_manager(Rpc(network.ledger_url)) as rpc,
    ):
        yield Ledger(portal, rpc, network)
