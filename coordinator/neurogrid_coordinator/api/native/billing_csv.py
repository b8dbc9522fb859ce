"""Charges as CSV (RFC 4180), safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence

COLUMNS = (
    "task_id",
    "task_name",
    "lease_id",
    "node_id",
    "provider",
    "status",
    "escrowed",
    "paid",
    "refunded",
    "currency",
    "created_at",
    "settled_at",
    "escrow_transaction",
    "payment_transaction",
)
# Spreadsheets take what begins with one of these for a formula, and run it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_lines(rows: Iterable[Sequence[str | None]]) -> str:
    """Lines of CSV; None is empty."""
    text = io.StringIO()
    csv.writer(text).writerows([_safe(value or "") for value in row] for row in rows)
    return text.getvalue()


def _safe(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value
