"""``neurogrid nodes | reputation | explain``: what the market has, and how a job would meet it."""

import click

from ..models import NodeInfo
from .durations import Duration
from .exit_codes import NO_NODE
from .output import (
    print_explanation,
    print_fields,
    print_json,
    print_table,
    short,
    usdc,
    when,
)
from .resources import Resources, resource_options
from .session import Session, with_session


@click.command()
@click.argument("node", required=False)
@click.option("--status", type=click.Choice(["online", "busy", "offline"]), help="Only these.")
@click.option("--region", help="Only there.")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def nodes(
    session: Session,
    *,
    node: str | None,
    status: str | None,
    region: str | None,
    limit: int,
    offset: int,
) -> None:
    """List the nodes of the market and what they have free; or show one NODE, by its peer id."""
    if node is not None:
        if status or region:
            raise click.UsageError(
                "a NODE is shown by its peer id: leave out --status and --region"
            )
        _show(session, session.client.nodes.get(node))
        return
    page = session.client.nodes.list(status=status, region=region, limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    if not page.nodes:
        click.echo("No node is known.", err=True)
        return
    print_table(
        ("NODE", "STATUS", "REGION", "CORES", "RAM", "GPU", "PRICE FROM", "MACHINE"),
        map(_row, page.nodes),
    )


@click.command()
@click.argument("node")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@with_session
def reputation(session: Session, *, node: str, limit: int) -> None:
    """Show a NODE's score, and what it is made of."""
    found = session.client.nodes.reputation(node, limit=limit)
    if session.as_json:
        print_json(found)
        return
    share = found.verified_share
    click.echo(f"score      {found.score} of 1000 (a newcomer has {found.neutral_score})")
    if found.suspended:
        click.secho("suspended  proven wrong twice; it is asked for nothing", fg="red")
    click.echo(f"stake      {usdc(found.stake)}")
    verified = "" if share is None else f", {share:.1%} of them verified"
    click.echo(f"completed  {found.tasks_completed} runs{verified}")
    if not found.findings:
        click.echo("Nothing was found out about it yet.", err=True)
        return
    print_table(
        ("WHEN", "EFFECT", "REMEMBERED", "FOUND"),
        (
            (
                f"{item.at:%Y-%m-%d %H:%M}",
                f"{item.effect:+d}" if item.scored else "none",
                f"{item.remembered:.0%}",
                item.reason,
            )
            for item in found.findings
        ),
    )


@click.command()
@click.argument("image", default="any")
@resource_options
@click.option("--timeout", type=Duration(), default="1h", show_default=True)
@click.option("--max-total", metavar="USDC", help="The most it may cost in all.")
@with_session
def explain(
    session: Session, *, image: str, resources: Resources, timeout: int, max_total: str | None
) -> None:
    """Ask how a job would meet the market now. Nothing is stored and nothing is paid.

    \b
    neurogrid explain --max-price 1 --where 'cpu.cores >= 8 and (region = eu or score >= 0.8)'

    Says how many nodes each condition leaves, what the nearest have instead, and what to relax, how
    far. Conditions may name what `neurogrid constraints` lists. Exits with 6 if no node fits.
    """
    explanation = session.client.explain(
        type="gpu" if resources.wants_gpu else "cpu",
        resource_requirements=resources.requirements(),
        docker_image=image,
        max_price_per_hour=resources.max_price,
        timeout_seconds=timeout,
        regions=resources.regions,
        where=resources.conditions(),
        reveal_wallet=resources.reveal_wallet,
        **resources.preemption(),
        interactive=resources.interactive,
        max_total_cost=max_total,
        network=resources.network(),
    )
    if session.as_json:
        print_json(explanation)
    else:
        print_explanation(explanation)
    if not explanation.matching:
        raise click.exceptions.Exit(NO_NODE)


def _show(session: Session, node: NodeInfo) -> None:
    if session.as_json:
        print_json(node)
        return
    gpu, score, completed = node.gpu_info, node.performance_score, node.total_tasks_completed
    print_fields(
        [
            ("node", node.id),
            ("status", node.status),
            ("region", node.region),
            ("wallet", node.wallet),
            ("machine", node.summary),
            ("software", node.software),
            ("processor", node.cpu_model),
            ("cores", f"{node.cpu_cores_free:g} of {node.cpu_cores:g} free"),
            ("ram", f"{node.ram_gb_free:.0f} of {node.ram_gb:.0f} GB free"),
            ("storage", f"{node.storage_gb:.0f} GB"),
            ("gpu", f"{gpu.count} x {gpu.model} {gpu.memory}" if gpu else None),
            ("price from", f"{usdc(node.price_per_hour)}/h"),
            ("score", None if score is None else f"{score:g}"),
            ("completed", None if completed is None else f"{completed} tasks"),
            ("last seen", when(node.last_seen)),
        ]
    )


def _row(node: NodeInfo) -> tuple[str, ...]:
    gpu = node.gpu_info
    return (
        short(node.id),
        node.status,
        node.region,
        f"{node.cpu_cores_free:g}/{node.cpu_cores:g}",
        f"{node.ram_gb_free:.0f}/{node.ram_gb:.0f} GB",
        f"{gpu.count} x {gpu.model} {gpu.memory}" if gpu else "-",
        f"{usdc(node.price_per_hour)}/h",
        node.summary,
    )
