"""``neurogrid providers search | show``."""

import click

from ..models.providers import ProviderInfo
from .output import print_fields, print_json, print_table, printable, short, usdc, when
from .session import Session, with_session


@click.group()
def providers() -> None:
    """Find who offers machines."""


@providers.command("search")
@click.option("--gpu-model", metavar="TEXT", help="Occurs in the GPU's name.")
@click.option("--gpu-memory", "gpu_memory_min", type=float, metavar="GB", help="Of each GPU.")
@click.option("--gpus", "gpu_count_min", type=click.IntRange(0, 64), help="In one machine.")
@click.option("--cpu", "cpu_cores_min", type=float, metavar="CORES")
@click.option("--ram", "ram_gb_min", type=float, metavar="GB")
@click.option("--storage", "storage_gb_min", type=float, metavar="GB")
@click.option("--max-price", metavar="USDC", help="Per hour, for all of that.")
@click.option("--region", "location", help="Only there.")
@click.option("--score", "score_min", type=click.FloatRange(0, 100), help="At least, 0 to 100.")
@click.option("--status", type=click.Choice(["online", "busy", "offline"]), help="Only these.")
@click.option("--available", is_flag=True, help="Only who could take it now.")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def search_providers(
    session: Session,
    *,
    gpu_model: str | None,
    gpu_memory_min: float | None,
    gpu_count_min: int | None,
    cpu_cores_min: float | None,
    ram_gb_min: float | None,
    storage_gb_min: float | None,
    max_price: str | None,
    location: str | None,
    score_min: float | None,
    status: str | None,
    available: bool,
    limit: int,
    offset: int,
) -> None:
    """List providers with a machine that has all of this, the cheapest first.

    \b
    neurogrid providers search --gpu-model 4090 --gpu-memory 24 --max-price 2
    """
    page = session.client.providers.search(
        gpu_model=gpu_model,
        gpu_memory_min=gpu_memory_min,
        gpu_count_min=gpu_count_min,
        cpu_cores_min=cpu_cores_min,
        ram_gb_min=ram_gb_min,
        storage_gb_min=storage_gb_min,
        max_price=max_price,
        location=location,
        score_min=score_min,
        status=status,
        available=available or None,
        limit=limit,
        offset=offset,
    )
    if session.as_json:
        print_json(page)
        return
    if not page.providers:
        click.echo("No provider has that.", err=True)
        return
    print_table(
        ("PROVIDER", "STATUS", "REGIONS", "MACHINES", "GPUS", "SCORE", "PRICE FROM"),
        map(_row, page.providers),
    )


@providers.command("show")
@click.argument("provider")
@with_session
def show_provider(session: Session, *, provider: str) -> None:
    """Show a PROVIDER (its wallet) and its machines."""
    found = session.client.providers.get(provider)
    if session.as_json:
        print_json(found)
        return
    earned = found.earnings
    print_fields(
        [
            ("provider", found.id),
            ("status", found.status),
            ("regions", printable(", ".join(found.locations))),
            ("score", _score(found)),
            ("stake", usdc(found.stake)),
            ("machines", f"{found.nodes_available} of {found.node_count} take work now"),
            ("gpus", printable(_gpus(found))),
            ("price from", f"{usdc(found.price_per_hour)}/h"),
            ("jobs paid", None if found.jobs_paid is None else str(found.jobs_paid)),
            ("earned", None if earned is None else f"{usdc(earned.total)} here"),
            ("last seen", when(found.last_seen)),
        ]
    )
    print_table(
        ("NODE", "STATUS", "REGION", "CORES", "RAM", "PRICE FROM", "MACHINE"),
        (
            (
                short(node.id),
                node.status,
                node.region,
                f"{node.cpu_cores_free:g}/{node.cpu_cores:g}",
                f"{node.ram_gb_free:.0f}/{node.ram_gb:.0f} GB",
                f"{usdc(node.price_per_hour)}/h",
                node.summary,
            )
            for node in found.nodes
        ),
    )


def _row(provider: ProviderInfo) -> tuple[str, ...]:
    return (
        provider.id,
        provider.status,
        ", ".join(provider.locations),
        f"{provider.nodes_available}/{provider.node_count}",
        _gpus(provider),
        _score(provider),
        f"{usdc(provider.price_per_hour)}/h",
    )


def _gpus(provider: ProviderInfo) -> str:
    each = (f"{gpus.count} x {gpus.model} {gpus.memory_gb:.0f}GB" for gpus in provider.gpus)
    return ", ".join(each) or "-"


def _score(provider: ProviderInfo) -> str:
    score = provider.performance_score
    return "-" if score is None else f"{score:g}"
