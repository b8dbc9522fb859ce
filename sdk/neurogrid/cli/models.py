"""``neurogrid models list | show``; what works on a catalogue's file is in `model_files`."""

from decimal import Decimal
from typing import get_args

import click

from ..models.catalogue import ModelInfo, ModelPricing, ModelType
from .model_files import add, pin, schema, upload, validate
from .output import print_fields, print_json, print_table, printable, usdc
from .session import Session, with_session

_TYPES: tuple[ModelType, ...] = get_args(ModelType)
_UNITS = {
    "input_per_million": "million tokens read",
    "cached_input_per_million": "million tokens read again",
    "output_per_million": "million tokens written",
    "per_image": "image",
    "per_audio_second": "second of audio",
    "per_request": "request",
}


@click.group()
def models() -> None:
    """See which models can be asked for by name; write a catalogue of them."""


for _command in (validate, schema, add, pin, upload):
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
    print_table(("MODEL", "TYPE", "CATEGORY", "SIZE", "UP TO", "ABOUT", "WARM"), map(_row, found))


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
            *_task_fields(found),
            *_server_fields(found),
            ("Replicas", _replicas(found)),
        ]
    )


def _row(model: ModelInfo) -> tuple[str, ...]:
    price = model.pricing
    return (
        model.id,
        model.type,
        model.category,
        printable(model.parameters.size),
        f"{usdc(price.max_per_hour)}/h" if model.tasks else "-",
        _by_unit(price) if model.tasks else "; ".join(_by_units(price)),
        _warmth(model),
    )


def _warmth(model: ModelInfo) -> str:
    """Whether it answers at once, in a word or two."""
    replicas = model.replicas
    if replicas is None:
        return "-"
    if replicas.ready:
        return f"{replicas.ready} of {replicas.most}"
    start_ms = replicas.expected_start_ms
    return "no" if start_ms is None else f"in {-(-start_ms // 1000)} s"


def _task_fields(model: ModelInfo) -> list[tuple[str, str]]:
    if not model.tasks:
        return []
    return [
        ("Price", f"{usdc(model.pricing.max_per_hour)} per hour at most, by tasks"),
        ("", f"about {_by_unit(model.pricing)}"),
        ("Time limit", f"{model.timeout_seconds} s"),
    ]


def _server_fields(model: ModelInfo) -> list[tuple[str, str]]:
    server = model.server
    if server is None:
        return []
    prices = [f"{price} at most" for price in _by_units(model.pricing)]
    return [
        *zip(["By a server", *[""] * len(prices)], prices, strict=False),
        ("Asked at", ", ".join(map(printable, server.routes))),
        ("Passed on", ", ".join(map(printable, server.features))),
        ("Replicas", f"{server.replicas_max} at most, {server.concurrency} requests at once each"),
    ]


def _by_units(price: ModelPricing) -> list[str]:
    """As ``0.15 USDC per million tokens read``."""
    return [
        f"{format(amount, 'f')} USDC per {_UNITS.get(unit, printable(unit))}"
        for unit, amount in price.units.items()
    ]


def _by_unit(price: ModelPricing) -> str:
    """To compare by: ``0.28 USDC per million tokens``, ``0.00028 USDC per image``; two digits that count."""
    of, count = (f"million {price.unit}s", 1_000_000) if price.unit == "token" else (price.unit, 1)
    rounded = Decimal(f"{price.per_unit * count:.1e}")
    return f"{usdc(rounded)} per {of}"


def _replicas(found: ModelInfo) -> str:
    replicas = found.replicas
    if replicas is None:
        return ""
    start = replicas.expected_start_ms
    parts = [f"{replicas.ready} ready", f"{replicas.starting} starting of {replicas.most} at most"]
    if replicas.waiting:
        parts.append(f"{replicas.waiting} requests wait")
    if start:
        parts.append(f"one starts in about {start / 1000:.0f} s")
    if replicas.problem:
        parts.append(printable(replicas.problem))
    return ", ".join(parts)
