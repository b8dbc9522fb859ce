"""The neurogrid-node command."""

import json
import logging
import sys
import time
from pathlib import Path
from typing import NoReturn

import click

from neurogrid_contracts.terminal.group import ExtraGroup
from neurogrid_marketplace.money import format_usdc

from . import options, owner_commands
from .discover_command import discover

_EXIT_UNUSABLE = 2
_EXIT_NOT_RUNNING = 3


@click.group(cls=ExtraGroup, extra="node", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neurogrid", prog_name="neurogrid-node")
def main() -> None:
    """Offer this machine's GPUs on NeuroGrid and be paid in USDC."""


for _command in owner_commands.COMMANDS:
    main.add_command(_command)
main.add_command(discover)


@main.command()
@options.directory
@click.option(
    "--coordinator",
    "coordinators",
    multiple=True,
    help="libp2p address of a coordinator, ending in /p2p/<peer id>; may be repeated.",
)
@click.option(
    "--rendezvous",
    multiple=True,
    metavar="ADDRESS",
    help="libp2p address of a rendezvous point where coordinators are looked for; may be repeated.",
)
@click.option(
    "--dht", multiple=True, help="The same of a node of a DHT; may be repeated.", metavar="ADDRESS"
)
@click.option("--mdns", is_flag=True, help="Look for coordinators on the local network.")
@click.option(
    "--join",
    multiple=True,
    metavar="PEER_ID",
    help="A coordinator that is joined where it is found; may be repeated.",
)
@click.option(
    "--chain",
    "chain_file",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="JSON file that names rpc_url, program_id, usdc_mint, admin and genesis_hash.",
)
@click.option("--region", default="local", show_default=True, help="Where the machine stands.")
@click.option("--no-passphrase", is_flag=True, help="Keep the wallet's key unencrypted (0600).")
@options.passphrase
@options.json_output
def init(
    directory: Path,
    coordinators: tuple[str, ...],
    rendezvous: tuple[str, ...],
    dht: tuple[str, ...],
    mdns: bool,
    join: tuple[str, ...],
    chain_file: Path,
    region: str,
    no_passphrase: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Make keys and a commented node.toml."""
    from neurogrid_wallet.errors import WalletError

    from .config import ConfigError
    from .setup import initialise

    try:
        made = initialise(
            directory,
            coordinators=coordinators,
            chain_file=chain_file,
            region=region,
            encrypted=not no_passphrase,
            passphrase_file=passphrase_file,
            settings={
                "discovery.rendezvous": rendezvous,
                "discovery.dht": dht,
                "discovery.mdns": mdns,
                "discovery.join": join,
            },
        )
    except (ConfigError, WalletError, OSError, ValueError) as error:
        _fail(str(error))
    if as_json:
        click.echo(
            json.dumps({"peer_id": made.peer_id, "wallet": made.wallet, "config": str(made.config)})
        )
        return
    click.echo(f"peer id  {made.peer_id}\nwallet   {made.wallet}\nconfig   {made.config}")
    click.echo(
        f"\nBack up {directory}/identity.json and {made.wallet_file}: without them the stake "
        "and the earnings are lost.\nSend SOL for fees and USDC for the stake to the wallet, then: "
        f"neurogrid-node start --data {directory}"
    )


@main.command()
@options.directory
@options.passphrase
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="How much is logged.",
)
def start(directory: Path, passphrase_file: Path | None, log_level: str) -> None:
    """Run the node until SIGTERM. Jobs survive a restart."""
    import trio

    from neurogrid_p2p.errors import P2pError
    from neurogrid_wallet.errors import WalletError

    from .config import CONFIG_NAME, ConfigError, load_config
    from .container_errors import EngineError
    from .daemon import run
    from .journal import JournalError
    from .setup import load_keys

    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        config = load_config(directory / CONFIG_NAME)
        keys = load_keys(directory, passphrase_file)
        trio.run(run, config, directory, keys)
    except (ConfigError, WalletError, EngineError, JournalError, P2pError, OSError) as error:
        _fail(str(error))
    except BaseExceptionGroup as group:
        known, unknown = group.split((EngineError, JournalError, WalletError, P2pError, OSError))
        if unknown is not None or known is None:
            raise
        _fail("; ".join(str(error) for error in _leaves(known)))


@main.command()
@options.directory
@options.json_output
def status(directory: Path, as_json: bool) -> None:
    """What the running node is doing. Exit code 3 if none runs."""
    from .status import read_status

    document = read_status(directory)
    if document is None:
        if as_json:
            click.echo("null")
        else:
            click.echo(f"No node runs on {directory}. Start it: neurogrid-node start", err=True)
        sys.exit(_EXIT_NOT_RUNNING)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    _print_status(document)


@main.command()
@click.argument("lease_id", required=False)
@click.option("--all", "every", is_flag=True, help="Every lease that may be reclaimed.")
@options.directory
@options.json_output
def reclaim(lease_id: str | None, every: bool, directory: Path, as_json: bool) -> None:
    """Take the machine back from a preemptible job, or from all of them.

    Each is warned now and stopped when the window that was bid for it is over; it is paid for the time
    that it ran. `status` shows when. Exit code 3 if no node runs.
    """
    from .reclaiming import ALL, request
    from .status import read_status

    if (lease_id is None) is not every:
        raise click.UsageError("name a lease, or --all")
    if read_status(directory) is None:
        click.echo(f"No node runs on {directory}: nothing is stopped.", err=True)
        sys.exit(_EXIT_NOT_RUNNING)
    what = lease_id or ALL
    try:
        request(directory, what)
    except (OSError, ValueError) as error:
        _fail(str(error))
    if as_json:
        click.echo(json.dumps({"requested": "all" if every else what}))
    else:
        click.echo("Asked for. `neurogrid-node status` shows until when each job runs.")


def _print_status(document: dict[str, object]) -> None:
    def number(name: str) -> int:
        value = document[name]
        assert isinstance(value, int), "our own file"
        return value

    def rows(name: str) -> list[dict[str, object]]:
        value = document[name]
        assert isinstance(value, list), "our own file"
        return value

    accepting = "accepting work" if document["accepting"] else "not accepting work yet"
    click.echo(f"node      {document['peer_id']} ({accepting})")
    click.echo(f"machine   {document['summary']}")
    click.echo(f"wallet    {document['wallet']}")
    click.echo(
        f"money     {format_usdc(number('staked_micro_usdc'))} USDC staked, "
        f"{format_usdc(number('earned_micro_usdc'))} USDC earned in {number('leases_paid')} leases"
    )
    if document["earnings_differ"]:
        click.echo(
            f"look      journal and chain differ in {document['earnings_differ']}: see the log"
        )
    if document["stake_problem"]:
        click.echo(f"stake     no new work: {document['stake_problem']}")
    click.echo(
        f"free      {number('cpu_millis_free') / 1000:g} of {number('cpu_millis_total') / 1000:g} "
        f"cores, {number('memory_bytes_free') / 2**30:.1f} of "
        f"{number('memory_bytes_total') / 2**30:.1f} GiB"
    )
    for row in rows("coordinators"):
        state = "connected" if row["connected"] else "not connected"
        if row["found_by"]:
            state += f", found by {row['found_by']}"
        click.echo(f"serves    {row['peer_id']} ({state})")
    for row in rows("leases"):
        metered_ms = row["metered_ms"]
        assert isinstance(metered_ms, int), "our own file"
        stops_at_ms = row["stops_at_ms"]
        assert isinstance(stops_at_ms, int), "our own file"
        until = time.strftime("%H:%M:%S", time.localtime(stops_at_ms / 1000))
        reclaimed = f", reclaimed: stopped at {until}" if stops_at_ms else ""
        click.echo(
            f"lease     {row['lease_id']} {row['phase']}, {metered_ms / 1000:.1f} s metered{reclaimed}"
        )


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The errors inside a group of groups."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _fail(message: str) -> NoReturn:
    click.echo(f"neurogrid-node: {message}", err=True)
    sys.exit(_EXIT_UNUSABLE)


if __name__ == "__main__":
    main()
