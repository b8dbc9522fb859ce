"""Several wallets in one folder: each a name, an address, and a sealed key or none.

    FOLDER/default              the name that is meant when none is given
    FOLDER/NAME/wallet.json     address, whether it is watched only, whether it is backed up
    FOLDER/NAME/keystore.json   the sealed key or phrase (keystore.py); absent where it is watched
    FOLDER/NAME/outbox.sqlite   payments under way (outbox.py)
    FOLDER/NAME/payout.json     where it pays out to (payout_address.py)

A wallet appears whole or not at all, every file is replaced whole, and one process changes the
folder at a time. Nothing is changed when a passphrase is wrong or a file is damaged.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neurogrid_wallet.errors import (
    BackupMissing,
    KeyInvalid,
    WalletBusy,
    WalletCorrupt,
    WalletExists,
    WalletFolderError,
    WalletUnknown,
    WatchOnly,
)
from neurogrid_wallet.keys import KeyPair, public_key_of
from neurogrid_wallet.keystore import (
    KdfParameters,
    keystore_address,
    load_keystore,
    load_secret,
    save_keystore,
)
from neurogrid_wallet.phrase import Phrase
from neurogrid_wallet.secret_file import read_secret_file, write_secret_file

DEFAULT_FOLDER = Path("~/.neurogrid/wallets")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
_FORMAT = "neurogrid-wallet"
_VERSION = 1
# More are a mistake, and would make every listing slow.
_WALLETS_MAX = 1000
# A change takes a tenth of a second, most of it Argon2id.
_LOCK_WAIT_S = 10.0
_LOCK_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Wallet:
    """One wallet, as its files say.

    Attributes:
        path: its folder.
        address: Base58. Where there is a key, only opening the keystore proves it.
        watch_only: there is no key.
        backed_up: somebody has shown that the phrase is written down, or brought the key along.
    """

    path: Path
    address: str
    watch_only: bool
    backed_up: bool

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def keystore_path(self) -> Path:
        return self.path / "keystore.json"

    @property
    def outbox_path(self) -> Path:
        return self.path / "outbox.sqlite"

    @property
    def payout_path(self) -> Path:
        return self.path / "payout.json"

    def require_usable(self) -> None:
        """Refuse what could receive money that a lost disk would lose.

        Raises:
            BackupMissing: the phrase has not been backed up.
        """
        if not self.backed_up:
            raise BackupMissing(f"the phrase of wallet {self.name} is not backed up yet")

    def require_key(self) -> None:
        """Refuse what only a key can do.

        Raises:
            WatchOnly: there is none.
            BackupMissing: the phrase has not been backed up.
        """
        if self.watch_only:
            raise WatchOnly(f"wallet {self.name} is watched only: it has no key to sign with")
        self.require_usable()

    def unlock(self, passphrase: str) -> KeyPair:
        """The key. Takes about 0.1 s and 64 MiB: use a thread.

        Raises:
            WatchOnly, BackupMissing: it must not be used.
            KeystoreError, SecretFileError: as ``load_keystore``.
        """
        self.require_key()
        return load_keystore(self.keystore_path, passphrase)

    def secret(self, passphrase: str) -> KeyPair | Phrase:
        """What has to be backed up: the phrase, or the key where there is no phrase.

        Raises:
            WatchOnly: there is neither.
            KeystoreError, SecretFileError: as ``load_secret``.
        """
        if self.watch_only:
            raise WatchOnly(f"wallet {self.name} is watched only: there is nothing to back up")
        return load_secret(self.keystore_path, passphrase)


class WalletFolder:
    """A folder of wallets."""

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: need not exist yet; ``~`` is the home directory.
        """
        self.path = path.expanduser()

    def names(self) -> list[str]:
        """The wallets there are, sorted."""
        try:
            entries = sorted(entry.name for entry in self.path.iterdir())
        except FileNotFoundError:
            return []
        return [
            name
            for name in entries[:_WALLETS_MAX]
            if _NAME.fullmatch(name) and (self.path / name / "wallet.json").exists()
        ]

    def default(self) -> str | None:
        """The wallet that is meant when none is named, or None."""
        try:
            name = (self.path / "default").read_text().strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise WalletCorrupt(f"{self.path / 'default'} cannot be read: {error}") from error
        if not _NAME.fullmatch(name):
            raise WalletCorrupt(f"{self.path / 'default'} names no wallet")
        return name

    def open(self, name: str | None = None) -> Wallet:
        """A wallet, by default the default one.

        Raises:
            WalletUnknown: there is none of this name, or no default.
            WalletCorrupt: a file of it is damaged.
            KeystoreCorrupt, SecretFileError: its keystore is.
        """
        if name is None:
            name = self.default()
            if name is None:
                raise WalletUnknown(f"{self.path} has no default wallet")
        path = self.path / _checked(name)
        if not (path / "wallet.json").exists():
            raise WalletUnknown(f"there is no wallet {name} in {self.path}")
        wallet = _read(path)
        if not wallet.watch_only and keystore_address(wallet.keystore_path) != wallet.address:
            raise WalletCorrupt(f"{path}: wallet.json and keystore.json name different addresses")
        return wallet

    def create(
        self,
        name: str,
        secret: KeyPair | Phrase,
        passphrase: str,
        *,
        backed_up: bool,
        kdf: KdfParameters | None = None,
    ) -> Wallet:
        """A new wallet; the first one becomes the default.

        Args:
            backed_up: the caller has the phrase or the key elsewhere. Otherwise the wallet
                refuses to be used until ``mark_backed_up``.

        Raises:
            WalletExists: the name is taken.
        """
        address = (secret.key() if isinstance(secret, Phrase) else secret).address
        with self._new(name) as path:
            save_keystore(path / "keystore.json", secret, passphrase, kdf=kdf)
            wallet = Wallet(path, address, watch_only=False, backed_up=backed_up)
            _write(wallet, overwrite=False)
        return replace(wallet, path=self.path / name)

    def watch(self, name: str, address: str) -> Wallet:
        """A wallet without a key, to look at; the first one becomes the default.

        Raises:
            WalletExists: the name is taken.
            KeyInvalid: not an address.
        """
        public_key_of(address)
        with self._new(name) as path:
            wallet = Wallet(path, address, watch_only=True, backed_up=True)
            _write(wallet, overwrite=False)
        return replace(wallet, path=self.path / name)

    def set_default(self, name: str) -> None:
        """From now on this one is meant when none is named.

        Raises:
            WalletUnknown: there is none of this name.
        """
        with self._locked():
            self._set_default(self.open(name).name)

    def mark_backed_up(self, name: str) -> Wallet:
        """Somebody has shown that the phrase is written down."""
        with self._locked():
            wallet = replace(self.open(name), backed_up=True)
            _write(wallet, overwrite=True)
        return wallet

    def change_passphrase(
        self, name: str, old: str, new: str, *, kdf: KdfParameters | None = None
    ) -> None:
        """Seal the same secret anew; a crash leaves the old file or the new.

        Raises:
            WatchOnly: there is no secret.
            WrongPassphrase: ``old`` is wrong, and nothing has changed.
        """
        with self._locked():
            wallet = self.open(name)
            secret = wallet.secret(old)
            save_keystore(wallet.keystore_path, secret, new, kdf=kdf, overwrite=True)

    @contextmanager
    def _new(self, name: str) -> Iterator[Path]:
        """A folder that becomes the wallet's when the block ends well."""
        path = self.path / _checked(name)
        with self._locked():
            if path.exists():
                raise WalletExists(f"there is a wallet {name} in {self.path} already")
            if len(self.names()) >= _WALLETS_MAX:
                raise WalletFolderError(f"{self.path} holds {_WALLETS_MAX} wallets already")
            partial = self.path / f".{name}.{secrets.token_hex(8)}.partial"
            partial.mkdir(mode=0o700)
            try:
                yield partial
                partial.rename(path)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            if self.default() is None:
                self._set_default(name)

    def _set_default(self, name: str) -> None:
        write_secret_file(self.path / "default", f"{name}\n".encode(), overwrite=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only process that changes the folder; the lock ends with the process."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline_s = time.monotonic() + _LOCK_WAIT_S
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline_s:
                        raise WalletBusy(f"another process is changing {self.path}") from None
                    time.sleep(_LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise WalletUnknown(
            f"{name!r} is no name of a wallet: up to 32 of a-z, 0-9, - and _, as in main"
        )
    return name


def _write(wallet: Wallet, *, overwrite: bool) -> None:
    write_secret_file(wallet.path / "wallet.json", _content(wallet), overwrite=overwrite)


def _read(path: Path) -> Wallet:
    content = read_secret_file(path / "wallet.json")
    try:
        fields = json.loads(content)
        wallet = Wallet(path, fields["address"], fields["watch_only"], fields["backed_up"])
        public_key_of(wallet.address)
    except (KeyError, TypeError, ValueError, RecursionError, KeyInvalid) as error:
        raise WalletCorrupt(f"{path / 'wallet.json'} is damaged: {error!r}") from error
    # Also refuses another format or version, another type, and unknown fields.
    if _content(wallet) != content:
        raise WalletCorrupt(f"{path / 'wallet.json'} is not as it was written")
    return wallet


def _content(wallet: Wallet) -> bytes:
    fields = {
        "format": _FORMAT,
        "version": _VERSION,
        "address": wallet.address,
        "watch_only": wallet.watch_only,
        "backed_up": wallet.backed_up,
    }
    # An address has no checksum of its own: one wrong letter is another address.
    checksum = hashlib.sha256(_canonical(fields)).hexdigest()[:16]
    return _canonical(fields | {"checksum": checksum}) + b"\n"


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
