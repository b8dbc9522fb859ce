"""``neurogrid wallet new|import``."""

import sys
from pathlib import Path

import click

from neurogrid_contracts.terminal.backups import write_backup
from neurogrid_contracts.terminal.output import print_json
from neurogrid_contracts.wallet_cli.backup import prove, to_backup_file
from neurogrid_contracts.wallet_cli.failures import UsageRefused
from neurogrid_contracts.wallet_cli.files import describe
from neurogrid_contracts.wallet_cli.session import FILE, Session, with_session
from neurogrid_marketplace import base58
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_wallet.errors import KeyInvalid
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.keystore import load_secret
from neurogrid_wallet.phrase import SOLANA_KEYGEN, SOLANA_PATH, Phrase, new_phrase, parse_phrase
from neurogrid_wallet.secret_file import SECRET_FILE_BYTES_MAX, read_secret_file
from neurogrid_wallet.wallets import Wallet

_DEFAULT_NAME = "main"


@click.command()
@click.argument("wallet_name", metavar="[NAME]", required=False, default=_DEFAULT_NAME)
@click.option(
    "--words",
    type=click.Choice(["12", "24"]),
    default="24",
    show_default=True,
    help="How many words the phrase has.",
)
@to_backup_file
@with_session
def new(
    session: Session, wallet_name: str, words: str, backup_file: Path | None, plain: bool
) -> None:
    """Make a wallet: its phrase is shown once, and some of its words are asked for.

    Until they are given, here or with `neurogrid wallet backup`, the wallet refuses to be used.
    """
    if backup_file is None and (session.as_json or not sys.stdin.isatty()):
        raise UsageRefused("there is no terminal to show the phrase on: give --backup-file")
    phrase = new_phrase(int(words))
    passphrase = session.passphrase(confirm=True)
    wallet = session.folder.create(wallet_name, phrase, passphrase, backed_up=False)
    if backup_file is not None:
        write_backup(backup_file, phrase, None if plain else passphrase)
    else:
        prove(phrase)
    _report(session, session.folder.mark_backed_up(wallet.name))


@click.command("import")
@click.argument("wallet_name", metavar="[NAME]", required=False, default=_DEFAULT_NAME)
@click.option(
    "--phrase-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="File with the words, mode 0600; - is standard input. Else they are asked for.",
)
@click.option(
    "--path",
    "derivation",
    default=SOLANA_PATH,
    show_default=True,
    metavar="PATH",
    help=f"From the phrase to the key; {SOLANA_KEYGEN!r} for a phrase that was made by "
    "solana-keygen without a path.",
)
@click.option(
    "--extra-passphrase-file",
    type=FILE,
    help="File with BIP-39's extra passphrase, mode 0600. The wallet then keeps the key "
    "and not the phrase.",
)
@click.option("--keypair", type=FILE, help="A key file of the Solana command line.")
@click.option("--keystore", type=FILE, help="A sealed backup; its passphrase becomes the wallet's.")
@click.option(
    "--base58",
    "from_base58",
    is_flag=True,
    help="A secret key in Base58 from standard input, as browser wallets export it.",
)
@click.option("--watch", metavar="ADDRESS", help="An address alone: to look at, not to sign with.")
@with_session
def import_(
    session: Session,
    wallet_name: str,
    phrase_file: Path | None,
    derivation: str,
    extra_passphrase_file: Path | None,
    keypair: Path | None,
    keystore: Path | None,
    from_base58: bool,
    watch: str | None,
) -> None:
    """Bring a wallet along: by its phrase, its key, or its address alone.

    No secret is ever an argument: other users of a machine can read those.
    """
    if sum(map(bool, (phrase_file, keypair, keystore, from_base58, watch is not None))) > 1:
        raise UsageRefused("give one of --phrase-file, --keypair, --keystore, --base58 and --watch")
    if watch is not None:
        _report(session, session.folder.watch(wallet_name, watch))
        return
    secret: KeyPair | Phrase
    if keystore is not None:
        passphrase = session.passphrase()
        secret = load_secret(keystore, passphrase)
        _report(session, session.folder.create(wallet_name, secret, passphrase, backed_up=True))
        return
    if keypair is not None:
        secret = KeyPair.read_solana_file(keypair)
    elif from_base58:
        secret = _key_of_base58(_standard_input("secret key (Base58)"))
    else:
        secret = _phrase(phrase_file, derivation)
        if extra_passphrase_file is not None:
            extra = read_secret_file(extra_passphrase_file).decode(errors="surrogateescape")
            secret = secret.key(extra.removesuffix("\n"))
    passphrase = session.passphrase(confirm=True)
    _report(session, session.folder.create(wallet_name, secret, passphrase, backed_up=True))


def _phrase(file: Path | None, derivation: str) -> Phrase:
    if file is None or str(file) == "-":
        text = _standard_input("phrase (its words, in order)")
    else:
        text = read_secret_file(file).decode(errors="replace")
    return parse_phrase(text, derivation)


def _standard_input(what: str) -> str:
    """Unseen at a terminal, else all of standard input."""
    if sys.stdin.isatty():
        answer = click.prompt(f"The {what}", hide_input=True, err=True)
        return str(answer)
    return sys.stdin.read(SECRET_FILE_BYTES_MAX)


def _key_of_base58(text: str) -> KeyPair:
    try:
        secret = base58.decode(text.strip(), 64)
    except InvalidValue:
        # Without the cause: its text may quote the secret.
        raise KeyInvalid("this is no secret key of 64 bytes in Base58") from None
    key = KeyPair(secret[:32])
    if key.public_key != secret[32:]:
        raise KeyInvalid("the secret key is damaged: its halves do not belong together")
    return key


def _report(session: Session, wallet: Wallet) -> None:
    if session.as_json:
        print_json(describe(wallet))
    else:
        click.echo(f"wallet {wallet.name}: {wallet.address}")
