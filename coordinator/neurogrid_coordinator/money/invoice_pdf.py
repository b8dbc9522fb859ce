"""An invoice as a PDF: the same figures as its JSON, on A4."""

from collections.abc import Sequence
from datetime import UTC, datetime

from fpdf import FPDF
from fpdf.enums import TableBordersLayout

from neurogrid_marketplace.money import format_usdc

from ..store.billing import Charge, Invoice

# The standard fonts know these characters alone; another one is shown as a question mark.
_CHARSET = "latin-1"
_NAME_CHARS_MAX = 60


def invoice_pdf(invoice: Invoice, lines: Sequence[Charge]) -> bytes:
    """The file, the same bytes whenever it is made. Takes a second for 2,000 lines: call it in a thread.

    Args:
        lines: in their order; where there are fewer than the invoice has, it says what is missing.
    """
    pdf = FPDF()
    pdf.set_creation_date(_moment(invoice.issued_at_ms))
    pdf.set_title(f"Invoice {invoice.number}")
    pdf.set_creator("NeuroGrid")
    pdf.add_page()
    pdf.set_font("Helvetica", "B", 18)
    pdf.cell(0, 12, f"Invoice {invoice.number}", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Helvetica", size=10)
    last_ms = invoice.period_end_ms - 1
    for label, value in (
        ("Account", f"{invoice.account_name} ({invoice.account_id})"),
        ("Wallet", invoice.wallet),
        ("Period", f"{_day(invoice.period_start_ms)} to {_day(last_ms)} (UTC)"),
        ("Issued", _day(invoice.issued_at_ms)),
        ("Invoice id", invoice.id),
    ):
        pdf.cell(28, 6, label)
        # An account's name may need more than a line.
        pdf.multi_cell(0, 6, _text(value), align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(4)
    pdf.set_font("Helvetica", size=8)
    with pdf.table(
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        col_widths=(18, 46, 70, 22),
        text_align=("LEFT", "LEFT", "LEFT", "RIGHT"),
    ) as table:
        head = table.row()
        for title in ("Settled", "Task", "Transaction on Solana", "USDC"):
            head.cell(title)
        for line in lines:
            row = table.row()
            row.cell(_day(line.settled_at_ms or 0))
            row.cell(_text(line.task_name[:_NAME_CHARS_MAX] or line.task_id))
            row.cell(line.closed_by)
            row.cell(format_usdc(line.paid_micro_usdc))
        missing = invoice.lines - len(lines)
        if missing:
            rest = invoice.total_micro_usdc - sum(line.paid_micro_usdc for line in lines)
            row = table.row()
            row.cell(f"and {missing} more, which the invoice's JSON lists", colspan=3)
            row.cell(format_usdc(rest))
        total = table.row()
        total.cell("Total, paid from escrow on the chain", colspan=3)
        total.cell(format_usdc(invoice.total_micro_usdc))
    return bytes(pdf.output())


def _text(text: str) -> str:
    return text.encode(_CHARSET, "replace").decode(_CHARSET)


def _moment(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


def _day(unix_ms: int) -> str:
    return _moment(unix_ms).strftime("%Y-%m-%d")
