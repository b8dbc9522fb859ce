"""``neurogrid provider resources | tasks | earnings | jobs | stake | payouts``, and what moves money (`provider_moves`)."""

from datetime import datetime
from pathlib import Path
from typing import Literal

import click

from ..provider import ProviderAccount
from .funds import carry_out, wallet_key_option, yes_option
from .output import print_fields, print_json, print_table, short, usdc, when
from .session import Session, with_session

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def provider() -> None:
    """See your machines, what they earn, and your stake; move that by way of the coordinator.

    What moves money is written by the coordinator, shown, and signed here. `neurogrid-node` writes it itself.
    """


def signing(session: Session, wallet_key: Path | None) -> ProviderAccount:
    """The account, whose requests are signed with this key, or as NEUROGRID_WALLET_KEY says."""
    if wallet_key is not None:
        session.client.sign_with(wallet_key)
    return session.client.provider


@provider.command("resources")
@click.option("--type", type=click.Choice(["gpu", "cpu"]), help="Only these.")
@click.option(
    "--status", type=click.Choice(["available", "busy", "paused", "offline"]), help="Only these."
)
@with_session
def list_resources(
    session: Session,
    *,
    type: Literal["gpu", "cpu"] | None,
    status: Literal["available", "busy", "paused", "offline"] | None,
) -> None:
    """List your machines."""
    page = session.client.provider.resources.list(type=type, status=status, limit=100)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("NODE", "STATUS", "REGION", "GPUS", "CORES", "RAM", "TASKS", "PRICE FROM"),
        (
            (
                short(item.id),
                item.status,
                item.location,
                f"{item.specifications.gpu_count_free}/{item.specifications.gpu_count}",
                f"{item.specifications.cpu_cores_free:g}/{item.specifications.cpu_cores:g}",
                f"{item.specifications.ram_gb_free:.0f}/{item.specifications.ram_gb:.0f} GB",
                str(item.running_tasks),
                f"{usdc(item.pricing.per_hour)}/h",
            )
            for item in page.resources
        ),
    )


@provider.command("tasks")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_tasks(session: Session, *, limit: int, offset: int) -> None:
    """List what your machines have taken and are not paid for yet."""
    page = session.client.provider.tasks.list(limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("LEASE", "NODE", "AWARDED", "STATUS", "PROGRESS", "PROMISED", "OF"),
        (
            (
                item.lease_id,
                short(item.resource_id),
                when(item.created_at),
                item.status or "-",
                "-" if item.progress is None else f"{item.progress:g} %",
                usdc(item.promised),
                usdc(item.escrowed),
            )
            for item in page.tasks
        ),
    )


@provider.command("earnings")
@click.option("--from", "first", type=_DAY, metavar="DAY", help="UTC; 30 days ago, if left out.")
@click.option("--to", "last", type=_DAY, metavar="DAY", help="The last day; today, if left out.")
@with_session
def show_earnings(session: Session, *, first: datetime | None, last: datetime | None) -> None:
    """Show what your machines were paid, and what is promised to them."""
    found = session.client.provider.earnings.get_summary(
        start_date=first and first.date(), end_date=last and last.date()
    )
    if session.as_json:
        print_json(found)
        return
    print_fields(
        [
            ("days", f"{found.start_date} to {found.end_date}"),
            ("paid", f"{usdc(found.paid)}  in {found.jobs} jobs, the market's fee included"),
            ("promised", f"{usdc(found.open.promised)}  of {usdc(found.open.escrowed)} in escrow"),
        ]
    )
    print_table(
        ("NODE", "JOBS", "PAID"),
        ((short(node.node_id), str(node.jobs), usdc(node.paid)) for node in found.nodes),
    )


@provider.command("jobs")
@click.option(
    "--status", type=click.Choice(["settled", "open"]), default="settled", show_default=True
)
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_jobs(
    session: Session, *, status: Literal["settled", "open"], limit: int, offset: int
) -> None:
    """List what each job of the last 31 days paid, newest first."""
    page = session.client.provider.earnings.list_jobs(status=status, limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("LEASE", "NODE", "AWARDED", "SETTLED", "PAID", "OF"),
        (
            (
                job.lease_id,
                short(job.node_id),
                when(job.created_at),
                when(job.settled_at) or "-",
                usdc(job.paid),
                usdc(job.escrowed),
            )
            for job in page.jobs
        ),
    )


@provider.command("stake")
@click.argument("amount", required=False)
@wallet_key_option
@yes_option
@with_session
def stake(session: Session, *, amount: str | None, wallet_key: Path | None, yes: bool) -> None:
    """Show what your wallet has at risk, or put AMOUNT USDC more there.

    The first time that makes the wallet a provider.
    """
    if amount is not None:
        transfer = signing(session, wallet_key).staking.stake(amount)
        carry_out(session, transfer, wallet_key, yes=yes)
        return
    found = session.client.provider.staking.get_status()
    if session.as_json:
        print_json(found)
        return
    unbonding = usdc(found.unbonding)
    if found.withdrawable_at is not None:
        unbonding += f"  can be withdrawn from {when(found.withdrawable_at)} on"
    print_fields(
        [
            ("wallet", found.wallet),
            ("staked", f"{usdc(found.staked)}  the market asks for {usdc(found.minimum)}"),
            ("unbonding", unbonding),
            ("slashed", usdc(found.slashed)),
            ("earned", f"{usdc(found.earned)}  in {found.jobs_completed} jobs, after the fee"),
            ("paid to", found.payout_wallet),
            ("in wallet", usdc(found.in_wallet)),
        ]
    )


@provider.command("payouts")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_payouts(session: Session, *, limit: int, offset: int) -> None:
    """List the payouts that were asked for over REST, newest first."""
    page = session.client.provider.payouts.get_history(limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("PAYOUT", "WHEN", "STATUS", "AMOUNT", "TO"),
        (
            (
                payout.id,
                when(payout.created_at),
                payout.status,
                usdc(payout.amount),
                payout.wallet_address or "",
            )
            for payout in page.payouts
        ),
    )
