"""Payouts: earned money that a provider sends on from its wallet, into which the chain has paid it."""

from solders.pubkey import Pubkey

from neurogrid_contracts.client_money import Plan

from ..money.provider_plans import plan_payout
from ..money.transfer import TransferKind
from ..money.wallet_chain import TransferChain
from ..store.accounts import Account
from .errors import InvalidRequest
from .transfers import Asked, Transfers, Wanted
from .wallets import address_of, market_currency


class Payouts:
    """What accounts have their wallets send on."""

    def __init__(self, chain: TransferChain, transfers: Transfers) -> None:
        self._chain = chain
        self._transfers = transfers

    async def request(
        self,
        account: Account,
        amount_micro_usdc: int,
        currency: str,
        recipient: str,
        idempotency_key: str | None,
    ) -> Asked:
        """Ask for a transaction that sends money from the account's wallet to another one.

        Raises:
            InvalidRequest: the market is not paid in this currency, or the recipient is no wallet but its own.
            LacksFunds, Conflict, IdempotencyMismatch, Unavailable: see `Transfers.ask`.
        """
        token = market_currency(self._chain, currency)
        owner = Pubkey.from_string(account.wallet)
        to = address_of(recipient, "wallet_address")
        if to == owner:
            raise InvalidRequest(
                "wallet_address: is the account's own wallet, into which the chain pays each job by itself; name "
                "another one",
                "wallet_address",
            )

        async def plan() -> Plan:
            wallet = await self._chain.standing(owner)
            standing = await self._chain.provider(owner)
            return plan_payout(wallet, standing, owner, to, token, amount_micro_usdc)

        wanted = Wanted(
            TransferKind.PAYOUT,
            amount_micro_usdc,
            token.name,
            str(to),
            idempotency_key=idempotency_key,
        )
        return await self._transfers.ask(account, wanted, plan)
