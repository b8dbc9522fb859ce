"""A node's keys on disk: one secret, the wallet's, from which the node's identity follows.

    wallet.keystore   the wallet's phrase or key, sealed with its owner's passphrase
    wallet.json       or its key, unencrypted
    identity.json     who the node is on the network, derived from the wallet's key
    wallet.unproven   of a first run that has not ended: a phrase nobody has shown to be backed up

So 24 words, or one file, bring back both: who is paid, and who has the reputation. A node that was
made before this was so has an identity that follows from nothing; it is read like any other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from neurogrid_contracts.terminal.backups import read_backup, write_backup
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_wallet.errors import WrongPassphrase
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.keystore import keystore_address, load_secret, save_keystore
from neurogrid_wallet.passphrase import ask_passphrase
from neurogrid_wallet.phrase import Phrase, new_phrase

from .config import ConfigError

IDENTITY_FILE = "identity.json"
SEALED_WALLET_FILE = "wallet.keystore"
OPEN_WALLET_FILE = "wallet.json"
UNPROVEN_FILE = "wallet.unproven"
# Changing it changes every identity that is brought back.
_IDENTITY_PURPOSE = b"neurogrid-node identity v1"

Secret: TypeAlias = KeyPair | Phrase


@dataclass(frozen=True, slots=True)
class Keys:
    """The node's two keys: who it is on the network, and who is paid."""

    identity: KeyPair
    wallet: KeyPair


@dataclass(frozen=True, slots=True)
class Sealing:
    """How the wallet is kept.

    Attributes:
        encrypted: sealed with a passphrase; else open, for its owner's account alone.
        ask: the passphrase; its argument is whether it is a new one, to be typed twice.
    """

    encrypted: bool
    ask: Callable[[bool], str]

    def passphrase(self) -> str | None:
        """Of what is written from now on; None where it is not sealed."""
        return self.ask(True) if self.encrypted else None


BackUp: TypeAlias = Callable[[Secret, Sealing], None]
"""Sees to it that a new secret is kept elsewhere, too; raises where it is not."""


def forgo_backup(secret: Secret, sealing: Sealing) -> None:
    """The backup of a node whose keys may be lost: none."""


def make_keys(
    directory: Path, sealing: Sealing, back_up: BackUp, *, restored: Secret | None = None
) -> None:
    """Make what is missing of a node's keys. A new wallet counts when it is backed up, not before.

    Killed anywhere and called again, it goes on with the same secret.

    Args:
        restored: the secret of a node that was there before; it is not backed up again.

    Raises:
        ConfigError: what is there does not belong to the secret that was given, or is half lost.
        WalletError: a file cannot be used, or no passphrase was given.
        Exception: whatever `back_up` raised.
    """
    identity, unproven = directory / IDENTITY_FILE, directory / UNPROVEN_FILE
    found = wallet_file(directory)
    if found is None:
        secret = restored or _unproven(directory, sealing)
        key = key_of(secret)
        if identity.exists() and KeyPair.read_solana_file(identity) != identity_of(key):
            raise ConfigError(
                f"{identity} is another node's than this wallet's, {key.address}: move it away, or "
                "bring back its own wallet"
            )
        if restored is None:
            back_up(secret, sealing)
        _save_wallet(directory, secret, sealing)
    elif restored is not None and key_of(restored).address != wallet_address(directory):
        raise ConfigError(
            f"{found} is the wallet {wallet_address(directory)}, and you bring back "
            f"{key_of(restored).address}: choose another --data"
        )
    unproven.unlink(missing_ok=True)
    for name in (UNPROVEN_FILE, SEALED_WALLET_FILE, OPEN_WALLET_FILE, IDENTITY_FILE):
        # What a kill in the middle of a write has left: secrets, too.
        for stale in directory.glob(f".{name}.*.tmp"):
            stale.unlink(missing_ok=True)
    if not identity.exists():
        wallet = key_of(load_wallet(directory, lambda: sealing.ask(False)))
        identity_of(wallet).write_solana_file(identity)


