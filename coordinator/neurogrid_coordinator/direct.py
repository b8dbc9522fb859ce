"""A client's own coordinator: for nodes that it dials, on its own machine, with its own wallet.

It is the coordinator that markets have, with one client and nobody to wait for. Its files survive it, so
that a job goes on where it was when the same command is typed again.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.secret_file import read_secret_file, write_secret_file

from .config import CONFIG_NAME, Config, ConfigError, load_config
from .daemon import run
from .market.settings import MAX_DIALLED
from .setup import DATABASE_FILE, IDENTITY_FILE, SESSION_FILE, Keys, write_config
from .store import accounts
from .store.database import Database

_ACCOUNT_NAME = "direct"
_SCOPES = ("read", "write")
# One node's auction ends when it has answered; one behind two relays on a busy machine takes a while.
_BID_WINDOW_MS = 2000


def prepare(
    directory: Path, *, chain_file: Path, wallet: KeyPair, nodes: Sequence[str]
) -> tuple[Config, Keys]:
    """Make a client's own coordinator, or make it ready again.

    Args:
        wallet: its client account pays, and as its owner it opens escrows without anybody's leave.
        nodes: to dial, beside those that an earlier run dialled.

    Raises:
        ConfigError, WalletError: a file cannot be used.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made by somebody else, it may be open to all; coordinator.json will hold our API's key.
    directory.chmod(0o700)
    config = _configure(directory, chain_file, nodes)
    return config, Keys(_key(directory, IDENTITY_FILE), wallet, _key(directory, SESSION_FILE))


async def run_direct(config: Config, directory: Path, keys: Keys) -> None:
    """Run it until SIGTERM or SIGINT.

    Raises:
        OutboxInUse: another one runs on this directory.
    """
    wallet = keys.operator.address
    api_key = await _api_key(directory, wallet)
    told = {"api_key": api_key, "nodes": list(config.p2p.dial), "wallet": wallet}
    await run(config, directory, keys, told)


def _configure(directory: Path, chain_file: Path, nodes: Sequence[str]) -> Config:
    """Write coordinator.toml, with the nodes of earlier runs: they may have leases of ours."""
    path = directory / CONFIG_NAME
    earlier = load_config(path) if path.exists() else None
    dialled = earlier.p2p.dial if earlier else ()
    partial = path.with_name("next.toml")
    write_config(
        partial,
        chain_file,
        {
            "http.listen": "127.0.0.1:0",
            # One client, on its own machine, and the files of its nodes.
            "http.connections_per_address": 0,
            "requests.default_tier": "",
            "requests.per_address_per_minute": 0,
            "requests.strangers_per_address_per_minute": 0,
            "p2p.listen": (),
            "p2p.dial": tuple(dict.fromkeys([*nodes, *dialled]))[:MAX_DIALLED],
            "p2p.files": True,
            "p2p.nodes": MAX_DIALLED,
            "timers.bid_window_ms": _BID_WINDOW_MS,
        },
    )
    config = load_config(partial)
    if earlier and config.chain.deployment != earlier.chain.deployment:
        raise ConfigError(f"{directory} is of another market: name another directory")
    partial.replace(path)
    return config


def _key(directory: Path, name: str) -> KeyPair:
    if not (directory / name).exists():
        KeyPair.generate().write_solana_file(directory / name)
    return KeyPair.read_solana_file(directory / name)


async def _api_key(directory: Path, wallet: str) -> str:
    """The client's key for our API; its account and key are made at the first time."""
    path = directory / f"api_key.{wallet}"
    if path.exists():
        return read_secret_file(path).decode()
    now_ms = time.time_ns() // 1_000_000

    def issue(conn: Connection) -> str:
        # A start that was interrupted here may have made the account already.
        known = [account for account in accounts.list_all(conn) if account.wallet == wallet]
        account = known[0] if known else accounts.create(conn, _ACCOUNT_NAME, wallet, now_ms)
        return accounts.issue_key(conn, account.id, _ACCOUNT_NAME, _SCOPES, now_ms).secret

    async with Database.open(directory / DATABASE_FILE) as database:
        secret = await database.write(issue)
    write_secret_file(path, secret.encode(), overwrite=False)
    return secret
