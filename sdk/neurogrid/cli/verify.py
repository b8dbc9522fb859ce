"""``neurogrid verify``: what a receipt proves and what it only says, item by item. Offline by default."""

from typing import BinaryIO

import click

from neurogrid_marketplace.errors import ReceiptInvalid
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.receipt import MAX_RECEIPT_BYTES, Verification, verify_receipt
from neurogrid_marketplace.receipt_items import Item, Proof

from .exit_codes import FAILED
from .output import print_fields, print_json, printable
from .session import json_option

_COLOURS = {Proof.PROVEN: "green", Proof.SEEN: "green", Proof.CLAIMED: "yellow"}


@click.command()
@click.argument("file", type=click.File("rb"))
@json_option
def verify(file: BinaryIO, *, as_json: bool) -> None:
    """Check a receipt FILE ("-": standard input).

    Says of each item what it is worth and whose signature it rests on: proven by signatures
    and hashes, claimed by whoever signed it, or not present. Needs no network and no key.
    """
    try:
        found = verify_receipt(file.read(MAX_RECEIPT_BYTES + 1))
    except ReceiptInvalid as error:
        if as_json:
            print_json({"valid": False, "reason": str(error)})
        else:
            click.secho("NOT VALID: ", fg="red", bold=True, nl=False)
            click.echo(str(error))
        raise click.exceptions.Exit(FAILED) from None
    if as_json:
        print_json({"valid": True, **_plain(found), "items": found.items})
        return
    click.secho("valid", fg="green", bold=True)
    print_fields(
        [
            ("task", found.task_id),
            ("lease", found.lease_id),
            ("network", found.network),
            ("coordinator", found.coordinator),
            ("node", found.node_id),
            ("price", f"{format_usdc(found.price_micro_usdc_per_hour)} USDC per hour"),
            ("paid", f"{format_usdc(found.paid_micro_usdc)} USDC"),
            ("transaction", found.transaction),
        ]
    )
    click.echo()
    for item in found.items:
        _print_item(item)


def _print_item(item: Item) -> None:
    """Two lines, so that what it shows has the whole width."""
    proof = click.style(item.proof.value.ljust(14), fg=_COLOURS.get(item.proof))
    signed = f"signed by {item.signed_by}" if item.signed_by else ""
    click.echo(f"{proof}{item.name.ljust(15)}{signed}".rstrip())
    click.echo(f"    {printable(item.shows)}")


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
    }
