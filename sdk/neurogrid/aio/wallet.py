"""The account's money: what it has, and moving it by transactions that its wallet signs here.

The coordinator writes a transaction and has no key; the wallet's key signs it on this machine, and never leaves it.
What a transaction does is said by ``does``, in the coordinator's words. Who would rather trust nobody's words uses
`neurogrid wallet`, which writes its transactions itself.
"""

import base64
import uuid
from collections.abc import AsyncGenerator
from decimal import Decimal
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Literal

from ..errors import ConfigurationError
from ..models.earnings import Transfer
from ..models.money import TransferPage, WalletBalance
from ..profile import WALLET_KEY_VARIABLE
from ..signing import sign_message
from .pages import each
from .transport import Transport

Amount = str | int | Decimal
Kind = Literal[
    "deposit",
    "withdrawal",
    "operator",
    "payout",
    "stake",
    "unstake",
    "rebond",
    "stake_withdrawal",
    "close",
    "claim",
]


class Wallet:
    """The account's wallet and deposit.

    Args:
        key: the wallet's key file, where it is at hand.
    """

    def __init__(self, transport: Transport, key: Path | None) -> None:
        self._transport = transport
        self._key = key

    async def get_balance(self) -> WalletBalance:
        """What the account has, by what the chain says now."""
        return await self._transport.call(WalletBalance, "GET", "/wallet/balance")

    async def deposit(
        self,
        amount: Amount,
        currency: str = "USDC",
        *,
        operator_limit: Amount | None = None,
        operator_days: int = 30,
        idempotency_key: str | None = None,
    ) -> Transfer:
        """Ask to move USDC from the wallet into the deposit; nothing moves before it is signed.

        Args:
            currency: what the amount is in. Markets take USDC; another one is refused with what there is.
            operator_limit: let the coordinator open escrows for so much in all, which tasks need; None:
                what the wallet allowed before stays.

        Raises:
            InsufficientFundsError: the wallet has less.
            InvalidRequestError: the currency is not taken.
        """
        body: dict[str, object] = {"amount": str(amount), "currency": currency}
        if operator_limit is not None:
            body |= {"operator_limit": str(operator_limit), "operator_days": operator_days}
        return await self._asked("/wallet/deposits", body, idempotency_key)

    async def withdraw(
        self,
        amount: Amount,
        *,
        wallet_address: str | None = None,
        idempotency_key: str | None = None,
    ) -> Transfer:
        """Ask to take free USDC out of the deposit; nothing moves before it is signed.

        Args:
            wallet_address: who gets it; None: the account's own wallet.

        Raises:
            InsufficientFundsError: less of the deposit is free.
        """
        body: dict[str, object] = {"amount": str(amount)}
        if wallet_address is not None:
            body["wallet_address"] = wallet_address
        return await self._asked("/wallet/withdrawals", body, idempotency_key)

    async def set_operator_limit(
        self, limit: Amount, *, days: int = 30, idempotency_key: str | None = None
    ) -> Transfer:
        """Ask to say how much the coordinator may lock in escrows in the wallet's name; 0 ends it."""
        body: dict[str, object] = {"limit": str(limit), "days": days}
        return await self._asked("/wallet/operator", body, idempotency_key)

    def sign(self, transfer: Transfer, key_file: str | PathLike[str] | None = None) -> str:
        """A transfer's transaction with the wallet's signature, base64, to `submit`. Look at ``does`` before.

        Args:
            key_file: in Solana's format; None: as NEUROGRID_WALLET_KEY, or a devnet's network.json, says.

        Raises:
            ConfigurationError: there is no key, or another wallet's.
            ValueError: there is nothing to sign, or it wants more of the key than one signature of its wallet.
        """
        path = self._key if key_file is None else Path(key_file)
        if path is None:
            raise ConfigurationError(
                f"no wallet key is given: name its file, or set {WALLET_KEY_VARIABLE}"
            )
        if transfer.message is None:
            raise ValueError(
                f"transfer {transfer.id} is {transfer.status}: there is nothing to sign"
            )
        message = base64.b64decode(transfer.message, validate=True)
        signature = sign_message(path, transfer.wallet, message)
        return base64.b64encode(b"\x01" + signature + message).decode("ascii")

    async def submit(self, transfer_id: str, signed_transaction: str) -> Transfer:
        """Hand in what was signed. It is carried out once, however often it is handed in.

        Raises:
            InvalidRequestError: it is another transaction, or not signed by the account's wallet.
            ConflictError: it was signed too late.
        """
        path = f"/wallet/transfers/{transfer_id}/submit"
        body = {"signed_transaction": signed_transaction}
        return await self._transport.call(Transfer, "POST", path, json=body)

    async def get_transfer(self, transfer_id: str) -> Transfer:
        """What became of it: ``completed``, ``failed`` and ``expired`` are its ends.

        Raises:
            NotFoundError: the account has no such transfer.
        """
        return await self._transport.call(Transfer, "GET", f"/wallet/transfers/{transfer_id}")

    async def list_transfers(
        self, *, kind: Kind | None = None, limit: int = 50, offset: int = 0
    ) -> TransferPage:
        """All that the wallet was asked to sign here, newest first."""
        params = {"limit": str(limit), "offset": str(offset)}
        if kind is not None:
            params["kind"] = kind
        return await self._transport.call(TransferPage, "GET", "/wallet/transfers", params=params)

    def iterate_transfers(
        self, *, kind: Kind | None = None, page_size: int = 100
    ) -> AsyncGenerator[Transfer]:
        """All transfers that fit, each once, however many there are; ``page_size``: how many one request asks for."""
        return each(partial(self.list_transfers, kind=kind), page_size, Transfer)

    async def _asked(
        self, path: str, body: dict[str, object], idempotency_key: str | None
    ) -> Transfer:
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return await self._transport.call(Transfer, "POST", path, json=body, headers=headers)