def load_keys(directory: Path, passphrase_file: Path | None) -> Keys:
    """The node's keys.

    Raises:
        ConfigError: there are none.
        WalletError: a file is damaged, readable by others, or the passphrase is wrong.
    """
    identity = directory / IDENTITY_FILE
    if wallet_file(directory) is None or not identity.exists():
        raise ConfigError(_why_no_keys(directory))
    wallet = key_of(load_wallet(directory, lambda: ask_passphrase(passphrase_file)))
    return Keys(KeyPair.read_solana_file(identity), wallet)


def load_wallet(directory: Path, passphrase: Callable[[], str]) -> Secret:
    """What the wallet is made of: a phrase where there is one, else its key.

    Raises:
        ConfigError: there is none.
        WalletError: its file is damaged, readable by others, or the passphrase is wrong.
    """
    found = wallet_file(directory)
    if found is None:
        raise ConfigError(_why_no_keys(directory))
    if found.name == OPEN_WALLET_FILE:
        return KeyPair.read_solana_file(found)
    return load_secret(found, passphrase())


def wallet_file(directory: Path) -> Path | None:
    """Where the wallet is; None where there is none that counts."""
    for name in (OPEN_WALLET_FILE, SEALED_WALLET_FILE):
        if (directory / name).exists():
            return directory / name
    return None


def wallet_address(directory: Path) -> str:
    """The wallet's address, for which no passphrase is needed.

    Raises:
        ConfigError: there is no wallet.
        WalletError: its file is damaged, or readable by others.
    """
    found = wallet_file(directory)
    if found is None:
        raise ConfigError(_why_no_keys(directory))
    if found.name == OPEN_WALLET_FILE:
        return KeyPair.read_solana_file(found).address
    return keystore_address(found)


def node_peer_id(directory: Path) -> str:
    """Who the node is on the network.

    Raises:
        WalletError: its identity is missing, damaged, or readable by others.
    """
    return peer_id_of(KeyPair.read_solana_file(directory / IDENTITY_FILE).public_key)


def key_of(secret: Secret) -> KeyPair:
    """The wallet's key."""
    return secret.key() if isinstance(secret, Phrase) else secret


def identity_of(wallet: KeyPair) -> KeyPair:
    """The identity that belongs to a wallet; it says nothing of the wallet's key."""
    return wallet.derive(_IDENTITY_PURPOSE)


def _unproven(directory: Path, sealing: Sealing) -> Secret:
    """The phrase of the first run that was begun, or of one that begins now."""
    path = directory / UNPROVEN_FILE
    if (directory / IDENTITY_FILE).exists():
        raise ConfigError(
            f"{directory / IDENTITY_FILE} is there and its wallet is not: bring it back with "
            "--restore, or move the identity away to begin as another node"
        )
    if not path.exists():
        phrase = new_phrase()
        write_backup(path, phrase, sealing.passphrase())
        return phrase
    try:
        return read_backup(path, lambda: sealing.ask(False))
    except WrongPassphrase as error:
        raise ConfigError(
            f"{error}; it was made by a first run that did not end: delete it to begin with other words"
        ) from None


def _save_wallet(directory: Path, secret: Secret, sealing: Sealing) -> None:
    passphrase = sealing.passphrase()
    if passphrase is None:
        key_of(secret).write_solana_file(directory / OPEN_WALLET_FILE)
    else:
        save_keystore(directory / SEALED_WALLET_FILE, secret, passphrase)


def _why_no_keys(directory: Path) -> str:
    if (directory / UNPROVEN_FILE).exists():
        return (
            f"the keys in {directory} are not backed up: `neurogrid-node init` goes on with its "
            "first run"
        )
    return f"no keys in {directory}: run `neurogrid-node init` first"
