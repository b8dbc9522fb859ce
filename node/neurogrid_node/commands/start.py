"""`neurogrid-node start`: the daemon."""

from dataclasses import replace
from pathlib import Path

import click

from neurogrid_telemetry.log_settings import Level
from neurogrid_telemetry.logs import start_logging
from neurogrid_telemetry.tracing import TracesMissing

from . import options
from .exits import fail


@click.command()
@options.directory
@options.passphrase
@click.option(
    "--log-level",
    envvar="NEUROGRID_LOG_LEVEL",
    show_envvar=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="How much is logged; [log] level in node.toml where it isn't said.",
)
def start(directory: Path, passphrase_file: Path | None, log_level: Level | None) -> None:
    """Run the node until SIGTERM, or `stop`. Jobs survive a restart; a second signal ends it at once."""
    import trio

    from neurogrid_p2p.errors import P2pError
    from neurogrid_wallet.errors import WalletError

    from ..config import CONFIG_NAME, ConfigError, load_config
    from ..container.errors import EngineError
    from ..daemon import run
    from ..journal import JournalError
    from ..key_files import load_keys
    from ..machine.allocator import share_arenas

    share_arenas()
    try:
        config = load_config(directory / CONFIG_NAME)
        log = replace(config.log, level=log_level or config.log.level).below(directory)
        start_logging(log)
        config = replace(config, log=log)
        keys = load_keys(directory, passphrase_file)
        trio.run(run, config, directory, keys)
    except (
        ConfigError,
        WalletError,
        EngineError,
        JournalError,
        P2pError,
        TracesMissing,
        OSError,
    ) as error:
        fail(str(error))
    except BaseExceptionGroup as group:
        known, unknown = group.split((EngineError, JournalError, WalletError, P2pError, OSError))
        if unknown is not None or known is None:
            raise
        fail("; ".join(str(error) for error in _leaves(known)))


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The errors inside a group of groups."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
