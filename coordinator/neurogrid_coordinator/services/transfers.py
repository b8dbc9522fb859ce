"""Transfers: a transaction is asked for, its owner's wallet signs it, and it is handed in once."""

import base64
import re
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from solders.pubkey import Pubkey
from sqlalchemy import Connection

from neurogrid_contracts.client_money import Plan
from neurogrid_contracts.errors import program_error
from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.errors import BadSignature
from neurogrid_wallet.chain import Commitment, TransactionFailure
from neurogrid_wallet.errors import RpcError

from ..money.transfer import NotWhatWasAsked, Transfer, TransferKind, TransferState, signature_in
from ..money.wallet_chain import TransferChain
from ..store import api_keys, transfers
from ..store.accounts import Account
from ..store.database import Database
from ..store.ids import new_id
from ..store.transfers import RequestDiffers, TransferPage
from .errors import (
    Conflict,
    IdempotencyMismatch,
    InvalidRequest,
    LacksFunds,
    NotFound,
    Unavailable,
)

LIST_MAX = 100
# What waits for a signature or is under way, of one account.
UNFINISHED_MAX = 20
# A transaction as base64 (1,232 bytes), and room for a line's end.
SIGNED_CHARS_MAX = 1_700

# 150 blocks of 0.4 s, less what reading and signing the clock differently may take.
_LIFE_MS = 55_000
# What nobody signed is shown as expired for a day.
_KEPT_MS = 86_400_000
_ID = re.compile(r"transfer_[0-9a-f]{32}\Z", re.ASCII)
_NO_SOL_NAMES = frozenset(
    {"AccountNotFound", "InsufficientFundsForFee", "InsufficientFundsForRent"}
)
# The system program's own error of a payer that lacks SOL for a new account's rent.
_SYSTEM_NO_SOL = 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """A transfer that is wanted; see `Transfer`.

    Attributes:
        amount_micro: 0 for all that the plan moves.
        more: what else tells this request from another one.
        of: what it is about, likewise.
    """

    kind: TransferKind
    amount_micro: int
    currency: str = "USDC"
    recipient: str = ""
    more: tuple[int, ...] = ()
    of: str = ""
    idempotency_key: str | None = None

    @property
    def record(self) -> Json:
        """To tell a repeated request from another one."""
        return [
            self.kind.value,
            self.amount_micro,
            self.currency,
            self.recipient,
            list(self.more),
            *([self.of] if self.of else []),
        ]


@dataclass(frozen=True, slots=True)
class Asked:
    """A transfer to sign; ``created``: by this request, and not by the same one before."""

    transfer: Transfer
    created: bool


