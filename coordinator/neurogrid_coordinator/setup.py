"""`neurogrid-coordinator init` and the loading of what it made: keys and a commented coordinator.toml."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurogrid_marketplace.identity import peer_id_of
from neurogrid_wallet.keys import KeyPair

from .config import (
    CONFIG_NAME,
    ConfigError,
    DatabaseConfig,
    filled,
    load_database_config,
    parse_config,
)
from .store.places import Place, Server

DATABASE_FILE = "coordinator.db"
PAYMENTS_FILE = "payments.db"
TERMS_FILE = "market.terms"
ARTIFACTS_FOLDER = "artifacts"
INFO_FILE = "coordinator.json"
IDENTITY_FILE = "identity.json"
OPERATOR_FILE = "operator.json"
SESSION_FILE = "session.json"
PASSWORD_VARIABLE = "NEUROGRID_DATABASE_PASSWORD"
_PASSWORD_BYTES_MAX = 4096
_CHAIN_KEYS = ("rpc_url", "program_id", "usdc_mint", "admin", "genesis_hash")


@dataclass(frozen=True, slots=True)
class Keys:
    """The coordinator's keys.

    Attributes:
        identity: who it is on the network; signs demands, awards and receipts.
        operator: its wallet, which opens escrows; clients limit what it may spend.
        session: the seed of the leases' voucher keys and file tokens.
    """

    identity: KeyPair
    operator: KeyPair
    session: KeyPair


@dataclass(frozen=True, slots=True)
class Made:
    """What `initialise` made."""

    peer_id: str
    operator: str
    config: Path


def initialise(
    directory: Path,
    *,
    chain_file: Path,
    http_listen: str,
    p2p_listen: tuple[str, ...],
    settings: Mapping[str, str | int | Sequence[str]] | None = None,
) -> Made:
    """Make a coordinator's directory; what is there already is kept.

    Args:
        settings: further values for coordinator.toml, by ``section.key``.

    Raises:
        ConfigError: the chain file lacks something, a setting is unknown, or the result would not
            load.
        WalletError: a key file exists and cannot be used.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = directory / CONFIG_NAME
    if not config.exists():
        listen: dict[str, str | int | Sequence[str]] = {
            "http.listen": http_listen,
            "p2p.listen": p2p_listen,
        }
        write_config(config, chain_file, {**listen, **(settings or {})})
    for name in (IDENTITY_FILE, OPERATOR_FILE, SESSION_FILE):
        if not (directory / name).exists():
            KeyPair.generate().write_solana_file(directory / name)
    keys = load_keys(directory)
    return Made(peer_id_of(keys.identity.public_key), keys.operator.address, config)


def write_config(
    path: Path, chain_file: Path, settings: Mapping[str, str | int | Sequence[str]]
) -> None:
    """Write a coordinator.toml, or nothing at all.

    Args:
        settings: by ``section.key``; the chain's come from its file.

    Raises:
        ConfigError: as of `initialise`.
    """
    chain = {f"chain.{key}": value for key, value in _read_chain(chain_file).items()}
    text = filled({**chain, **settings})
    parse_config(text, str(path))
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.rename(path)


def database_place(directory: Path, database: DatabaseConfig | None = None) -> Place:
    """Where a coordinator's database is.

    Args:
        database: of its configuration; read from ``directory`` by default.

    Raises:
        ConfigError: it cannot be read, or the password's file cannot.
    """
    if database is None:
        database = load_database_config(directory / CONFIG_NAME)
    if not database.url:
        return directory / DATABASE_FILE
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if database.password_file:
        path = directory / database.password_file
        try:
            with path.open(encoding="utf-8") as file:
                password = file.read(_PASSWORD_BYTES_MAX).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"database.password_file: {path}: {error}") from error
    return Server(database.url, password)


def load_keys(directory: Path) -> Keys:
    """The coordinator's keys.

    Raises:
        WalletError: a file is missing, damaged, or readable by others.
    """
    return Keys(
        *(
            KeyPair.read_solana_file(directory / name)
            for name in (IDENTITY_FILE, OPERATOR_FILE, SESSION_FILE)
        )
    )


def _read_chain(path: Path) -> dict[str, str]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    missing = [key for key in _CHAIN_KEYS if not isinstance(document.get(key), str)]
    if missing:
        raise ConfigError(f"{path} lacks {', '.join(missing)}")
    return {key: document[key] for key in _CHAIN_KEYS}
