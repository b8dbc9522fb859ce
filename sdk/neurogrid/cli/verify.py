"""``neurogrid verify``: what a receipt proves and what it only says, item by item. Offline by default."""

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import click

from neurogrid_marketplace.errors import ReceiptInvalid
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.receipt import MAX_RECEIPT_BYTES, Verification, verify_receipt
from neurogrid_marketplace.receipt_chain import beside_chain, is_seen

from ..errors import IntegrityError
from ..receipts import compare_outputs, compare_runs
from .exit_codes import FAILED, UNREACHABLE
from .output import print_fields, print_item, print_json
from .session import json_option


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--outputs",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Compare the files in this folder with the hashes that the node signed.",
)
@click.option(
    "--beside",
    "other",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --outputs: compare them with another run's files in this folder, as the task was verified.",
)
@click.option(
    "--rpc",
    "rpc_url",
    metavar="URL",
    help="Look the escrow up at this Solana endpoint; the coordinator is not asked.",
)
@json_option
def verify(
    file: BinaryIO,
    *,
    directory: Path | None,
    other: Path | None,
    rpc_url: str | None,
    as_json: bool,
) -> None:
    """Check a receipt FILE ("-": standard input).

    Says of each item what it is worth and whose signature it rests on: proven by signatures
    and hashes, claimed by whoever signed it, seen on chain, or not present. Without --rpc it needs no
    network, and no key ever.

    \b
    Exit codes:
      0  the receipt is valid, and so is everything it was compared with
      1  not valid, or a file or the chain says something else
      7  the endpoint does not answer, or does not show the end of the escrow (yet)
    """
    if other is not None and directory is None:
        raise click.UsageError("--beside goes with --outputs: the files of the receipt itself")
    try:
        found = verify_receipt(file.read(MAX_RECEIPT_BYTES + 1))
        if directory is not None:
            found = replace(found, items=(*found.items, compare_outputs(found, directory)))
        if directory is not None and other is not None:
            found = replace(found, items=(*found.items, compare_runs(found, directory, other)))
        if rpc_url is not None:
            # The HTTP stack is for who asks the chain.
            from ..receipt_escrow import look_at_chain

            found = beside_chain(found, look_at_chain(found, rpc_url))
    except (ReceiptInvalid, IntegrityError) as error:
        if as_json:
            print_json({"valid": False, "reason": str(error)})
        else:
            click.secho("NOT VALID: ", fg="red", bold=True, nl=False)
            click.echo(str(error))
        raise click.exceptions.Exit(FAILED) from None
    if as_json:
        print_json({"valid": True, **_plain(found), "items": found.items})
    else:
        _print(found)
    if rpc_url is not None and not is_seen(found):
        words = (
            f"{rpc_url} does not show all of the escrow's end (yet): what it lacks stays claimed"
        )
        click.echo(words, err=True)
        raise click.exceptions.Exit(UNREACHABLE)


def _print(found: Verification) -> None:
    click.secho("valid", fg="green", bold=True)
    print_fields(
        [
            ("task", found.task_id),
            ("lease", found.lease_id),
            ("network", found.network),
            ("coordinator", found.coordinator),
            ("node", found.node_id),
            _price(found),
            ("paid", f"{format_usdc(found.paid_micro_usdc)} USDC"),
            ("transaction", found.transaction),
        ]
    )
    click.echo()
    for item in found.items:
        print_item(item)


def _price(found: Verification) -> tuple[str, str]:
    if found.use is None:
        return ("price", f"{format_usdc(found.price_micro_usdc_per_hour)} USDC per hour")
    named = plain(found.use.prices).items()
    each = [f"{name} {format_usdc(int(str(price)))}" for name, price in named if price]
    return ("prices", f"USDC for a million: {', '.join(each) or 'nothing'}")


def _plain(found: Verification) -> dict[str, object]:
    return {
        "network": found.network,
        "task_id": found.task_id,
        "lease_id": found.lease_id,
        "coordinator": found.coordinator,
        "node_id": found.node_id,
        "result": found.result,
        "price_per_hour": format_usdc(found.price_micro_usdc_per_hour),
        "paid": format_usdc(found.paid_micro_usdc),
        "transaction": found.transaction,
        "use": found.use,
        "billed": found.billed,
    }
