"""How things are printed: fields for people, JSON for programs.

Results go to standard output, everything said about them to standard error.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

_LAMPORTS_PER_SOL = 10**9
_MICRO_PER_USDC = 10**6


def print_json(value: object) -> None:
    """One JSON document."""
    click.echo(json.dumps(value, indent=2))


def print_fields(fields: Iterable[tuple[str, str | None]], *, err: bool = False) -> None:
    """Name and value, one per line; values that are None or empty are left out."""
    shown = [(name.replace("_", " "), value) for name, value in fields if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.secho(f"{name.ljust(width)}  ", dim=True, nl=False, err=err)
        click.echo(value, err=err)


def print_result(result: dict[str, Any], *, as_json: bool) -> None:
    """A command's result: JSON, or one field per line in the same words."""
    if as_json:
        print_json(result)
        return
    print_fields((name, _text(value)) for name, value in result.items())


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else str(value)


def print_failure(message: str, hint: str) -> None:
    """What went wrong and what to do next."""
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(message, err=True)
    if hint:
        click.echo(hint, err=True)


def note(text: str) -> None:
    """Say how far a command is."""
    click.secho(text, dim=True, err=True)


def sol(lamports: int) -> str:
    """``0.2231 SOL``; what is smaller than a ten-thousandth is shown in full."""
    amount = Decimal(lamports) / _LAMPORTS_PER_SOL
    short = amount.quantize(Decimal("0.0001"))
    return f"{short if short == amount or lamports >= 10**7 else amount.normalize():f} SOL"


def exact_sol(lamports: int) -> str:
    """``0.000005``: to the last lamport, without a unit and without trailing zeros."""
    whole, part = divmod(lamports, _LAMPORTS_PER_SOL)
    digits = f"{part:09d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def usdc(micro_usdc: int) -> str:
    """``10.00 USDC``, as the `neurogrid` command prints it."""
    amount = Decimal(micro_usdc) / _MICRO_PER_USDC
    whole = amount.quantize(Decimal("0.01"))
    return f"{whole if whole == amount else amount.normalize():f} USDC"


def percent(basis_points: int) -> str:
    """``2.5 %``"""
    return f"{(Decimal(basis_points) / 100).normalize():f} %"


def when(unix_s: int) -> str:
    """A time in the reader's own time zone; 0 is never."""
    if unix_s == 0:
        return "never"
    return datetime.fromtimestamp(unix_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def duration(seconds: int) -> str:
    """``7d``, ``1h 30m``: in whole units, the largest first."""
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"
