# Made from aio/provider.py by scripts/unasync.py: change that one, and run it.
"""The account as a provider: its machines, what they do and earn, and its stake.

What moves money answers a transaction that the wallet has to sign, and asking for it is signed as well: the
client does the second where NEUROGRID_WALLET_KEY names the wallet's key. The first is never signed here: show it to
the wallet, which shows what it does, and hand it in with `ProviderAccount.submit`. `neurogrid.Provider` has the wallet's key,
and does all of it.
"""

import uuid
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Literal

from .models.earnings import (
    EarningsSummary,
    JobEarningsPage,
    PayoutPage,
    StakeStatus,
    Transfer,
)
from .models.resources import ProviderTaskPage, Resource, ResourcePage
from .transport import Transport

Amount = str | int | Decimal
Day = str | date


# Has a transaction made for the wallet: path, body, idempotency key. What it answers says how far that is.
Move = Callable[[str, dict[str, str] | None, str | None], Transfer]


def asking(transport: Transport) -> Move:
    """To ask for transactions that somebody else signs."""

    def ask(path: str, body: dict[str, str] | None, idempotency_key: str | None) -> Transfer:
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return transport.call(Transfer, "POST", path, json=body, headers=headers)

    return ask


class ProviderEarnings:
    """What the account's machines earn."""

    def __init__(self, transport: Transport, move: Move) -> None:
        self._transport = transport
        self._move = move

    def get_summary(
        self, *, start_date: Day | None = None, end_date: Day | None = None
    ) -> EarningsSummary:
        """What was paid in these days (the last 31, if none are named), and what is promised now."""
        params = _days(start_date, end_date)
        return self._transport.call(EarningsSummary, "GET", "/provider/earnings", params=params)

    def list_jobs(
        self,
        *,
        status: Literal["settled", "open"] = "settled",
        start_date: Day | None = None,
        end_date: Day | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> JobEarningsPage:
        """What each job paid in these days, or with ``status="open"`` those that are not settled yet."""
        params = {
            "status": status,
            "limit": str(limit),
            "offset": str(offset),
            **_days(start_date, end_date),
        }
        path = "/provider/earnings/jobs"
        return self._transport.call(JobEarningsPage, "GET", path, params=params)

    def claim(self, lease_id: str, *, idempotency_key: str | None = None) -> Transfer:
        """Ask to redeem what was signed for a job whose machine died before it did so.

        Raises:
            NotFoundError: the account's wallet earns by no such lease.
            ConflictError: there is nothing to redeem, or not yet.
        """
        path = f"/provider/earnings/{lease_id}/claim"
        return self._move(path, None, idempotency_key)


class ProviderPayouts:
    """Money that the account's wallet sends on."""

    def __init__(self, transport: Transport, move: Move) -> None:
        self._transport = transport
        self._move = move

    def request(
        self,
        amount: Amount,
        currency: str = "USDC",
        *,
        wallet_address: str,
        idempotency_key: str | None = None,
    ) -> Transfer:
        """Ask to send earned money to another wallet. The chain has paid it into the account's by itself.

        Raises:
            InsufficientFundsError: the wallet has less.
        """
        body = {
            "amount": str(amount),
            "currency": currency,
            "wallet_address": wallet_address,
        }
        return self._move("/provider/payouts", body, idempotency_key)

    def get_history(self, *, limit: int = 50, offset: int = 0) -> PayoutPage:
        """Payouts that were asked for here, newest first."""
        params = {"limit": str(limit), "offset": str(offset)}
        return self._transport.call(PayoutPage, "GET", "/provider/payouts", params=params)


class ProviderResources:
    """The account's machines."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        type: Literal["gpu", "cpu"] | None = None,
        status: Literal["available", "busy", "paused", "offline"] | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> ResourcePage:
        """Those that fit, in the order of their ids."""
        params = {"limit": str(limit), "offset": str(offset)}
        if type is not None:
            params["type"] = type
        if status is not None:
            params["status"] = status
        return self._transport.call(ResourcePage, "GET", "/provider/resources", params=params)

    def get(self, resource_id: str) -> Resource:
        """One of them.

        Raises:
            NotFoundError: the account owns no such machine.
        """
        return self._transport.call(Resource, "GET", f"/provider/resources/{resource_id}")


class ProviderTasks:
    """What the account's machines do."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int = 50, offset: int = 0) -> ProviderTaskPage:
        """What they have taken and are not paid for yet, newest first."""
        params = {"limit": str(limit), "offset": str(offset)}
        return self._transport.call(ProviderTaskPage, "GET", "/provider/tasks", params=params)


class ProviderStaking:
    """The stake of the account's wallet."""

    def __init__(self, transport: Transport, move: Move) -> None:
        self._transport = transport
        self._move = move

    def get_status(self) -> StakeStatus:
        """What is at risk, by what the chain says now."""
        return self._transport.call(StakeStatus, "GET", "/provider/stake")

    def stake(
        self, amount: Amount, currency: str = "USDC", *, idempotency_key: str | None = None
    ) -> Transfer:
        """Ask to add to the stake; the first time that makes the wallet a provider.

        Raises:
            InsufficientFundsError: the wallet has less.
        """
        body = {"amount": str(amount), "currency": currency}
        return self._move("/provider/stake", body, idempotency_key)

    def unstake(
        self, amount: Amount, currency: str = "USDC", *, idempotency_key: str | None = None
    ) -> Transfer:
        """Ask to begin to take stake out; it can be withdrawn when the market's window has passed.

        Raises:
            InsufficientFundsError: less of it is free.
        """
        body = {"amount": str(amount), "currency": currency}
        return self._move("/provider/stake/unstake", body, idempotency_key)

    def withdraw(self, *, idempotency_key: str | None = None) -> Transfer:
        """Ask to withdraw all that has unbonded.

        Raises:
            ConflictError: nothing has.
        """
        return self._move("/provider/stake/withdraw", None, idempotency_key)

    def rebond(
        self, amount: Amount, currency: str = "USDC", *, idempotency_key: str | None = None
    ) -> Transfer:
        """Ask to let stake that unbonds be stake again.

        Raises:
            InsufficientFundsError: less of it unbonds.
        """
        body = {"amount": str(amount), "currency": currency}
        return self._move("/provider/stake/rebond", body, idempotency_key)

    def close(self, *, idempotency_key: str | None = None) -> Transfer:
        """Ask to close the provider account: its rent comes back, and the wallet's machines get no more work.

        Raises:
            ConflictError: it has stake, unbonding stake or open escrows, or is none.
        """
        return self._move("/provider/stake/close", None, idempotency_key)


class ProviderAccount:
    """The account as a provider."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.resources = ProviderResources(transport)
        self.tasks = ProviderTasks(transport)
        move = asking(transport)
        self.earnings = ProviderEarnings(transport, move)
        self.payouts = ProviderPayouts(transport, move)
        self.staking = ProviderStaking(transport, move)

    def submit(self, transfer_id: str, signed_transaction: str) -> Transfer:
        """Hand in what the wallet has signed. It is carried out once, however often it is handed in.

        Args:
            signed_transaction: the transfer's ``transaction`` with the wallet's signature, base64.

        Raises:
            InvalidRequestError: it is another transaction, or not signed by the account's wallet.
            ConflictError: it was signed too late.
        """
        path = f"/wallet/transfers/{transfer_id}/submit"
        body = {"signed_transaction": signed_transaction}
        return self._transport.call(Transfer, "POST", path, json=body)

    def get_transfer(self, transfer_id: str) -> Transfer:
        """What became of it: ``completed``, ``failed`` and ``expired`` are its ends.

        Raises:
            NotFoundError: the account has no such transfer.
        """
        return self._transport.call(Transfer, "GET", f"/wallet/transfers/{transfer_id}")


def _days(start: Day | None, end: Day | None) -> dict[str, str]:
    named = {"start_date": start, "end_date": end}
    return {name: str(day) for name, day in named.items() if day is not None}
