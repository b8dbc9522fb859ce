"""``neurogrid wallet backup|export|change-passphrase|keyring``."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from neurogrid_contracts.terminal.backups import WordWrong, prove_backup, write_backup
from neurogrid_contracts.terminal.output import print_json
from neurogrid_contracts.wallet_cli.failures import UsageRefused
from neurogrid_contracts.wallet_cli.files import describe
from neurogrid_contracts.wallet_cli.session import FILE, Session, with_session
from neurogrid_wallet import os_keyring
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.passphrase import read_passphrase
from neurogrid_wallet.phrase import Phrase


def to_backup_file(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that may write a backup."""
    file = click.option(
        "--backup-file",
        type=FILE,
        help="Write the backup there, mode 0600, instead of showing the words and asking.",
    )
    plain = click.option(
        "--plain",
        is_flag=True,
        help="The backup file holds the bare words; else it is sealed with the passphrase.",
    )
    return file(plain(command))


@click.command()
@to_backup_file
@click.option("--show-phrase", is_flag=True, help="With --json: print the words. Asked for, so.")
@with_session
def backup(session: Session, backup_file: Path | None, plain: bool, show_phrase: bool) -> None:
    """Show the phrase, and ask for some of its words, or write it to a file."""
    wallet = session.wallet()
    passphrase = session.passphrase(wallet.address)
    secret = wallet.secret(passphrase)
    if backup_file is not None:
        write_backup(backup_file, secret, None if plain else passphrase)
    elif isinstance(secret, KeyPair):
        raise UsageRefused("this wallet has a key and no phrase: give --backup-file, or export it")
    elif session.as_json and show_phrase:
        print_json({"phrase": " ".join(secret.words), "derivation": secret.derivation})
        return
    elif session.as_json or not sys.stdin.isatty():
        raise UsageRefused("there is no terminal to show the phrase on: give --backup-file")
    else:
        prove(secret)
    wallet = session.folder.mark_backed_up(wallet.name)
    if session.as_json:
        print_json(describe(wallet))
    else:
        click.echo(f"wallet {wallet.name} is backed up: {wallet.address}")


@click.command()
@click.argument("path", type=FILE)
@with_session
def export(session: Session, path: Path) -> None:
    """Write the key to PATH as `solana-keygen` does: unencrypted, mode 0600."""
    wallet = session.wallet()
    session.confirm(f"{path} will hold the key of {wallet.name} unencrypted.")
    session.unlock(wallet).write_solana_file(path)
    if session.as_json:
        print_json({"address": wallet.address, "path": str(path)})
    else:
        click.echo(f"{path} holds the key of {wallet.address}")


@click.command("change-passphrase")
@click.option(
    "--new-passphrase-file",
    type=FILE,
    envvar="NEUROGRID_WALLET_NEW_PASSPHRASE_FILE",
    help="File with the new passphrase, mode 0600; else it is asked for.",
)
@with_session
def change_passphrase(session: Session, new_passphrase_file: Path | None) -> None:
    """Seal the same key with another passphrase. A wrong old one changes nothing."""
    wallet = session.wallet()
    old = session.passphrase(wallet.address)
    wallet.secret(old)
    if new_passphrase_file is None and sys.stdin.isatty():
        click.echo("And the new one:", err=True)
    new = read_passphrase(new_passphrase_file, None, prompt=sys.stdin.isatty(), confirm=True)
    session.folder.change_passphrase(wallet.name, old, new)
    if os_keyring.recall(wallet.address) is not None:
        os_keyring.remember(wallet.address, new)
    if session.as_json:
        print_json(describe(wallet))
    else:
        click.echo(f"wallet {wallet.name} has a new passphrase")


@click.command()
@click.argument("what", type=click.Choice(["remember", "forget"]))
@with_session
def keyring(session: Session, what: str) -> None:
    """Keep the passphrase in the system's keyring, or forget it there.

    Only keyrings that encrypt are used; the package `keyring` brings them.
    """
    wallet = session.wallet()
    if what == "remember":
        passphrase = session.passphrase()
        # A wrong one would be remembered for ever.
        wallet.secret(passphrase)
        os_keyring.remember(wallet.address, passphrase)
    else:
        os_keyring.forget(wallet.address)
    if session.as_json:
        print_json({"name": wallet.name, "remembered": what == "remember"})
    else:
        click.echo(f"the keyring has {'' if what == 'remember' else 'no longer '}the passphrase")


def prove(phrase: Phrase) -> None:
    """Have the owner show that the words are written down.

    Raises:
        UsageRefused: a word is wrong; the wallet stays unusable until it is right.
    """
    try:
        prove_backup(phrase)
    except WordWrong as error:
        raise UsageRefused(f"{error}: `neurogrid wallet backup` shows them again") from None
