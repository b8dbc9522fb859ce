"""The command ``neurogrid-ledger``."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurogrid_contracts.terminal.group import ExtraGroup

if TYPE_CHECKING:
    from solders.pubkey import Pubkey


class _ProgramParam(click.ParamType["tuple[Pubkey, Path]"]):
    name = "PUBKEY=FILE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "tuple[Pubkey, Path]":
        from solders.pubkey import Pubkey

        if isinstance(value, tuple):
            return value
        address, separator, path = str(value).partition("=")
        if not separator or not path:
            self.fail(f"{value!r} is not PUBKEY=FILE", param, ctx)
        try:
            return Pubkey.from_string(address), Path(path)
        except ValueError as error:
            self.fail(f"{address!r} is not a public key: {error}", param, ctx)


class _FaultParam(click.ParamType["tuple[str, Any]"]):
    name = "NAME=VALUE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "tuple[str, Any]":
        from neurogrid_contracts.ledger.faults import parse_setting

        if isinstance(value, tuple):
            return value
        try:
            return parse_setting(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group(
    cls=ExtraGroup,
    extra="ledger",
    help="A local Solana: JSON-RPC and PubSub over a real SVM, durable in SQLite.",
)
def main() -> None:
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


@main.command(help="Serve the ledger in DIR until SIGTERM or SIGINT; create it when there is none.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Directory of the ledger's files. DIR/ledger.json says how to reach it.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option(
    "--port",
    type=click.IntRange(0, 65534),
    default=8899,
    show_default=True,
    help="JSON-RPC and PubSub; the next port serves the same. 0: a free pair.",
)
@click.option(
    "--slot-ms",
    type=click.IntRange(1, 60_000),
    default=400,
    show_default=True,
    help="Length of a slot, milliseconds.",
)
@click.option(
    "--confirmation-slots",
    type=click.IntRange(0, 75),
    default=0,
    show_default=True,
    help="Slots until a transaction is confirmed.",
)
@click.option(
    "--finality-slots",
    type=click.IntRange(0, 75),
    default=2,
    show_default=True,
    help="Slots until a transaction is finalized.",
)
@click.option(
    "--program",
    "programs",
    type=_ProgramParam(),
    multiple=True,
    help="Install or replace a program. May be given several times.",
)
@click.option("--no-program", is_flag=True, help="Do not install the NeuroGrid program.")
@click.option(
    "--upgrade-program", is_flag=True, help="Replace the NeuroGrid program by the packaged one."
)
@click.option(
    "--control-key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Key of the methods that warp, fork and fail.  [default: DIR/control.key, made if missing]",
)
@click.option(
    "--fault",
    "faults",
    type=_FaultParam(),
    multiple=True,
    help="Fail requests on purpose, e.g. drop_percent=25. May be given several times.",
)
@click.option(
    "--no-fsync",
    is_flag=True,
    help="Survive the death of the process but not a power cut; faster on slow disks.",
)
@click.option(
    "--history-max",
    type=click.IntRange(1000),
    default=1_000_000,
    show_default=True,
    help="How many transactions to keep.",
)
def start(
    data: Path,
    host: str,
    port: int,
    slot_ms: int,
    confirmation_slots: int,
    finality_slots: int,
    programs: "tuple[tuple[Pubkey, Path], ...]",
    no_program: bool,
    upgrade_program: bool,
    control_key_file: Path | None,
    faults: tuple[tuple[str, Any], ...],
    no_fsync: bool,
    history_max: int,
) -> None:
    from neurogrid_contracts.ledger.config import LedgerConfig
    from neurogrid_contracts.ledger.errors import LedgerError
    from neurogrid_contracts.ledger.faults import FaultPlan
    from neurogrid_contracts.ledger.server import serve

    try:
        config = LedgerConfig(
            data=data,
            host=host,
            port=port,
            slot_ms=slot_ms,
            confirmation_slots=confirmation_slots,
            finality_slots=finality_slots,
            programs=programs,
            load_program=not no_program,
            upgrade_program=upgrade_program,
            control_key_file=control_key_file,
            faults=FaultPlan(**dict(faults)),
            fsync=not no_fsync,
            history_max=history_max,
        )
    except (ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from error
    if not config.is_loopback:
        click.echo(
            f"warning: {host} is not the loopback address: whoever reaches it can mint test money",
            err=True,
        )
    try:
        serve(config)
    except LedgerError as error:
        click.echo(f"neurogrid-ledger: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
