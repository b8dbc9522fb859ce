"""``init``: keys and a coordinator.toml."""

import json
from pathlib import Path

import click

from . import options
from .options import fail


@click.command()
@options.directory
@click.option(
    "--chain",
    "chain_file",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON file that names rpc_url, program_id, usdc_mint, admin and genesis_hash.",
)
@click.option(
    "--http",
    "http_listen",
    default="127.0.0.1:8080",
    show_default=True,
    help="host:port of the REST API.",
)
@click.option(
    "--p2p",
    "p2p_listen",
    multiple=True,
    default=("/ip4/0.0.0.0/tcp/4001",),
    show_default=True,
    help="libp2p address for nodes; may be repeated.",
)
@options.as_json
def init(
    directory: Path,
    chain_file: Path,
    http_listen: str,
    p2p_listen: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make keys and a commented coordinator.toml; keeps what is there."""
    from neurogrid_wallet.errors import WalletError

    from ..config import ConfigError
    from ..setup import initialise

    try:
        made = initialise(
            directory, chain_file=chain_file, http_listen=http_listen, p2p_listen=p2p_listen
        )
    except (ConfigError, WalletError, OSError) as error:
        fail(str(error))
    if as_json:
        shown = {"peer_id": made.peer_id, "operator": made.operator, "config": str(made.config)}
        click.echo(json.dumps(shown))
        return
    click.echo(f"peer id   {made.peer_id}\noperator  {made.operator}\nconfig    {made.config}")
    click.echo(
        "\nSend SOL for rent and fees to the operator's wallet. Clients name it as their operator "
        f"with a limit.\nThen: neurogrid-coordinator start --data {directory}"
    )
