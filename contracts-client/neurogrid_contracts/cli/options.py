"""The options that several commands share."""

from pathlib import Path

import click

from neurogrid_contracts.cli.keys import PASSPHRASE_VARIABLE

FILE = click.Path(path_type=Path, dir_okay=False)

url = click.option(
    "--url",
    default="localhost",
    show_default=True,
    metavar="CLUSTER|URL",
    help="localhost, devnet, mainnet-beta, or an RPC address.",
)
genesis = click.option(
    "--genesis", "genesis_hash", metavar="HASH", help="Refuse any cluster but this one."
)
payer = click.option(
    "--payer", "payer_file", type=FILE, required=True, help="Key file that pays fees and rent."
)
authority = click.option(
    "--authority",
    "authority_file",
    type=FILE,
    help="Key file of the authority; the payer's, if not given.",
)
passphrase_file = click.option(
    "--passphrase-file",
    type=FILE,
    help=f"Opens keystores; else {PASSPHRASE_VARIABLE}, else it is asked for.",
)
priority_fee = click.option(
    "--priority-fee",
    "unit_price",
    type=click.IntRange(0, 10_000_000),
    default=0,
    show_default=True,
    metavar="MICRO-LAMPORTS",
    help="Per compute unit, to go first on a busy cluster.",
)
yes = click.option("--yes", is_flag=True, help="Do not ask before spending.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
