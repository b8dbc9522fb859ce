"""A provider's stake: what is at risk, and moving it. Nothing moves but by the wallet's own signature."""

from collections.abc import Callable

from solders.pubkey import Pubkey

from neurogrid_contracts.client_money import Plan
from neurogrid_contracts.deployment import Deployment
from neurogrid_marketplace.money import format_usdc
from neurogrid_wallet.errors import RpcError

from ..money.provider_plans import (
    plan_closing,
    plan_rebond,
    plan_stake,
    plan_stake_withdrawal,
    plan_unstake,
)
from ..money.transfer import TransferKind
from ..money.transfer_plans import moment
from ..money.wallet_chain import ProviderStanding, TransferChain
from ..store.accounts import Account
from .errors import Conflict, Unavailable
from .transfers import Asked, Transfers, Wanted
from .wallets import market_currency


class Stakes:
    """The stakes of accounts' wallets in the market's program."""

    def __init__(self, chain: TransferChain, transfers: Transfers) -> None:
        self._chain = chain
        self._transfers = transfers

    async def status(self, account: Account) -> ProviderStanding:
        """What the account's wallet has at risk, by what the chain says now.

        Raises:
            Unavailable: the chain does not answer.
        """
        try:
            return await self._chain.provider(Pubkey.from_string(account.wallet))
        except RpcError as error:
            raise Unavailable(
                "the chain does not answer, so the stake is not known; try again in a moment"
            ) from error

    async def stake(
        self, account: Account, amount_micro_usdc: int, currency: str, idempotency_key: str | None
    ) -> Asked:
        """Ask for a transaction that adds to the stake, and makes the wallet a provider if it is none.

        Raises:
            InvalidRequest: the market is not paid in this currency.
            LacksFunds, Conflict, IdempotencyMismatch, Unavailable: see `Transfers.ask`.
        """
        wanted = self._wanted(TransferKind.STAKE, amount_micro_usdc, currency, idempotency_key)
        return await self._ask(account, wanted, plan_stake)

    async def unstake(
        self, account: Account, amount_micro_usdc: int, currency: str, idempotency_key: str | None
    ) -> Asked:
        """Ask for a transaction that begins to take stake out.

        Raises:
            InvalidRequest: the market is not paid in this currency.
            LacksFunds, Conflict, IdempotencyMismatch, Unavailable: see `Transfers.ask`.
        """
        wanted = self._wanted(TransferKind.UNSTAKE, amount_micro_usdc, currency, idempotency_key)
        return await self._ask(account, wanted, plan_unstake)

    async def withdraw(self, account: Account, idempotency_key: str | None) -> Asked:
        """Ask for a transaction that takes out all stake that has unbonded.

        Raises:
            Conflict: nothing is unbonding, or not for long enough; or see `Transfers.ask`.
            LacksFunds, IdempotencyMismatch, Unavailable: see `Transfers.ask`.
        """
        owner = Pubkey.from_string(account.wallet)

        async def plan() -> Plan:
            standing = await self._chain.provider(owner)
            provider = standing.account
            if provider is None or not provider.unbonding_micro_usdc:
                raise Conflict("nothing is unbonding: POST /provider/stake/unstake first")
            if standing.now_unix_s < provider.unbonding_until_unix_s:
                raise Conflict(
                    f"{format_usdc(provider.unbonding_micro_usdc)} USDC are unbonding until "
                    f"{moment(provider.unbonding_until_unix_s)}: withdraw them then"
                )
            return plan_stake_withdrawal(provider, owner, self._chain.deployment)

        wanted = Wanted(TransferKind.STAKE_WITHDRAWAL, 0, idempotency_key=idempotency_key)
        return await self._transfers.ask(account, wanted, plan)

    async def rebond(
        self, account: Account, amount_micro_usdc: int, currency: str, idempotency_key: str | None
    ) -> Asked:
        """Ask for a transaction that lets stake that unbonds be stake again.

        Raises:
            InvalidRequest: the market is not paid in this currency.
            LacksFunds, Conflict, IdempotencyMismatch, Unavailable: see `Transfers.ask`.
        """
        wanted = self._wanted(TransferKind.REBOND, amount_micro_usdc, currency, idempotency_key)
        return await self._ask(account, wanted, plan_rebond)

    async def close(self, account: Account, idempotency_key: str | None) -> Asked:
        """Ask for a transaction that closes the provider account, which has to be empty.

        Raises:
            Conflict: there is none, or something is left of it; or see `Transfers.ask`.
            LacksFunds, IdempotencyMismatch, Unavailable: see `Transfers.ask`.
        """
        owner = Pubkey.from_string(account.wallet)

        async def plan() -> Plan:
            provider = (await self._chain.provider(owner)).account
            if provider is None:
                raise Conflict(f"{owner} is no provider in this market: there is nothing to close")
            if provider.open_escrows:
                raise Conflict(
                    f"{provider.open_escrows} of your escrows are open: let the jobs end and be paid "
                    "(GET /provider/earnings/jobs?status=open)"
                )
            if provider.staked_micro_usdc or provider.unbonding_micro_usdc:
                raise Conflict(
                    f"{format_usdc(provider.staked_micro_usdc)} USDC are staked and "
                    f"{format_usdc(provider.unbonding_micro_usdc)} unbonding: unstake and withdraw them first"
                )
            return plan_closing(owner, self._chain.deployment)

        wanted = Wanted(TransferKind.CLOSE, 0, idempotency_key=idempotency_key)
        return await self._transfers.ask(account, wanted, plan)

    def _wanted(
        self, kind: TransferKind, amount_micro_usdc: int, currency: str, idempotency_key: str | None
    ) -> Wanted:
        token = market_currency(self._chain, currency)
        return Wanted(kind, amount_micro_usdc, token.name, idempotency_key=idempotency_key)

    async def _ask(
        self,
        account: Account,
        wanted: Wanted,
        planned: Callable[[ProviderStanding, Pubkey, Deployment, int], Plan],
    ) -> Asked:
        owner = Pubkey.from_string(account.wallet)

        async def plan() -> Plan:
            standing = await self._chain.provider(owner)
            return planned(standing, owner, self._chain.deployment, wanted.amount_micro)

        return await self._transfers.ask(account, wanted, plan)
