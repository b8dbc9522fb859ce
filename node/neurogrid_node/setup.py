"""What `neurogrid-node init` makes of a directory: a commented node.toml, then keys."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from neurogrid_wallet.passphrase import ask_passphrase

from .config import CONFIG_NAME, ConfigError, load_config
from .config_text import Value, with_values
from .key_files import (
    BackUp,
    Sealing,
    Secret,
    make_keys,
    node_peer_id,
    wallet_address,
    wallet_file,
)

_CHAIN_KEYS = ("rpc_url", "program_id", "usdc_mint", "admin", "genesis_hash")
# A chain file has some hundred bytes.
_CHAIN_FILE_BYTES_MAX = 64 * 1024


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
    back_up: BackUp,
    restored: Secret | None = None,
    settings: Mapping[str, Value] | None = None,
) -> Made:
    """Make a node's directory; what is there already is kept, so that running it twice is safe.

    Args:
        back_up: sees to it that a new wallet is kept elsewhere, too, before it counts.
        restored: the wallet of a node that was there before.
        settings: further values for node.toml, by ``section.key``.

    Raises:
        ConfigError: the chain file lacks something, a setting is unknown, or the result would not
            load; or as `make_keys`.
        WalletError: a key file exists and cannot be used, or no passphrase was given.
    """
    if not (directory / CONFIG_NAME).exists():
        values = {
            "coordinators": coordinators,
            "region": region,
            **read_chain(chain_file),
            **(settings or {}),
        }
    else:
        values = {}
    return set_up(
        directory,
        values,
        Sealing(encrypted, asked_once(passphrase_file)),
        back_up,
        restored=restored,
    )


def set_up(
    directory: Path,
    values: Mapping[str, Value],
    sealing: Sealing,
    back_up: BackUp,
    *,
    restored: Secret | None = None,
) -> Made:
    """As `initialise`, with all values of node.toml at hand; they count where there is none yet."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made by somebody else, it may be open to all; jobs' secrets will be in its journal.
    directory.chmod(0o700)
    with _alone(directory):
        config = directory / CONFIG_NAME
        if not config.exists():
            write_config(config, with_values(example_text(), values))
        make_keys(directory, sealing, back_up, restored=restored)
        found = wallet_file(directory)
        assert found is not None, "just made"
        return Made(node_peer_id(directory), wallet_address(directory), config, found)


def asked_once(passphrase_file: Path | None) -> Callable[[bool], str]:
    """A passphrase's source for `Sealing`, which asks a person at most once."""
    known: list[str] = []

    def ask(new: bool) -> str:
        if not known:
            known.append(ask_passphrase(passphrase_file, confirm=new))
        return known[0]

    return ask


def read_chain(path: Path) -> dict[str, str]:
    """A market's chain file as values of node.toml.

    Raises:
        ConfigError: it cannot be read, or lacks something.
    """
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_CHAIN_FILE_BYTES_MAX))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} is no chain file: a JSON object is wanted")
    missing = [key for key in _CHAIN_KEYS if not isinstance(document.get(key), str)]
    if missing:
        raise ConfigError(f"{path} lacks {', '.join(missing)}")
    return {f"chain.{key}": document[key] for key in _CHAIN_KEYS}


def example_text() -> str:
    """The commented node.toml that is installed with us."""
    return files(__package__).joinpath(CONFIG_NAME).read_text()


def write_config(path: Path, text: str) -> None:
    """Write a node.toml whole and checked, or not at all.

    Raises:
        ConfigError: it would not load.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        load_config(partial)
        partial.rename(path)
    except ConfigError as error:
        # Not of a file that nobody will find.
        raise ConfigError(str(error).removeprefix(f"{partial}: ")) from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Be the only first run of this directory; the lock ends with the process."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another `neurogrid-node init` is at work in {directory}") from None
        yield
    finally:
        os.close(descriptor)
