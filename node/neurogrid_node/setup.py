"""`neurogrid-node init` and the loading of what it made: keys and a commented node.toml."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from neurogrid_marketplace.identity import peer_id_of
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.keystore import keystore_address, load_keystore, save_keystore
from neurogrid_wallet.passphrase import ask_passphrase

from .config import ConfigError, load_config

CONFIG_FILE = "node.toml"
IDENTITY_FILE = "identity.json"
SEALED_WALLET_FILE = "wallet.keystore"
OPEN_WALLET_FILE = "wallet.json"
_CHAIN_KEYS = ("rpc_url", "program_id", "usdc_mint", "admin", "genesis_hash")


@dataclass(frozen=True, slots=True)
class Keys:
    """The node's two keys: who it is on the network, and who is paid."""

    identity: KeyPair
    wallet: KeyPair


@dataclass(frozen=True, slots=True)
class Made:
    """What `initialise` made, or found.

    Attributes:
        wallet_file: where its key is.
    """

    peer_id: str
    wallet: str
    config: Path
    wallet_file: Path


def initialise(
    directory: Path,
    *,
    coordinators: tuple[str, ...],
    chain_file: Path,
    region: str,
    encrypted: bool,
    passphrase_file: Path | None,
    settings: Mapping[str, str | int | bool | Sequence[str]] | None = None,
) -> Made:
    """Make a node's directory; what is there already is kept, so that running it twice is safe.

    Args:
        settings: further values for node.toml, by ``section.key``.

    Raises:
        ConfigError: the chain file lacks something, a setting is unknown, or the result would not
            load.
        WalletError: a key file exists and cannot be used, or no passphrase was given.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made by somebody else, it may be open to all; jobs' secrets will be in its journal.
    directory.chmod(0o700)
    config = directory / CONFIG_FILE
    if not config.exists():
        text = _render(coordinators, _read_chain(chain_file), region, settings or {})
        partial = config.with_name(CONFIG_FILE + ".partial")
        try:
            partial.write_text(text)
            load_config(partial)
            partial.rename(config)
        finally:
            partial.unlink(missing_ok=True)
    identity_path = directory / IDENTITY_FILE
    if not identity_path.exists():
        KeyPair.generate().write_solana_file(identity_path)
    identity = KeyPair.read_solana_file(identity_path)
    sealed, unsealed = directory / SEALED_WALLET_FILE, directory / OPEN_WALLET_FILE
    if not sealed.exists() and not unsealed.exists():
        if encrypted:
            passphrase = ask_passphrase(passphrase_file, confirm=True)
            save_keystore(sealed, KeyPair.generate(), passphrase)
        else:
            KeyPair.generate().write_solana_file(unsealed)
    wallet = load_keys(directory, passphrase_file).wallet
    wallet_file = unsealed if unsealed.exists() else sealed
    return Made(peer_id_of(identity.public_key), wallet.address, config, wallet_file)


def load_keys(directory: Path, passphrase_file: Path | None) -> Keys:
    """The node's keys.

    Raises:
        ConfigError: there are none.
        WalletError: a file is damaged, readable by others, or the passphrase is wrong.
    """
    identity = directory / IDENTITY_FILE
    sealed, unsealed = directory / SEALED_WALLET_FILE, directory / OPEN_WALLET_FILE
    if not identity.exists() or not (sealed.exists() or unsealed.exists()):
        raise ConfigError(f"no keys in {directory}: run `neurogrid-node init` first")
    if unsealed.exists():
        wallet = KeyPair.read_solana_file(unsealed)
    else:
        wallet = load_keystore(sealed, ask_passphrase(passphrase_file))
    return Keys(KeyPair.read_solana_file(identity), wallet)


def wallet_address(directory: Path) -> str:
    """The wallet's address, for which no passphrase is needed.

    Raises:
        ConfigError: there is no wallet.
        WalletError: its file is damaged, or readable by others.
    """
    sealed, unsealed = directory / SEALED_WALLET_FILE, directory / OPEN_WALLET_FILE
    if unsealed.exists():
        return KeyPair.read_solana_file(unsealed).address
    if sealed.exists():
        return keystore_address(sealed)
    raise ConfigError(f"no wallet in {directory}: run `neurogrid-node init` first")


def _read_chain(path: Path) -> dict[str, str]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    missing = [key for key in _CHAIN_KEYS if not isinstance(document.get(key), str)]
    if missing:
        raise ConfigError(f"{path} lacks {', '.join(missing)}")
    return {key: document[key] for key in _CHAIN_KEYS}


def _render(
    coordinators: tuple[str, ...],
    chain: Mapping[str, str],
    region: str,
    settings: Mapping[str, str | int | bool | Sequence[str]],
) -> str:
    """The commented example with this node's values in it."""
    values: dict[str, object] = {
        "coordinators": list(coordinators),
        "region": region,
        **{f"chain.{key}": value for key, value in chain.items()},
        **settings,
    }
    lines = []
    section = ""
    for line in files(__package__).joinpath(CONFIG_FILE).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]") + "."
        key = line.split(" = ")[0]
        # JSON's strings, numbers and lists are TOML's.
        known = section + key in values
        if known:
            line = f"{key} = {json.dumps(values.pop(section + key), ensure_ascii=False)}"
        lines.append(line)
    if values:
        raise ConfigError(f"no such settings: {', '.join(sorted(values))}")
    return "\n".join(lines) + "\n"
