"""The chain as this node reads it: the market's terms, our provider account, our leases' escrows.

Everything is read from the chain itself; nothing a coordinator says of it is believed.
"""

from dataclasses import dataclass

from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import ConfigAccount, EscrowAccount, EscrowState, ProviderAccount
from neurogrid_contracts.deployment import Deployment
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Funded, Start
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.rpc import Rpc


class MarketMissing(Exception):
    """There is no market at the configured addresses; the message says what to check."""


class EscrowUnseen(Exception):
    """The escrow is not on the chain, or not what was agreed; the message says which."""


@dataclass(frozen=True, slots=True)
class Escrow:
    """An escrow that pays us, as it was when it was read."""

    address: Pubkey
    account: EscrowAccount

    @property
    def is_offered(self) -> bool:
        """Whether its client can still take it back."""
        return self.account.state is EscrowState.OFFERED

    @property
    def is_disputed(self) -> bool:
        """Whether it is frozen for the arbiter."""
        return self.account.state is EscrowState.DISPUTED


class Market:
    """One deployment, read through one RPC endpoint, for one provider's wallet."""

    def __init__(self, rpc: Rpc, deployment: Deployment, wallet: Pubkey, genesis_hash: str) -> None:
        """
        Args:
            genesis_hash: of the chain that the endpoint must be of.
        """
        self.rpc = rpc
        self.deployment = deployment
        self.wallet = wallet
        self._genesis_hash = genesis_hash
        self._terms: ConfigAccount | None = None

    async def terms(self) -> ConfigAccount:
        """The market's terms, which an administrator can change after notice; while the chain is
        away, those seen last.

        Raises:
            MarketMissing: there is none, it is something else, or this is another chain.
            RpcError: the chain is away, and was since the daemon started.
        """
        try:
            self._terms = await self._read_terms()
        except RpcError:
            if self._terms is None:
                raise
        return self._terms

    async def _read_terms(self) -> ConfigAccount:
        if self._terms is None:
            genesis_hash = await self.rpc.call("getGenesisHash", retry=True)
            if genesis_hash != self._genesis_hash:
                raise MarketMissing(
                    f"the chain at [chain] rpc_url is {genesis_hash}, not {self._genesis_hash}"
                )
        account = await self.rpc.get_account(self.deployment.config)
        try:
            return ConfigAccount.parse(account.data if account else b"")
        except ValueError as error:
            raise MarketMissing(
                f"no market at {self.deployment.config}: check [chain] in node.toml"
            ) from error

    async def provider(self) -> ProviderAccount | None:
        """Our account; None if we are not registered.

        Raises:
            RpcError: the chain is away.
        """
        account = await self.rpc.get_account(self.deployment.provider(self.wallet))
        return ProviderAccount.parse(account.data) if account else None

    async def escrow(self, lease: NodeLease, named: Start | Funded) -> Escrow | None:
        """The escrow of a lease as it is now; None if it is not there (yet, or any more).

        Raises:
            EscrowUnseen: the address is not that of this lease, or it pays somebody else.
            RpcError: the chain is away.
        """
        try:
            client = Pubkey.from_string(named.client)
        except ValueError as error:
            raise EscrowUnseen(f"{named.client!r} is not a wallet") from error
        address = self.deployment.escrow(client, escrow_job_id(lease.lease_id))
        if str(address) != named.escrow:
            raise EscrowUnseen("the escrow's address is not the one of this lease")
        found = await self.rpc.get_account(address)
        if found is None:
            return None
        try:
            account = EscrowAccount.parse(found.data)
        except ValueError as error:
            raise EscrowUnseen(f"{address}: {error}") from error
        if account.provider != self.deployment.provider(self.wallet):
            raise EscrowUnseen("the escrow pays somebody else")
        return Escrow(address, account)
