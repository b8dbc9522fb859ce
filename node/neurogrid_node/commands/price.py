"""`neurogrid-node price`: what this node asks, what the market has paid, and changing the one by the other."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurogrid_marketplace.money import format_usdc

from . import options
from .exits import fail

if TYPE_CHECKING:
    from ..config import Config
    from ..pricing import Proposal

_KEYS = ("base", "cpu_core", "memory_gib", "gpu")
_UNITS = {"base": "a job", "cpu_core": "a core", "memory_gib": "a GiB of memory", "gpu": "a GPU"}


@click.group()
def price() -> None:
    """Show and set what this node asks, and see what the market has paid."""


@price.command()
@options.directory
@options.json_output
def show(directory: Path, as_json: bool) -> None:
    """What this node asks, USDC an hour. A bid is the sum over what a task asks for."""
    prices = _config(directory).prices
    asked = {key: getattr(prices, key) for key in _KEYS}
    if as_json:
        click.echo(json.dumps(asked, indent=2))
        return
    for key, value in asked.items():
        click.echo(f"{key:<11}{value} USDC an hour for {_UNITS[key]}")


@price.command("set")
@options.directory
@click.option("--gpu", metavar="USDC", help="An hour of a GPU.")
@click.option("--core", "cpu_core", metavar="USDC", help="An hour of a processor core.")
@click.option("--memory", "memory_gib", metavar="USDC", help="An hour of a GiB of memory.")
@click.option("--base", metavar="USDC", help="An hour of any job, beside what it takes.")
@options.json_output
def set_(directory: Path, as_json: bool, **given: str | None) -> None:
    """Change prices in node.toml, and nothing else in it. They count from the next start on."""
    values = {f"prices.{key}": value for key, value in given.items() if value is not None}
    if not values:
        raise click.UsageError("give at least one of --gpu, --core, --memory and --base")
    _change(directory, values)
    _say_changed(values, as_json=as_json)


@price.command()
@options.directory
@click.option("--apply", is_flag=True, help="Change node.toml to what is proposed.")
@click.option("--yes", is_flag=True, help="Apply it without asking.")
@options.json_output
def propose(directory: Path, apply: bool, yes: bool, as_json: bool) -> None:
    """Propose prices by what the coordinators' awards cleared at in the last week.

    What they tell is their word: look at it before you apply it. Where too few such jobs were awarded, or nobody
    answers, a price stays as it is.
    """
    import trio

    from ..machine.inventory import take_inventory
    from ..market.price_sheets import ask_prices
    from ..pricing import proposals

    config = _config(directory)
    sheets, problems = trio.run(ask_prices, config.coordinators, config.peers.lists())
    machine = trio.run(take_inventory, directory)
    models = [gpu.model for gpu in machine.gpus] if config.offer.gpus else []
    made = proposals(config.prices.price_list(), models, sheets)
    values = {
        each.key: format_usdc(each.proposed_micro_usdc)
        for each in made
        if each.proposed_micro_usdc not in (None, each.now_micro_usdc)
        and each.proposed_micro_usdc is not None
    }
    if as_json:
        document = {"proposals": [_document(each) for each in made], "problems": problems}
        click.echo(json.dumps(document, indent=2))
    else:
        _print(made, problems)
    if not apply or not values:
        return
    if not yes:
        if as_json or not sys.stdin.isatty():
            fail("nobody is here to answer: add --yes to apply it")
        if not click.confirm("Change node.toml?", err=True):
            return
    _change(directory, values)
    if not as_json:
        _say_changed(values, as_json=False)


def _config(directory: Path) -> "Config":
    from ..config import CONFIG_NAME, ConfigError, load_config

    try:
        return load_config(directory / CONFIG_NAME)
    except ConfigError as error:
        fail(str(error))


def _change(directory: Path, values: dict[str, str]) -> None:
    from ..config import CONFIG_NAME, ConfigError
    from ..config_text import with_values
    from ..setup import write_config

    # Where it is a link, what it leads to is changed.
    path = (directory / CONFIG_NAME).resolve()
    try:
        write_config(path, with_values(path.read_text(), values))
    except FileNotFoundError:
        fail(f"{path} does not exist: run `neurogrid-node init` first")
    except (ConfigError, OSError) as error:
        fail(str(error))


def _say_changed(values: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    for key, value in values.items():
        click.echo(f"{key} = {value}")
    click.echo("They count from the next start on; bids that were made stand.")


def _print(made: "list[Proposal]", problems: dict[str, str]) -> None:
    for each in made:
        now = format_usdc(each.now_micro_usdc)
        proposed = each.proposed_micro_usdc
        change = now if proposed is None else f"{now} -> {format_usdc(proposed)}"
        click.echo(f"{each.key:<17}{change} USDC an hour: {each.why}")
    for address, problem in problems.items():
        click.echo(f"{address}: {problem}", err=True)


def _document(each: "Proposal") -> dict[str, object]:
    proposed, seen = each.proposed_micro_usdc, each.seen
    return {
        "key": each.key,
        "now": format_usdc(each.now_micro_usdc),
        "proposed": None if proposed is None else format_usdc(proposed),
        "class": seen.name if seen else None,
        "awards": seen.awards if seen else 0,
        "told_by": each.told_by or None,
        "why": each.why,
    }
