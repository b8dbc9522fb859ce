"""``neurogrid models list | show``; what works on a catalogue's file is in `model_files`."""

from decimal import Decimal
from typing import get_args

import click

from ..models.catalogue import ModelInfo, ModelPricing, ModelType
from .model_files import add, pin, schema, validate
from .output import print_fields, print_json, print_table, printable, usdc
from .session import Session, with_session

_TYPES: tuple[ModelType, ...] = get_args(ModelType)


@click.group()
def models() -> None:
    """See which models can be asked for by name; write a catalogue of them."""


for _command in (validate, schema, add, pin):
    models.add_command(_command)


@models.command("list")
@click.option("--type", "model_type", type=click.Choice(_TYPES), help="Only these.")
@click.option("--category", help="Only these, as generation.")
@with_session
def list_models(session: Session, *, model_type: ModelType | None, category: str | None) -> None:
    """List the models of the coordinator's catalogue."""
    found = session.client.models.list(type=model_type, category=category)
    if session.as_json:
        print_json(found)
        return
    if not found:
        click.echo("There is no such model.", err=True)
        return
    print_table(("MODEL", "TYPE", "CATEGORY", "SIZE", "UP TO", "ABOUT"), map(_row, found))


@models.command("show")
@click.argument("model")
@with_session
def show_model(session: Session, *, model: str) -> None:
    """Show a MODEL, by its id or an alias."""
    found = session.client.models.get(model)
    if session.as_json:
        print_json(found)
        return
    made = found.parameters
    print_fields(
        [
            ("Model", found.id),
            ("Name", printable(found.name)),
            ("Aliases", ", ".join(found.aliases)),
            ("Type", f"{found.type}, {found.category}"),
            ("About", printable(found.description)),
            ("Licence", printable(found.licence)),
            ("Size", printable(made.size)),
            ("Context", "" if made.context_length is None else f"{made.context_length} tokens"),
            ("Languages", ", ".join(made.languages)),
            ("Image", found.docker_image),
            ("Price", f"{usdc(found.pricing.max_per_hour)} per hour at most"),
            ("", f"about {_by_unit(found.pricing)}"),
            ("Time limit", f"{found.timeout_seconds} s"),
        ]
    )


def _row(model: ModelInfo) -> tuple[str, ...]:
    price = model.pricing
    return (
        model.id,
        model.type,
        model.category,
        printable(model.parameters.size),
        f"{usdc(price.max_per_hour)}/h",
        _by_unit(price),
    )


def _by_unit(price: ModelPricing) -> str:
    """To compare by: ``0.28 USDC per million tokens``, ``0.00028 USDC per image``; two digits that count."""
    of, count = (f"million {price.unit}s", 1_000_000) if price.unit == "token" else (price.unit, 1)
    rounded = Decimal(f"{price.per_unit * count:.1e}")
    return f"{usdc(rounded)} per {of}"
