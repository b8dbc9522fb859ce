"""Transfers: transactions that wallets were asked to sign."""

from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from neurogrid_marketplace.canonical import Json

from ..money.transfer import UNDER_WAY, Transfer, TransferKind, TransferState
from .tables import transfers

# Made before there are threads, see `tasks`.
_read_says = msgspec.json.Decoder(tuple[str, ...]).decode
_UNDER_WAY = [state.value for state in UNDER_WAY]


class RequestDiffers(Exception):
    """The idempotency key was used before, for another request."""


@dataclass(frozen=True, slots=True)
class TransferPage:
    """Some transfers; ``total`` counts all that were asked for."""

    transfers: tuple[Transfer, ...]
    total: int


def insert_new(
    conn: Connection, transfer: Transfer, request: Json, idempotency_key: str | None
) -> None:
    """Store a transfer that nobody has signed yet."""
    conn.execute(
        insert(transfers).values(
            id=transfer.id,
            account_id=transfer.account_id,
            wallet=transfer.wallet,
            kind=transfer.kind.value,
            amount_micro=transfer.amount_micro,
            currency=transfer.currency,
            recipient=transfer.recipient,
            says_json=_text(transfer.says),
            request_json=_text(request),
            idempotency_key=idempotency_key,
            message=transfer.message,
            fee_lamports=transfer.fee_lamports,
            last_valid_block_height=transfer.last_valid_block_height,
            slot=transfer.slot,
            created_at_ms=transfer.created_at_ms,
            expires_at_ms=transfer.expires_at_ms,
            updated_at_ms=transfer.updated_at_ms,
            state=transfer.state.value,
            failure="",
        )
    )


def made_with(
    conn: Connection, account_id: str, idempotency_key: str, request: Json
) -> Transfer | None:
    """What the same request made before.

    Raises:
        RequestDiffers: the key was used for another one.
    """
    row = conn.execute(
        select(transfers).where(
            transfers.c.account_id == account_id, transfers.c.idempotency_key == idempotency_key
        )
    ).first()
    if row is None:
        return None
    if row.request_json != _text(request):
        raise RequestDiffers(row.id)
    return _transfer(row)


def get(conn: Connection, account_id: str, transfer_id: str) -> Transfer | None:
    """The transfer, if it is this account's."""
    row = conn.execute(
        select(transfers).where(transfers.c.id == transfer_id, transfers.c.account_id == account_id)
    ).first()
    return _transfer(row) if row else None


def list_transfers(
    conn: Connection,
    account_id: str,
    *,
    kinds: Collection[TransferKind] = (),
    limit: int,
    offset: int,
) -> TransferPage:
    """The account's transfers, newest first; only of these kinds, if given."""
    wanted: ColumnElement[bool] = transfers.c.account_id == account_id
    if kinds:
        wanted &= transfers.c.kind.in_(sorted(kind.value for kind in kinds))
    rows = conn.execute(
        select(transfers).where(wanted).order_by(transfers.c.id.desc()).limit(limit).offset(offset)
    )
    total = conn.scalar(select(func.count()).select_from(transfers).where(wanted)) or 0
    return TransferPage(tuple(_transfer(row) for row in rows), total)


def count_unfinished(conn: Connection, account_id: str, now_ms: int) -> int:
    """How many of the account's wait for a signature or are under way."""
    waits = (transfers.c.state == TransferState.UNSIGNED.value) & (
        transfers.c.expires_at_ms > now_ms
    )
    return (
        conn.scalar(
            select(func.count())
            .select_from(transfers)
            .where(transfers.c.account_id == account_id, waits | transfers.c.state.in_(_UNDER_WAY))
        )
        or 0
    )


def save_signed(
    conn: Connection, transfer_id: str, signed: bytes, signature: str, now_ms: int
) -> bool:
    """Store what was handed in; False if something was before."""
    result = conn.execute(
        update(transfers)
        .where(transfers.c.id == transfer_id, transfers.c.state == TransferState.UNSIGNED.value)
        .values(
            state=TransferState.SIGNED.value,
            signed=signed,
            signature=signature,
            updated_at_ms=now_ms,
        )
    )
    return result.rowcount == 1


def under_way(conn: Connection, *, after: str = "", limit: int) -> list[Transfer]:
    """Those that may land, or have landed and are not final, in the order of their ids."""
    rows = conn.execute(
        select(transfers)
        .where(transfers.c.state.in_(_UNDER_WAY), transfers.c.id > after)
        .order_by(transfers.c.id)
        .limit(limit)
    )
    return [_transfer(row) for row in rows]


def save_state(
    conn: Connection,
    transfer_id: str,
    state: TransferState,
    landed_slot: int | None,
    failure: str,
    now_ms: int,
) -> None:
    """Store what became of a transfer under way; one that is decided stays so."""
    conn.execute(
        update(transfers)
        .where(transfers.c.id == transfer_id, transfers.c.state.in_(_UNDER_WAY))
        .values(state=state.value, landed_slot=landed_slot, failure=failure, updated_at_ms=now_ms)
    )


def forget_unsigned(conn: Connection, account_id: str, before_ms: int) -> None:
    """Delete what nobody signed in time and that expired before then."""
    conn.execute(
        delete(transfers).where(
            transfers.c.account_id == account_id,
            transfers.c.state == TransferState.UNSIGNED.value,
            transfers.c.expires_at_ms < before_ms,
        )
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


def _transfer(row: Row[tuple[object, ...]]) -> Transfer:
    return Transfer(
        id=row.id,
        account_id=row.account_id,
        wallet=row.wallet,
        kind=TransferKind(row.kind),
        amount_micro=row.amount_micro,
        currency=row.currency,
        recipient=row.recipient,
        says=_read_says(row.says_json),
        message=row.message,
        fee_lamports=row.fee_lamports,
        last_valid_block_height=row.last_valid_block_height,
        slot=row.slot,
        created_at_ms=row.created_at_ms,
        expires_at_ms=row.expires_at_ms,
        updated_at_ms=row.updated_at_ms,
        state=TransferState(row.state),
        signed=row.signed,
        signature=row.signature,
        landed_slot=row.landed_slot,
        failure=row.failure,
    )
