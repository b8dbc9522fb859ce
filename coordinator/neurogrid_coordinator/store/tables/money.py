"""Transfers, invoices, prices and payments."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from .base import metadata, where

# Transactions that wallets were asked to sign (`transfer`). `message`: what is signed; `signed`: the whole
# transaction, once its owner has handed it in. `request_json`: to tell a repeated request from another one.
transfers = Table(
    "transfers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("wallet", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount_micro", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("says_json", Text, nullable=False),
    Column("request_json", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("message", LargeBinary, nullable=False),
    Column("fee_lamports", BigInteger, nullable=False),
    Column("last_valid_block_height", BigInteger, nullable=False),
    Column("slot", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("signed", LargeBinary),
    Column("signature", Text),
    Column("landed_slot", BigInteger),
    Column("failure", Text, nullable=False),
    UniqueConstraint("account_id", "idempotency_key", name="transfers_idempotency"),
)
# Ids grow with time, so this is also the order of lists.
Index("transfers_of_account", transfers.c.account_id, transfers.c.id)
Index(
    "transfers_under_way",
    transfers.c.state,
    transfers.c.id,
    **where(transfers.c.state.in_(["signed", "confirmed"])),
)

# What an account's tasks paid in a month; its lines are the leases that name it. Rows never change.
invoices = Table(
    "invoices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("period_start_ms", BigInteger, nullable=False),
    Column("period_end_ms", BigInteger, nullable=False),
    Column("issued_at_ms", BigInteger, nullable=False),
    Column("account_name", Text, nullable=False),
    Column("wallet", Text, nullable=False),
    Column("total_micro_usdc", BigInteger, nullable=False),
    Column("lines", Integer, nullable=False),
    UniqueConstraint("account_id", "number", name="invoices_number"),
)

# What awards cleared at (`prices`): per class and hour a marketplace `PriceHour`; old hours are deleted.
price_hours = Table(
    "price_hours",
    metadata,
    Column("name", Text, primary_key=True, nullable=False),
    Column("at_ms", BigInteger, primary_key=True, nullable=False),
    Column("hour_json", Text, nullable=False),
)
Index("price_hours_by_age", price_hours.c.at_ms)

# Payments of the coordinator that leads on a PostgreSQL server; their columns are explained in the wallet's
# `payment_store`, which reads and writes them.
payment = Table(
    "payment",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("payment_id", Text, nullable=False, unique=True),
    Column("identity", LargeBinary, nullable=False),
    Column("intent", Text),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("raw", LargeBinary),
    Column("signature", Text, unique=True),
    Column("last_valid_block_height", BigInteger),
    Column("signed_slot", BigInteger),
    Column("landed_slot", BigInteger),
    Column("failure", Text),
    Column("created_at_s", BigInteger, nullable=False),
    Column("decided_at_s", BigInteger),
    Column("two_endpoints", Integer, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)
Index(
    "payment_undecided",
    payment.c.state,
    payment.c.sequence,
    **where(payment.c.decided_at_s.is_(None)),
)
Index(
    "payment_decided",
    payment.c.decided_at_s,
    **where(payment.c.decided_at_s.is_not(None)),
)
