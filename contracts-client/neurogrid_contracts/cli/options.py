"""The options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from neurogrid_wallet.passphrase import PASSPHRASE_VARIABLE

DEFAULT_STATE = Path("~/.neurogrid/contracts").expanduser()
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
state = click.option(
    "--state",
    "state_folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE,
    show_default=True,
    help="Where unfinished work is kept, keys of its buffers included.",
)


def spending(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that sends a transaction, but for where."""
    return url(genesis(_sending(command)))


def _sending(command: Callable[..., None]) -> Callable[..., None]:
    for option in (as_json, yes, state, priority_fee, passphrase_file, authority, payer):
        command = option(command)
    return command


def change(
    action: Callable[[Any], Any], settings: Callable[..., Any], given: dict[str, Any]
) -> None:
    """Run a command that changes something, and print what became of it."""
    from neurogrid_contracts.cli.errors import run
    from neurogrid_contracts.terminal.output import print_result

    as_json_ = given["as_json"]
    print_result(run(lambda: action(settings(**given)), as_json=as_json_), as_json=as_json_)


_market_file = click.option(
    "--market",
    "market_file",
    type=FILE,
    required=True,
    help="JSON file that names the market: a coordinator's chain file, or what `market init` wrote.",
)
_market_url = click.option(
    "--url", metavar="CLUSTER|URL", help="Ask this endpoint, and not the market file's."
)
signers = click.option(
    "--signer",
    "signer_files",
    type=FILE,
    multiple=True,
    help="Key file of a member, where the arbiter is a multisig. Repeatable.",
)


def reading_market(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that looks at a market."""
    return _market_file(_market_url(genesis(as_json(command))))


def acting(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that acts in a market."""
    return _market_file(_market_url(genesis(_sending(command))))


def look(show: Callable[..., Any], given: dict[str, Any]) -> None:
    """Run a command that reads a market, and print what it found."""
    from neurogrid_contracts.cli.errors import run
    from neurogrid_contracts.cli.market_reading import market_at
    from neurogrid_contracts.terminal.output import print_result

    file, url_, hash_ = (given.pop(name) for name in ("market_file", "url", "genesis_hash"))

    async def read() -> dict[str, Any]:
        async with market_at(file, url_, hash_) as market:
            found: dict[str, Any] = await show(market, **given)
            return found

    print_result(run(read, as_json=given["as_json"]), as_json=given["as_json"])


def act(plan: Callable[..., Any], given: dict[str, Any]) -> None:
    """Run a command that sends one transaction to a market, and print what became of it."""
    from neurogrid_contracts.cli.errors import run
    from neurogrid_contracts.cli.market_acting import act as acted
    from neurogrid_contracts.terminal.output import print_result

    result = run(lambda: acted(plan, given), as_json=given["as_json"])
    print_result(result, as_json=given["as_json"])
