"""The neurogrid-coordinator command."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from neurogrid_contracts.terminal.group import ExtraGroup

DEFAULT_DIRECTORY = Path("~/.neurogrid/coordinator").expanduser()
DIRECT_DIRECTORY = Path("~/.neurogrid/direct").expanduser()
_EXIT_DIFFERENT = 1
_EXIT_UNUSABLE = 2
_EXIT_NOT_RUNNING = 3
_MS_PER_DAY = 86_400_000
# What an API key may do (api/auth.py).
KEY_SCOPES = ("read", "write")

T = TypeVar("T")

_directory = click.option(
    "--data",
    "directory",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    default=DEFAULT_DIRECTORY,
    show_default=True,
    help="Directory of this coordinator's configuration, keys and database.",
)
_log_level = click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="How much is logged.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(
    cls=ExtraGroup, extra="coordinator", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="neurogrid", prog_name="neurogrid-coordinator")
def main() -> None:
    """Hold NeuroGrid's auctions and serve its API."""


@main.command()
@_directory
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
@_as_json
def init(
    directory: Path,
    chain_file: Path,
    http_listen: str,
    p2p_listen: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make keys and a commented coordinator.toml; keeps what is there."""
    from neurogrid_wallet.errors import WalletError

    from .config import ConfigError
    from .setup import initialise

    try:
        made = initialise(
            directory, chain_file=chain_file, http_listen=http_listen, p2p_listen=p2p_listen
        )
    except (ConfigError, WalletError, OSError) as error:
        _fail(str(error))
    if as_json:
        shown = {"peer_id": made.peer_id, "operator": made.operator, "config": str(made.config)}
        click.echo(json.dumps(shown))
        return
    click.echo(f"peer id   {made.peer_id}\noperator  {made.operator}\nconfig    {made.config}")
    click.echo(
        "\nSend SOL for rent and fees to the operator's wallet. Clients name it as their operator "
        f"with a limit.\nThen: neurogrid-coordinator start --data {directory}"
    )


@main.command()
@_directory
@_log_level
def start(directory: Path, log_level: str) -> None:
    """Run until SIGTERM. Tasks survive a restart."""
    import uvloop

    from neurogrid_wallet.errors import WalletError

    from .config import CONFIG_NAME, ConfigError, load_config
    from .setup import load_keys

    _log_to_stderr(log_level)
    try:
        config, keys = load_config(directory / CONFIG_NAME), load_keys(directory)
        # After the checks: it imports everything, which takes a second or two.
        from .daemon import run

        uvloop.run(run(config, directory, keys))
    except (ConfigError, WalletError, LookupError, OSError) as error:
        _fail(str(error))


@main.command()
@click.option(
    "--data",
    "directory",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    default=DIRECT_DIRECTORY,
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
@_log_level
def direct(
    directory: Path,
    chain_file: Path,
    wallet_file: Path,
    passphrase_file: Path | None,
    nodes: tuple[str, ...],
    log_level: str,
) -> None:
    """Run a client's own coordinator until SIGTERM; `neurogrid submit --direct` does it for you."""
    import uvloop

    from neurogrid_contracts.terminal.keys import load_key
    from neurogrid_wallet.errors import WalletError

    from .config import ConfigError
    from .direct import prepare, run_direct

    _log_to_stderr(log_level)
    try:
        wallet = load_key(wallet_file, passphrase_file)
        config, keys = prepare(directory, chain_file=chain_file, wallet=wallet, nodes=nodes)
        uvloop.run(run_direct(config, directory, keys))
    except (ConfigError, WalletError, LookupError, OSError) as error:
        _fail(str(error))


@main.command()
@_directory
@_as_json
def status(directory: Path, as_json: bool) -> None:
    """Where the running coordinator is, and how. Exit code 3 if none runs."""
    import httpx

    from .setup import INFO_FILE

    try:
        info = json.loads((directory / INFO_FILE).read_text())
        answer = httpx.get(f"{info['api_url']}/api/v1/status", timeout=5, trust_env=False)
        shown = {**info, "status": answer.json()["data"]}
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        click.echo(f"No coordinator answers for {directory}.", err=True)
        sys.exit(_EXIT_NOT_RUNNING)
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for name, value in {**info, **shown["status"]}.items():
        click.echo(f"{name:<14} {value}")


@main.command()
@_directory
@click.option(
    "--days",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="Read the chain's history of leases settled in so many days.",
)
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(min=0),
    default=15.0,
    show_default=True,
    help="Seconds until the second look, which has to find a difference too.",
)
@_as_json
def reconcile(directory: Path, days: int, patience_s: float, as_json: bool) -> None:
    """Compare the books with the chain now. Exit code 1 if they differ. Changes neither."""
    import asyncio

    from neurogrid_contracts.accounts import AccountFormatError
    from neurogrid_wallet.errors import WalletError

    from .config import CONFIG_NAME, ConfigError, load_config
    from .reconcile_command import reconcile_now
    from .setup import load_keys

    try:
        config, keys = load_config(directory / CONFIG_NAME), load_keys(directory)
        found = asyncio.run(
            reconcile_now(config, directory, keys, days=days, patience_s=patience_s)
        )
    except (ConfigError, WalletError, AccountFormatError, OSError) as error:
        _fail(str(error))
    if as_json:
        rows = [
            {
                "kind": seen.difference.kind.value,
                "subject": seen.difference.subject,
                "booked": seen.difference.booked,
                "found": seen.difference.found,
                "slot": seen.slot,
                "first_seen_at_ms": seen.first_seen_at_ms,
                "last_seen_at_ms": seen.last_seen_at_ms,
            }
            for seen in found
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        for seen in found:
            difference = seen.difference
            click.echo(f"{difference.kind}  {difference.subject}")
            click.echo(f"  booked  {difference.booked}\n  found   {difference.found}")
        count = len(found) or "no"
        click.echo(f"{count} difference{'' if len(found) == 1 else 's'} between books and chain")
    if found:
        sys.exit(_EXIT_DIFFERENT)


@main.command()
@_directory
@click.argument("node")
@click.option(
    "--evidence",
    "evidence_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the signed evidence to this file.",
)
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(min=0),
    default=900.0,
    show_default=True,
    help="Seconds to wait for what comes of it; it goes on without.",
)
@_as_json
def challenge(
    directory: Path, node: str, evidence_file: Path | None, patience_s: float, as_json: bool
) -> None:
    """Have the running coordinator challenge NODE, a peer id: does it have what it offers?

    \b
    Exit codes:
      0  it passed
      1  it failed
      3  it says nothing about the node, or there is nothing yet: the reason is shown
    """
    import asyncio

    from neurogrid_marketplace.challenge_answer import FINDINGS, Mark

    from .challenge_command import challenge_now
    from .config import CONFIG_NAME, ConfigError, load_config

    try:
        if not load_config(directory / CONFIG_NAME).trust.challenge_account:
            _fail("nobody pays for challenges: set trust.challenge_account to an account's id")
        row, data = asyncio.run(
            challenge_now(directory, node, now_ms=_now_ms(), patience_s=patience_s)
        )
        if evidence_file is not None and data is not None:
            evidence_file.write_bytes(data)
    except (ConfigError, OSError) as error:
        _fail(str(error))
    if as_json:
        shown = {
            "challenge_id": row.id,
            "node_id": row.node_id,
            "state": row.state.value,
            "note": row.note,
            "task_id": row.task_id,
            "evidence_sha256": row.digest,
        }
        click.echo(json.dumps(shown, indent=2))
    else:
        click.echo(f"{row.id}  {row.state.value}{': ' if row.note else ''}{row.note}")
    if row.state is not Mark.PASSED:
        sys.exit(_EXIT_DIFFERENT if row.state in FINDINGS else _EXIT_NOT_RUNNING)


