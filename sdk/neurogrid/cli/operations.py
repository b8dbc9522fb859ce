"""``neurogrid operation list | run``."""

import click

from .output import print_fields, print_json, print_table
from .session import Session, with_session


@click.group()
def operation() -> None:
    """Have the market compute something by name, without an image of yours."""


@operation.command("list")
@with_session
def list_operations(session: Session) -> None:
    """List the operations and their parameters."""
    found = session.client.operations.list()
    if session.as_json:
        print_json(found)
        return
    for each in found:
        click.secho(each.name, bold=True, nl=False)
        click.echo(f"  {each.description}")
        print_table(
            ("  PARAMETER", "DEFAULT", "MAY BE", "WHAT IT IS"),
            (
                (
                    f"  --{parameter.name}",
                    str(parameter.default),
                    " | ".join(parameter.choices) or f"{parameter.minimum} to {parameter.maximum}",
                    parameter.description,
                )
                for parameter in each.parameters
            ),
        )


@operation.command("run", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("parameters", nargs=-1, type=click.UNPROCESSED, metavar="[--PARAMETER VALUE]...")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, or a node's id.")
@click.option("--max-price", metavar="USDC", help="Per hour; the coordinator's, if left out.")
@click.option("--time-limit", type=click.IntRange(1), metavar="SECONDS", help="Of the run.")
@click.option("--wait", "wait_s", type=click.FloatRange(0), metavar="SECONDS", help="At most.")
@with_session
def run(
    session: Session,
    *,
    name: str,
    parameters: tuple[str, ...],
    device: str,
    max_price: str | None,
    time_limit: int | None,
    wait_s: float | None,
) -> None:
    """Compute NAME and print its result: neurogrid operation run matrix_multiply --size 1000"""
    result = session.client.operations.run(
        name,
        read_parameters(parameters),
        device_preference=device,
        max_price_per_hour=max_price,
        timeout_seconds=time_limit,
        wait_s=wait_s,
    )
    if session.as_json:
        print_json(result)
        return
    figures = {**result.output, **(result.measured or {})}
    print_fields([("device", result.device_used), *((key, f"{figures[key]}") for key in figures)])


def read_parameters(words: tuple[str, ...]) -> dict[str, int | str]:
    """``--size 1000 --kind=small`` as the operation takes it: what is a number is one.

    Raises:
        click.UsageError: a word is neither a name nor a value.
    """
    found: dict[str, int | str] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        name, has_value, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise click.UsageError(f"{word!r}: parameters are written --NAME VALUE")
        if not has_value:
            if not left:
                raise click.UsageError(f"--{name} needs a value")
            value = left.pop(0)
        try:
            found[name.replace("-", "_")] = int(value)
        except ValueError:
            found[name.replace("-", "_")] = value
    return found
