"""``neurogrid verify``: offline."""

from typing import BinaryIO

import click

from neurogrid_marketplace.errors import ReceiptInvalid
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.receipt import MAX_RECEIPT_BYTES, Verification, verify_receipt

from .exit_codes import FAILED
from .output import print_fields, print_json
from .session import json_option


@click.command()
@click.argument("file", type=click.File("rb"))
@json_option
def verify(file: BinaryIO, *, as_json: bool) -> None:
    """Check a receipt FILE ("-": standard input).

    Says what its signatures prove and what is only claimed. Needs no network and no key.
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
        print_json({"valid": True, **_plain(found)})
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
    for title, colour, sentences in (
        ("proven by signatures and hashes:", "green", found.proven),
        ("only claimed:", "yellow", found.claimed),
    ):
        click.secho(f"\n{title}", fg=colour)
        for sentence in sentences:
            click.echo(f"  - {sentence}")


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
        "proven": found.proven,
        "claimed": found.claimed,
    }
