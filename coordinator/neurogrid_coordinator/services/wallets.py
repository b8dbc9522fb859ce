"""A client's wallet and its deposit: what is in them, and moving money in and out."""

import time
from dataclasses import dataclass

from solders.pubkey import Pubkey

from neurogrid_contracts.client_money import (
    Plan,
    Standing,
    plan_deposit,
    plan_operator,
    plan_withdraw,
)
from neurogrid_wallet.currencies import Currency
from neurogrid_wallet.errors import RpcError

from ..money.transfer import TransferKind
from ..money.transfer_plans import with_spending_limit
from ..money.wallet_chain import TransferChain
from ..store import tasks
from ..store.accounts import Account
from ..store.database import Database
from .errors import InvalidRequest, Unavailable
from .funds import Balance
from .transfers import Asked, Transfers, Wanted

USDT = "USDT"
# How long the coordinator may use a deposit, where nothing is said.
OPERATOR_DAYS = 30
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class WalletBalance:
    """What a client has.

    Attributes:
        deposited: in the client account, locked part included.
        free: of it, neither held nor locked: what can be withdrawn.
        available: what new tasks can spend: what is free, as far as the coordinator may use it.
        escrowed, held, operator_limit: see `Balance`.
        in_wallet: not deposited, by currency, millionths.
    """

    deposited_micro_usdc: int
    free_micro_usdc: int
    available_micro_usdc: int
    held_micro_usdc: int
    escrowed_micro_usdc: int
    operator_limit_micro_usdc: int
    in_wallet_micro: dict[str, int]


@dataclass(frozen=True, slots=True)
class SpendingLimit:
    """What the coordinator may open escrows for in a client's name; nothing with 0."""

    micro_usdc: int
    days: int = OPERATOR_DAYS


class Wallets:
    """What clients do with their money. Nothing moves but by their own wallet's signature."""

    def __init__(self, database: Database, chain: TransferChain, transfers: Transfers) -> None:
        self._database = database
        self._chain = chain
        self._transfers = transfers

    async def balance(self, account: Account, balance: Balance) -> WalletBalance:
        """What the account has now.

        Args:
            balance: what it can spend.

        Raises:
            Unavailable: the chain does not answer.
        """
        try:
            standing = await self._chain.standing(Pubkey.from_string(account.wallet))
        except RpcError as error:
            raise Unavailable(
                "the chain does not answer, so your balance is not known; try again in a moment"
            ) from error
        client = standing.client
        deposited = 0 if client is None else client.balance_micro_usdc
        locked = 0 if client is None else client.locked_micro_usdc
        held = await self._database.read(lambda conn: tasks.held_micro_usdc(conn, account.wallet))
        return WalletBalance(
            deposited_micro_usdc=deposited,
            free_micro_usdc=max(0, deposited - locked - held),
            available_micro_usdc=balance.available_micro_usdc,
            held_micro_usdc=held,
            escrowed_micro_usdc=locked,
            operator_limit_micro_usdc=balance.operator_limit_micro_usdc,
            in_wallet_micro=standing.tokens_micro,
        )

    async def deposit(
        self,
        account: Account,
        amount_micro_usdc: int,
        currency: str,
        limit: SpendingLimit | None,
        idempotency_key: str | None,
    ) -> Asked:
        """Ask for a transaction that moves money from the wallet into the deposit.

        Args:
            limit: how much of the deposit the coordinator may use from then on; None leaves it.

        Raises:
            InvalidRequest: the market is not paid in this currency.
            LacksFunds, Conflict, IdempotencyMismatch, Unavailable: see `Transfers.ask`.
        """
        token = market_currency(self._chain, currency)
        owner = Pubkey.from_string(account.wallet)

        async def plan() -> Plan:
            standing = await self._chain.standing(owner)
            deployment = self._chain.deployment
            deposit = plan_deposit(standing, owner, deployment, token, amount_micro_usdc)
            if limit is None:
                return deposit
            return with_spending_limit(
                deposit,
                owner,
                deployment,
                self._chain.operator,
                limit.micro_usdc,
                int(time.time()) + limit.days * _DAY_S,
            )

        more = () if limit is None else (limit.micro_usdc, limit.days)
        wanted = Wanted(
            TransferKind.DEPOSIT,
            amount_micro_usdc,
            token.name,
            more=more,
            idempotency_key=idempotency_key,
        )
        return await self._transfers.ask(account, wanted, plan)

    async def withdraw(
        self,
        account: Account,
        amount_micro_usdc: int,
        currency: str,
        recipient: str,
        idempotency_key: str | None,
    ) -> Asked:
        """Ask for a transaction that takes money out of the deposit.

        Args:
            recipient: whose wallet gets it; "" for the account's own.

        Raises:
            InvalidRequest: the market is not paid in this currency, or the recipient is no wallet.
            LacksFunds, Conflict, IdempotencyMismatch, Unavailable: see `Transfers.ask`.
        """
        token = market_currency(self._chain, currency)
        owner = Pubkey.from_string(account.wallet)
        to = address_of(recipient, "wallet_address") if recipient else owner

        async def plan() -> Plan:
            standing = await self._chain.standing(owner)
            deployment = self._chain.deployment
            return plan_withdraw(standing, owner, deployment, token, amount_micro_usdc, to)

        wanted = Wanted(
            TransferKind.WITHDRAWAL,
            amount_micro_usdc,
            token.name,
            str(to),
            idempotency_key=idempotency_key,
        )
        return await self._transfers.ask(account, wanted, plan)

    async def set_spending_limit(
        self, account: Account, limit: SpendingLimit, idempotency_key: str | None
    ) -> Asked:
        """Ask for a transaction that says how much of the deposit the coordinator may use.

        Raises:
            LacksFunds, Conflict, IdempotencyMismatch, Unavailable: see `Transfers.ask`.
        """
        owner = Pubkey.from_string(account.wallet)

        async def plan() -> Plan:
            standing: Standing = await self._chain.standing(owner)
            return plan_operator(
                standing,
                owner,
                self._chain.deployment,
                self._chain.operator if limit.micro_usdc else None,
                limit.micro_usdc,
                int(time.time()) + limit.days * _DAY_S if limit.micro_usdc else 0,
            )

        wanted = Wanted(
            TransferKind.OPERATOR,
            limit.micro_usdc,
            more=(limit.days,),
            idempotency_key=idempotency_key,
        )
        return await self._transfers.ask(account, wanted, plan)


def market_currency(chain: TransferChain, name: str) -> Currency:
    """The market's currency, if this is its name.

    Raises:
        InvalidRequest: it is another.
    """
    market = chain.currencies[0]
    if name != market.name:
        raise InvalidRequest(
            f"currency: this market's money is {market.name}; {name} can't be moved here. Change it into "
            f"{market.name} first",
            "currency",
        )
    return market


def address_of(text: str, field: str) -> Pubkey:
    """A wallet's address.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        address = Pubkey.from_string(text)
    except ValueError as error:
        raise InvalidRequest(f"{field}: is not a Solana wallet's address", field) from error
    if not address.is_on_curve():
        raise InvalidRequest(
            f"{field}: is an account of a program, which has no key; name a wallet", field
        )
    return address
