"""Options that several commands of neurogrid-node share, and what they may hold."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

import click

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.money import parse_usdc

P = ParamSpec("P")

DEFAULT_DIRECTORY = Path("~/.neurogrid/node").expanduser()

directory = click.option(
    "--data",
    "directory",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    default=DEFAULT_DIRECTORY,
    show_default=True,
    help="Directory of this node's configuration, keys and journal.",
)
passphrase = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with the wallet's passphrase; else NEUROGRID_PASSPHRASE, else it is asked for.",
)
json_output = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class UsdcAmount(click.ParamType[int]):
    """A decimal in USDC; micro-USDC inside."""

    name = "amount"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            amount = parse_usdc(str(value))
        except InvalidValue as error:
            self.fail(str(error), param, ctx)
        if not amount:
            self.fail("name an amount above zero", param, ctx)
        return amount


def waits_for_funds(command: Callable[P, None]) -> Callable[P, None]:
    """The options of a command that may wait for money: ``wait_for_funds`` and ``wait_limit_s``."""
    wait = click.option(
        "--wait-for-funds",
        is_flag=True,
        help="Say what the wallet lacks, and wait until it is there.",
    )
    limit = click.option(
        "--wait-limit",
        "wait_limit_s",
        type=click.FloatRange(1, 7 * 24 * 3600),
        default=3600.0,
        show_default=True,
        help="For how long, seconds.",
    )
    return wait(limit(command))


@dataclass(frozen=True, slots=True)
class Asked:
    """How a command that moves the owner's money was typed.

    Attributes:
        directory: the node's.
        yes: move money without asking.
    """

    directory: Path
    passphrase_file: Path | None
    as_json: bool
    yes: bool


def moves(command: Callable[Concatenate[Asked, P], None]) -> Callable[..., None]:
    """The options of a command that moves the owner's money."""

    @directory
    @passphrase
    @click.option("--yes", is_flag=True, help="Move money without asking.")
    @json_output
    @wraps(command)
    def run(
        directory: Path,
        passphrase_file: Path | None,
        as_json: bool,
        yes: bool,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        command(Asked(directory, passphrase_file, as_json, yes), *args, **kwargs)

    return run
