"""How a wallet command fails: a code for programs, words and advice for people, an exit code."""

import re
from typing import Any, Final

import click

FAILED: Final = 1
USAGE: Final = 2
PASSPHRASE: Final = 3
NOT_FOUND: Final = 4
FUNDS: Final = 5
UNREACHABLE: Final = 7
CONFLICT: Final = 8

EPILOG: Final = """\b
Exit codes:
  0  done
  1  the chain refused it, or a file is damaged
  2  wrong usage, or not confirmed
  3  the passphrase is wrong or missing, or the wallet may not do this
  4  no such wallet
  5  not enough money
  7  the chain can't be reached, or has not decided yet: repeat the same command
  8  not possible now: the name is taken, or another command of this wallet is at work
"""

# By class name, so that asking costs no import. A subclass counts as its nearest listed ancestor.
_OF_CLASS: Final[dict[str, tuple[int, str]]] = {
    "UsageRefused": (USAGE, ""),
    "InvalidValue": (USAGE, ""),
    "KeyInvalid": (USAGE, ""),
    "PhraseInvalid": (USAGE, "Check the words and their order against what was written down."),
    "StatementInvalid": (USAGE, "`neurogrid wallet payout set ADDRESS` prints a new statement."),
    "WrongPassphrase": (PASSPHRASE, "Nothing was changed: try again."),
    "PassphraseMissing": (
        PASSPHRASE,
        "Type it at a terminal, or give --passphrase-file or NEUROGRID_PASSPHRASE.",
    ),
    "KeyringUnavailable": (FAILED, "Type the passphrase, or keep it in a file with mode 0600."),
    "BackupMissing": (PASSPHRASE, "`neurogrid wallet backup` shows it and asks for some words."),
    "WatchOnly": (PASSPHRASE, "Use the machine that has the key, or import the key here."),
    "PayoutRefused": (PASSPHRASE, "`neurogrid wallet payout show` says who has to agree."),
    "SecretFilePermissions": (PASSPHRASE, ""),
    "SecretFileExists": (CONFLICT, "Choose another path."),
    "WalletUnknown": (NOT_FOUND, "`neurogrid wallet list` shows them; `new` makes one."),
    "WalletExists": (CONFLICT, "Choose another name."),
    "WalletBusy": (CONFLICT, "Try again when it has ended."),
    "OutboxInUse": (CONFLICT, "Another command of this wallet is at work: wait for it."),
    "PaymentConflict": (CONFLICT, "That --id was used for another payment: choose a new one."),
    "InsufficientFunds": (FUNDS, ""),
    "SecondEndpointMissing": (
        USAGE,
        "Give --second-rpc-url, or second_rpc_url in config.toml, of another operator.",
    ),
    "PaymentTimeout": (UNREACHABLE, "It may still happen. Repeat the same command: it pays once."),
    "RpcUnavailable": (UNREACHABLE, "Nothing is lost: repeat the same command."),
    "WalletError": (FAILED, ""),
    "AccountFormatError": (FAILED, "Is this the right market, and this client up to date?"),
    "OSError": (FAILED, ""),
}


class UsageRefused(Exception):
    """What was asked for makes no sense, or was not confirmed."""


class Failed(click.ClickException):
    """A failed command, as click shows it: JSON on standard output for programs that asked."""

    def __init__(self, error: Exception, *, as_json: bool) -> None:
        super().__init__(_message(error))
        self.code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).upper()
        exit_code, self.hint = _listed(error) or (FAILED, "")
        self.exit_code = exit_code  # type: ignore[misc]  # click reads the instance's
        self._as_json = as_json

    def show(self, file: Any = None) -> None:
        """Print the message and what to do next."""
        from neurogrid_contracts.terminal.output import print_failure, print_json

        if self._as_json:
            print_json({"error": {"code": self.code, "message": self.message, "hint": self.hint}})
            return
        print_failure(self.message, self.hint)


def expected(error: BaseException) -> Exception | None:
    """The error inside that is not a bug of ours; None where it is one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, Exception) and _listed(error) else None


def _listed(error: Exception) -> tuple[int, str] | None:
    for kind in type(error).__mro__:
        if kind.__name__ in _OF_CLASS:
            return _OF_CLASS[kind.__name__]
    return None


def _message(error: Exception) -> str:
    number = _program_error_number(error)
    if number is not None:
        from neurogrid_contracts.errors import program_error

        if found := program_error(number):
            return f"the program refused it: {found}"
    return str(error) or type(error).__name__


def _program_error_number(error: Exception) -> int | None:
    failure = getattr(getattr(error, "payment", None), "failure", None)
    number = getattr(failure or error, "custom_program_error", None)
    return number if isinstance(number, int) else None