@main.group()
def account() -> None:
    """Clients of this coordinator."""


@account.command("create")
@_directory
@click.option("--name", required=True, help="What the client is called.")
@click.option("--wallet", required=True, help="Solana address whose deposit pays.")
@_as_json
def account_create(directory: Path, name: str, wallet: str, as_json: bool) -> None:
    """Make an account and its first API key. The key is shown this once."""
    from neurogrid_marketplace.errors import InvalidValue
    from neurogrid_marketplace.identity import address_bytes

    from .store import accounts

    try:
        address_bytes(wallet)
    except InvalidValue as error:
        _fail(str(error))

    def create(conn: Any) -> tuple[accounts.Account, accounts.IssuedKey]:
        made = accounts.create(conn, name, wallet, _now_ms())
        return made, accounts.issue_key(conn, made.id, "first", KEY_SCOPES, _now_ms())

    made, key = _write(directory, create)
    if as_json:
        click.echo(
            json.dumps({"account_id": made.id, "api_key": key.secret, "key_id": key.api_key.id})
        )
    else:
        click.echo(f"account  {made.id}\nkey      {key.secret}\n\nThe key is not shown again.")


@account.command("list")
@_directory
@_as_json
def account_list(directory: Path, as_json: bool) -> None:
    """All accounts."""
    from .store import accounts

    found = _write(directory, accounts.list_all)
    if as_json:
        rows = [{"id": item.id, "name": item.name, "wallet": item.wallet} for item in found]
        click.echo(json.dumps(rows, indent=2))
        return
    for item in found:
        click.echo(f"{item.id}  {item.wallet}  {item.name}")


