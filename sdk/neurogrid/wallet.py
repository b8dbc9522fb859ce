# Made from aio/wallet.py by scripts/unasync.py: change that one, and run it.
"""The account's money: what it has, and moving it by transactions that its wallet signs here.

The coordinator writes a transaction and has no key; the wallet's key signs it on this machine, and never leaves it.
`Wallet.carry_out` reads each transaction first (`neurogrid.client_review`), by the market's chain.json, and signs nothing but
what this client has asked for. What a transaction does is said by ``does``, too, in the coordinator's words.
"""

import base64
import time
import uuid
from collections import OrderedDict
from collections.abc import Generator
from decimal import Decimal
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Literal

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.money import parse_usdc

from .client_review import Asked, Market, review
from .errors import ConfigurationError, WaitTimeout
from .market_file import read_market
from .models.earnings import Transfer
from .models.money import TransferPage, WalletBalance
from .pages import each
from .profile import CHAIN_VARIABLE, WALLET_KEY_VARIABLE
from .runtime import blocking, sleep
from .signed_transactions import NotSigned
from .signing import sign_message
from .transport import Transport

# What needs no more waiting: the first is paid but for a fork.
_SETTLED = frozenset({"confirmed", "completed", "failed", "expired"})
_LOOK_S = 0.3
_DAY_S = 86_400
# Transfers that this client has asked for and may still sign.
_WANTED_MAX = 1000
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
        chain: the market's chain.json, where it is at hand.
    """

    def __init__(self, transport: Transport, key: Path | None, chain: Path | None) -> None:
        self._transport = transport
        self._key = key
        self._chain = chain
        self._market: Market | None = None
        # By transfer, what its transaction may do.
        self._wanted: OrderedDict[str, Asked] = OrderedDict()

    def get_balance(self) -> WalletBalance:
        """What the account has, by what the chain says now.

        >>> balance = client.wallet.get_balance()
        >>> balance.free <= balance.deposited
        True
        """
        return self._transport.call(WalletBalance, "GET", "/wallet/balance")

    def deposit(
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
        limit = None if operator_limit is None else _micro(operator_limit)
        wanted = Asked("deposit", _micro(amount), "", limit, _until_s(operator_days))
        return self._asked("/wallet/deposits", body, idempotency_key, wanted)

    def withdraw(
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
        wanted = Asked("withdrawal", _micro(amount), wallet_address or "")
        return self._asked("/wallet/withdrawals", body, idempotency_key, wanted)

    def set_operator_limit(
        self, limit: Amount, *, days: int = 30, idempotency_key: str | None = None
    ) -> Transfer:
        """Ask to say how much the coordinator may lock in escrows in the wallet's name; 0 ends it."""
        body: dict[str, object] = {"limit": str(limit), "days": days}
        wanted = Asked("operator", 0, "", _micro(limit), _until_s(days))
        return self._asked("/wallet/operator", body, idempotency_key, wanted)

    def carry_out(self, transfer: Transfer, *, timeout_s: float = 120.0) -> Transfer:
        """Read what was asked for, sign it if it is that and nothing else, hand it in, and wait for the chain.

        Args:
            transfer: as `deposit`, `withdraw` or `set_operator_limit` of this client answered.

        Returns: it is ``confirmed`` (paid but for a fork), ``completed``, ``failed`` or ``expired``.

        Raises:
            ConfigurationError: there is no key, or no chain.json, or it does anything else than this client has asked for:
                it was not signed.
            WaitTimeout: the chain has not said yet; `get_transfer` goes on looking.
            InvalidRequestError, ConflictError: see `submit`.
        """
        if self._chain is None:
            raise ConfigurationError(
                f"nothing is signed unread: name the market's chain.json, Client(market=...), or set {CHAIN_VARIABLE}"
            )
        if transfer.id not in self._wanted:
            raise ConfigurationError(
                f"transfer {transfer.id} was not signed: this client has not asked for it. Ask for it anew"
            )
        if transfer.message is not None:
            signed = blocking(self.sign, transfer)
            transfer = self.submit(transfer.id, signed)
        end_s = time.monotonic() + timeout_s
        while transfer.status not in _SETTLED:
            if time.monotonic() >= end_s:
                raise WaitTimeout(f"transfer {transfer.id} is {transfer.status} still")
            sleep(_LOOK_S)
            transfer = self.get_transfer(transfer.id)
        return transfer

    def sign(self, transfer: Transfer, key_file: str | PathLike[str] | None = None) -> str:
        """A transfer's transaction with the wallet's signature, base64, to `submit`.

        What this client has asked for is read first, with the market's chain.json at hand. Of all else look at ``does``
        before; `carry_out` signs nothing unread.

        Args:
            key_file: in Solana's format; None: as NEUROGRID_WALLET_KEY, or a devnet's network.json, says.

        Raises:
            ConfigurationError: there is no key, or another wallet's; or it does something else than this client has asked for.
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
        self._review(transfer, message)
        signature = sign_message(path, transfer.wallet, message)
        return base64.b64encode(b"\x01" + signature + message).decode("ascii")

    def submit(self, transfer_id: str, signed_transaction: str) -> Transfer:
        """Hand in what was signed. It is carried out once, however often it is handed in.

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

    def list_transfers(
        self, *, kind: Kind | None = None, limit: int = 50, offset: int = 0
    ) -> TransferPage:
        """All that the wallet was asked to sign here, newest first."""
        params = {"limit": str(limit), "offset": str(offset)}
        if kind is not None:
            params["kind"] = kind
        return self._transport.call(TransferPage, "GET", "/wallet/transfers", params=params)

    def iterate_transfers(
        self, *, kind: Kind | None = None, page_size: int = 100
    ) -> Generator[Transfer]:
        """All transfers that fit, each once, however many there are; ``page_size``: how many one request asks for."""
        return each(partial(self.list_transfers, kind=kind), page_size)

    def _asked(
        self, path: str, body: dict[str, object], idempotency_key: str | None, wanted: Asked
    ) -> Transfer:
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        asked = self._transport.call(Transfer, "POST", path, json=body, headers=headers)
        self._wanted[asked.id] = wanted
        if len(self._wanted) > _WANTED_MAX:
            self._wanted.popitem(last=False)
        return asked

    def _review(self, transfer: Transfer, message: bytes) -> None:
        wanted = self._wanted.get(transfer.id)
        if self._chain is None or wanted is None:
            return
        if self._market is None:
            self._market = read_market(self._chain)
        try:
            review(wanted, message, transfer.wallet, self._market)
        except NotSigned as error:
            raise ConfigurationError(
                f"transfer {transfer.id} ({transfer.kind}) was not signed: {error}. The coordinator is mistaken, or lies"
            ) from error


def _micro(amount: Amount) -> int:
    try:
        return parse_usdc(str(amount))
    except (ValueError, InvalidValue):
        # It is refused where it is asked for, in words that name the field.
        return -1


def _until_s(days: int) -> int:
    return int(time.time()) + days * _DAY_S