class Transfers:
    """What accounts have their wallets sign.

    Args:
        submitted: told when something was handed in.
    """

    def __init__(
        self, database: Database, chain: TransferChain, submitted: Callable[[], None]
    ) -> None:
        self._database = database
        self._chain = chain
        self._submitted = submitted

    async def ask(
        self, account: Account, wanted: Wanted, plan: Callable[[], Awaitable[Plan]]
    ) -> Asked:
        """A transaction for the account's wallet to sign. Nothing moves yet.

        Args:
            plan: what it does, by what the chain says now.

        Raises:
            LacksFunds: there is not enough for it.
            Conflict: the chain would refuse it, or too many wait already.
            IdempotencyMismatch: the idempotency key was used for another request.
            Unavailable: the chain does not answer.
        """
        key = wanted.idempotency_key
        if key is not None:
            before = await self._database.read(_made_before, account.id, key, wanted.record)
            if before is not None:
                return Asked(before, created=False)
        try:
            planned = await plan()
            if planned.lacks:
                raise LacksFunds(planned.lacks)
            owner = Pubkey.from_string(account.wallet)
            draft = await self._chain.draft(owner, [*planned.first, *planned.instructions])
        except RpcError as error:
            raise Unavailable(
                "the chain does not answer, so there is nothing to sign yet; try again in a moment"
            ) from error
        if draft.failure is not None:
            raise _refusal(draft.failure)
        now_ms = _now_ms()
        transfer = Transfer(
            id=new_id("transfer"),
            account_id=account.id,
            wallet=account.wallet,
            kind=wanted.kind,
            amount_micro=wanted.amount_micro or planned.worth_micro_usdc,
            currency=wanted.currency,
            recipient=wanted.recipient,
            says=planned.says,
            message=draft.message,
            fee_lamports=draft.fee_lamports,
            last_valid_block_height=draft.last_valid_block_height,
            slot=draft.slot,
            created_at_ms=now_ms,
            expires_at_ms=now_ms + _LIFE_MS,
            updated_at_ms=now_ms,
        )

        def store(conn: Connection) -> Asked:
            # Nobody else asks for the same account meanwhile.
            api_keys.lock(conn, account.id)
            if key is not None:
                made = _made_before(conn, account.id, key, wanted.record)
                if made is not None:
                    return Asked(made, created=False)
            transfers.forget_unsigned(conn, account.id, now_ms - _KEPT_MS)
            waiting = transfers.count_unfinished(conn, account.id, now_ms)
            if waiting >= UNFINISHED_MAX:
                raise Conflict(
                    f"{waiting} transfers wait for a signature or are under way; sign them, or wait a minute "
                    "until they expire",
                    {"waiting": waiting, "waiting_max": UNFINISHED_MAX},
                )
            transfers.insert_new(conn, transfer, wanted.record, key)
            return Asked(transfer, created=True)

        return await self._database.write(store)

    async def submit(self, account: Account, transfer_id: str, signed: str) -> Transfer:
        """Take a signed transaction; it is stored, and then sent until it is final or dead.

        Repeating is harmless: what was handed in first counts.

        Args:
            signed: the whole transaction, base64.

        Raises:
            NotFound: there is none, or it is somebody else's.
            InvalidRequest: it is not exactly what was asked for, signed by the account's wallet.
            Conflict: it has expired.
        """
        transfer = await self.get(account, transfer_id)
        try:
            data = base64.b64decode(signed.strip(), validate=True)
            signature = signature_in(data, transfer.message, transfer.wallet)
        except (ValueError, NotWhatWasAsked, BadSignature) as error:
            # A ValueError: no base64.
            raise InvalidRequest(
                f"signed_transaction: {_wrong(error, transfer)}", "signed_transaction"
            ) from error
        if transfer.state is TransferState.UNSIGNED:
            await self._require_alive(transfer)
            await self._database.write(
                transfers.save_signed, transfer.id, data, signature, _now_ms()
            )
            self._submitted()
        return await self.get(account, transfer_id)

    async def get(self, account: Account, transfer_id: str) -> Transfer:
        """One transfer of the account.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        found = None
        if _ID.match(transfer_id):
            found = await self._database.read(transfers.get, account.id, transfer_id)
        if found is None:
            raise NotFound(
                f"there is no transfer {transfer_id[:80]}", {"transfer_id": transfer_id[:80]}
            )
        return found

    async def list(
        self,
        account: Account,
        *,
        kinds: Collection[TransferKind] = (),
        limit: int = 50,
        offset: int = 0,
    ) -> TransferPage:
        """The account's transfers, newest first; only of these kinds, if given."""
        return await self._database.read(
            transfers.list_transfers,
            account.id,
            kinds=kinds,
            limit=min(limit, LIST_MAX),
            offset=offset,
        )

    async def _require_alive(self, transfer: Transfer) -> None:
        """Refuse what no block would take any more, so that nobody waits for it."""
        try:
            position = await self._chain.position(Commitment.CONFIRMED)
        except RpcError:
            # Whoever follows it finds out.
            return
        if position.block_height > transfer.last_valid_block_height:
            raise Conflict(
                "this transaction was signed too late: it was good for about a minute. Nothing has moved; ask "
                "for another",
                {"transfer_id": transfer.id, "status": "expired"},
            )


def _wrong(error: Exception, transfer: Transfer) -> str:
    """What is wrong with what was handed in, for its owner."""
    if isinstance(error, BadSignature):
        return f"the signature is not that of the wallet {transfer.wallet}"
    return str(error) if isinstance(error, NotWhatWasAsked) else "is not a transaction in base64"


def _made_before(conn: Connection, account_id: str, key: str, record: Json) -> Transfer | None:
    try:
        return transfers.made_with(conn, account_id, key, record)
    except RequestDiffers as error:
        raise IdempotencyMismatch(
            f"the idempotency key {key!r} was used for transfer {error}, which was another request"
        ) from error


def _refusal(failure: TransactionFailure) -> LacksFunds | Conflict:
    """Why the chain would not do it, in words."""
    number = failure.custom_program_error
    if failure.name in _NO_SOL_NAMES or number == _SYSTEM_NO_SOL:
        return LacksFunds("the wallet lacks SOL for the fee, or for the rent of an account")
    known = program_error(number) if number is not None else None
    advice = f"{known.code.name}. {known.advice}" if known is not None else str(failure)
    return Conflict(f"the chain would refuse this: {advice}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