@main.group()
def key() -> None:
    """API keys."""


@key.command("create")
@_directory
@click.option("--account", "account_id", required=True, help="Account id.")
@click.option("--name", default="key", show_default=True, help="What the key is for.")
@click.option("--days", type=click.IntRange(min=1), help="Days until it expires; never by default.")
@_as_json
def key_create(
    directory: Path, account_id: str, name: str, days: int | None, as_json: bool
) -> None:
    """Make another key. It is shown this once."""
    from .store import accounts

    expires_ms = _now_ms() + days * _MS_PER_DAY if days else None
    issued = _write(
        directory,
        lambda conn: accounts.issue_key(conn, account_id, name, KEY_SCOPES, _now_ms(), expires_ms),
    )
    if as_json:
        click.echo(json.dumps({"api_key": issued.secret, "key_id": issued.api_key.id}))
    else:
        click.echo(f"key  {issued.secret}\n\nIt is not shown again. Its id is {issued.api_key.id}.")


@key.command("revoke")
@_directory
@click.argument("key_id")
def key_revoke(directory: Path, key_id: str) -> None:
    """End a key at once."""
    from .store import accounts

    if not _write(directory, lambda conn: accounts.revoke_key(conn, key_id, _now_ms())):
        _fail(f"there is no key {key_id}, or it is revoked already")
    click.echo(f"{key_id} is revoked")


def _write(directory: Path, fn: Callable[[Any], T]) -> T:
    """One transaction on the coordinator's database; it may be running."""
    import asyncio

    from .setup import DATABASE_FILE
    from .store.accounts import WalletTaken
    from .store.database import Database

    async def go() -> T:
        async with Database.open(directory / DATABASE_FILE) as database:
            return await database.write(fn)

    if not directory.is_dir():
        _fail(f"{directory} does not exist: run `neurogrid-coordinator init` first")
    try:
        return asyncio.run(go())
    except (WalletTaken, LookupError, OSError) as error:
        _fail(str(error))


def _log_to_stderr(log_level: str) -> None:
    import logging

    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _now_ms() -> int:
    import time

    return time.time_ns() // 1_000_000


def _fail(message: str) -> NoReturn:
    click.echo(f"neurogrid-coordinator: {message}", err=True)
    sys.exit(_EXIT_UNUSABLE)


if __name__ == "__main__":
    main()
