"""``neurogrid prices | estimate``: what jobs were awarded at, and what one would cost."""

import click
from msgspec import structs

from ..models import ClassPrices
from .durations import Duration
from .estimates import show_estimate
from .output import print_json, print_table, usdc, when
from .resources import Resources, resource_options
from .session import Session, with_session

_HOURS_MAX = 30 * 24
# What the coordinator puts behind the class of preemptible jobs.
_SPOT = " spot"


@click.command()
@click.argument("name", metavar="[CLASS]", required=False)
@click.option("--spot", is_flag=True, help="Of preemptible jobs alone.")
@click.option("--hours", type=click.IntRange(1, _HOURS_MAX), default=24, show_default=True)
@with_session
def prices(session: Session, *, name: str | None, spot: bool, hours: int) -> None:
    """Show what jobs were awarded at, by GPU model (or `cpu`), per GPU or core and hour.

    With CLASS, such as 'NVIDIA L4' or cpu, each hour of it. Preemptible jobs are classes of their own,
    with " spot" behind the name; --spot shows those alone.
    """
    if spot and name is not None and not name.endswith(_SPOT):
        name += _SPOT
    found = session.client.prices(hours=hours, name=name)
    if spot:
        classes = [each for each in found.classes if each.name.endswith(_SPOT)]
        found = structs.replace(found, classes=classes)
    if session.as_json:
        print_json(found)
        return
    if not found.classes:
        click.echo(f"Nothing was awarded in the last {hours} h.", err=True)
        return
    headings = ("CLASS", "AWARDS", "LOWEST", "MEDIAN", "90 %", "HIGHEST", "STARTS IN", "PER")
    print_table(headings, map(_row, found.classes))
    for each in found.classes:
        if each.hours:
            click.echo()
            print_table(
                ("HOUR", "AWARDS", "LOWEST", "MEDIAN", "HIGHEST"),
                (
                    (
                        when(hour.at),
                        str(hour.awards),
                        usdc(hour.lowest),
                        usdc(hour.median),
                        usdc(hour.highest),
                    )
                    for hour in each.hours
                ),
            )


@click.command()
@click.argument("image", default="any")
@resource_options
@click.option("--timeout", type=Duration(), default="1h", show_default=True)
@click.option("--max-total", metavar="USDC", help="The most it may cost in all.")
@with_session
def estimate(
    session: Session, *, image: str, resources: Resources, timeout: int, max_total: str | None
) -> None:
    """Ask what a job would likely cost, when it would start, and whether you can pay.

    The price follows from what is asked now and what such jobs cleared at in the last seven days; the
    auction decides. Nothing is stored and nothing is paid. Exits with 5 without the money, with 6
    if no node fits at the highest price; `neurogrid explain` says why.
    """
    show_estimate(session, image=image, resources=resources, timeout=timeout, max_total=max_total)


def _row(each: ClassPrices) -> tuple[str, ...]:
    return (
        each.name,
        str(each.awards),
        usdc(each.lowest),
        usdc(each.median),
        usdc(each.high),
        usdc(each.highest),
        f"{each.start_seconds:.1f} s",
        f"{each.unit} and hour",
    )
