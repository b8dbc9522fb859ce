"""``neurogrid billing balance | history | invoices | invoice``."""

import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import click

from .output import print_fields, print_json, print_table, usdc, when
from .session import Session, with_session

DAY = click.DateTime(["%Y-%m-%d"])
FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


@click.group()
def billing() -> None:
    """See what your tasks cost, and get invoices."""


@billing.command("balance")
@with_session
def show_balance(session: Session) -> None:
    """Show what new tasks can spend."""
    found = session.client.billing.get_balance()
    if session.as_json:
        print_json(found)
        return
    print_fields(
        [
            ("balance", usdc(found.balance)),
            ("held", f"{usdc(found.held)}  for tasks that have no escrow yet"),
            ("escrowed", f"{usdc(found.escrowed)}  locked on the chain for tasks"),
            ("this month", f"{usdc(found.spent_this_month)}  paid"),
        ]
    )


@billing.command("history")
@click.option("--from", "first", type=DAY, metavar="DAY", help="UTC; 30 days ago, if left out.")
@click.option("--to", "last", type=DAY, metavar="DAY", help="The last day; today, if left out.")
@click.option("--csv", "file", type=FILE, help="Write all of it to a file (- for here) as CSV.")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def show_history(
    session: Session,
    *,
    first: datetime | None,
    last: datetime | None,
    file: Path | None,
    limit: int,
    offset: int,
) -> None:
    """List what each run of a task was charged, newest first."""
    start_date, end_date = first and first.date(), last and last.date()
    of_client = session.client.billing
    if file is not None:
        write_to(file, of_client.export_history(start_date=start_date, end_date=end_date))
        return
    found = of_client.get_history(
        start_date=start_date, end_date=end_date, limit=limit, offset=offset
    )
    if session.as_json:
        print_json(found)
        return
    print_table(
        ("TASK", "AWARDED", "STATUS", "PAID", "OF", "NAME"),
        (
            (
                charge.task_id,
                when(charge.created_at),
                charge.status,
                usdc(charge.paid),
                usdc(charge.escrowed),
                charge.task_name,
            )
            for charge in found.history
        ),
    )
    totals = found.totals
    click.echo(
        f"{usdc(totals.paid)} paid by {found.total} runs, {usdc(totals.open)} locked for those that are open",
        err=True,
    )


@billing.command("invoices")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_invoices(session: Session, *, limit: int, offset: int) -> None:
    """List your invoices, one for each month in which something was paid."""
    page = session.client.billing.list_invoices(limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("INVOICE", "NUMBER", "FROM", "TO", "RUNS", "TOTAL"),
        (
            (
                invoice.id,
                str(invoice.number),
                invoice.period_start,
                invoice.period_end,
                str(invoice.line_count),
                usdc(invoice.total),
            )
            for invoice in page.invoices
        ),
    )


@billing.command("invoice")
@click.argument("invoice_id")
@click.option("--pdf", "file", type=FILE, help="Write it to a file (- for here) as a PDF.")
@with_session
def show_invoice(session: Session, *, invoice_id: str, file: Path | None) -> None:
    """Show an invoice with its first lines, or get it as a PDF."""
    of_client = session.client.billing
    if file is not None:
        write_to(file, [of_client.get_invoice_pdf(invoice_id)])
        return
    found = of_client.get_invoice(invoice_id)
    if session.as_json:
        print_json(found)
        return
    print_fields(
        [
            ("invoice", f"{found.id}, number {found.number}"),
            ("days", f"{found.period_start} to {found.period_end}"),
            ("of", f"{found.account_name} ({found.wallet})"),
            ("total", f"{usdc(found.total)}  in {found.line_count} runs"),
        ]
    )
    print_table(
        ("TASK", "SETTLED", "PAID", "NAME"),
        (
            (line.task_id, when(line.settled_at), usdc(line.paid), line.task_name)
            for line in found.lines
        ),
    )


def write_to(file: Path, pieces: Iterable[bytes]) -> None:
    """Write what comes to a file, or to standard output for ``-``."""
    if str(file) == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.flush()
        return
    partial = file.with_name(file.name + ".partial")
    try:
        with partial.open("wb") as target:
            for piece in pieces:
                target.write(piece)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    click.echo(f"{file}", err=True)
