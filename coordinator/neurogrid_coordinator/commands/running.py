"""``start | direct | status``: the daemon, a client's own one, and where it is."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options
from .options import EXIT_NOT_RUNNING, fail

if TYPE_CHECKING:
    from neurogrid_telemetry.log_settings import Level

    from ..config import Config

_DIRECT_DIRECTORY = Path("~/.neurogrid/direct").expanduser()
_DISK_FAILED = (
    "the disk of the database failed, and what was being written may not be on it (the log has the error); "
    "what was acknowledged is. Start again when the disk is well"
)


@click.command()
@options.directory
@options.log_level
def start(directory: Path, log_level: "Level | None") -> None:
    """Run until SIGTERM. Tasks survive a restart."""
    import uvloop

    from neurogrid_telemetry.tracing import TracesMissing
    from neurogrid_wallet.errors import WalletError

    from ..config import CONFIG_NAME, ConfigError, load_config
    from ..setup import load_keys
    from ..store.away import DatabaseInUse, DiskFailed, LeadLost, Overloaded, ServerUnfit

    try:
        config, keys = load_config(directory / CONFIG_NAME), load_keys(directory)
        config = _logging(config, directory, log_level)
        # After the checks: it imports everything, which takes a second or two.
        from ..daemon import run

        uvloop.run(run(config, directory, keys))
    except (ConfigError, WalletError, TracesMissing, LookupError, OSError) as error:
        fail(str(error))
    except (Overloaded, DatabaseInUse, ServerUnfit) as error:
        fail(str(error))
    except BaseExceptionGroup as group:
        expected, other = group.split((DiskFailed, LeadLost))
        if expected is None or other is not None:
            raise
        if expected.subgroup(LeadLost) is None:
            fail(_DISK_FAILED)
        fail("another coordinator leads on this database now; started again, this one stands by")


@click.command()
@click.option(
    "--data",
    "directory",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    default=_DIRECT_DIRECTORY,
    show_default=True,
    help="Directory of this client's own coordinator.",
)
@click.option(
    "--chain",
    "chain_file",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON file that names rpc_url, program_id, usdc_mint, admin and genesis_hash.",
)
@click.option(
    "--wallet",
    "wallet_file",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Key file or keystore of the wallet whose deposit pays.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Holds the keystore's passphrase; else NEUROGRID_PASSPHRASE, else it is asked for.",
)
@click.option(
    "--node",
    "nodes",
    multiple=True,
    help="libp2p address of a node to dial, with its /p2p/ peer id. Repeatable.",
)
@options.log_level
def direct(
    directory: Path,
    chain_file: Path,
    wallet_file: Path,
    passphrase_file: Path | None,
    nodes: tuple[str, ...],
    log_level: "Level | None",
) -> None:
    """Run a client's own coordinator until SIGTERM; `neurogrid submit --direct` does it for you."""
    import uvloop

    from neurogrid_contracts.terminal.keys import load_key
    from neurogrid_telemetry.tracing import TracesMissing
    from neurogrid_wallet.errors import WalletError

    from ..config import ConfigError
    from ..direct import prepare, run_direct
    from ..store.away import DiskFailed

    try:
        wallet = load_key(wallet_file, passphrase_file)
        config, keys = prepare(directory, chain_file=chain_file, wallet=wallet, nodes=nodes)
        config = _logging(config, directory, log_level)
        uvloop.run(run_direct(config, directory, keys))
    except (ConfigError, WalletError, TracesMissing, LookupError, OSError) as error:
        fail(str(error))
    except BaseExceptionGroup as group:
        if group.split(DiskFailed)[1] is not None:
            raise
        fail(_DISK_FAILED)


@click.command()
@options.directory
@options.as_json
def status(directory: Path, as_json: bool) -> None:
    """Where the running coordinator is, and how. Exit code 3 if none runs."""
    import httpx

    from ..setup import INFO_FILE

    try:
        info = json.loads((directory / INFO_FILE).read_text())
        answer = httpx.get(f"{info['api_url']}/api/v1/status", timeout=5, trust_env=False)
        shown = {**info, "status": answer.json()["data"]}
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        click.echo(f"No coordinator answers for {directory}.", err=True)
        sys.exit(EXIT_NOT_RUNNING)
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for name, value in {**info, **shown["status"]}.items():
        click.echo(f"{name:<14} {value}")


def _logging(config: "Config", directory: Path, level: "Level | None") -> "Config":
    """Log as the file says, at another level if one is given; the configuration with that level."""
    import msgspec

    from neurogrid_telemetry.logs import start_logging

    log = msgspec.structs.replace(config.log, level=level or config.log.level)
    start_logging(log.settings.below(directory))
    return msgspec.structs.replace(config, log=log)
