"""How a command fails: its message, what to do next, and its exit code."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio
import click

from neurogrid_contracts.cli.exit_codes import FAILED, UNREACHABLE
from neurogrid_contracts.errors import program_error
from neurogrid_wallet.errors import (
    PaymentFailed,
    PaymentTimeout,
    RpcRejected,
    RpcUnavailable,
    WalletError,
)

T = TypeVar("T")


class CommandError(Exception):
    """A command cannot go on.

    Attributes:
        exit_code: one of ``exit_codes.py``.
        hint: what to do next.
    """

    def __init__(self, message: str, exit_code: int = FAILED, *, hint: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.hint = hint


class Failed(click.ClickException):
    """A failed command, as click shows it: for people on standard error, as JSON for programs."""

    def __init__(self, error: CommandError, *, as_json: bool) -> None:
        super().__init__(str(error))
        self.exit_code = error.exit_code  # type: ignore[misc]  # click reads the instance's
        self._hint = error.hint
        self._as_json = as_json

    def show(self, file: Any = None) -> None:
        """Print the message and the hint."""
        from neurogrid_contracts.terminal.output import print_failure, print_json

        if self._as_json:
            print_json({"error": {"exit_code": self.exit_code, "message": self.message}})
            return
        print_failure(self.message, self._hint)


def run(command: Callable[[], Coroutine[Any, Any, T]], *, as_json: bool) -> T:
    """Run a command's coroutine; what can go wrong outside of us becomes a message.

    Everything else is a bug, and keeps its traceback.

    Raises:
        Failed: with the exit code.
    """
    try:
        return anyio.run(command)
    except (CommandError, WalletError, OSError, ExceptionGroup) as error:
        first = _first(error)
        if isinstance(first, BrokenPipeError):
            raise first from None  # nobody reads its output any more
        if not isinstance(first, (CommandError, WalletError, OSError)):
            raise
        raise Failed(_command_error(first), as_json=as_json) from error


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _command_error(error: Exception) -> CommandError:
    match error:
        case CommandError():
            return error
        case RpcUnavailable() | PaymentTimeout():
            hint = "Nothing is lost: the same command goes on where this one stopped."
            return CommandError(str(error), UNREACHABLE, hint=hint)
        case PaymentFailed(payment=payment) if payment.failure is not None:
            refused = program_error(payment.failure.custom_program_error or 0)
            return CommandError(f"the chain refused it: {refused or payment.failure}")
        case RpcRejected(custom_program_error=int(number)) if program_error(number):
            return CommandError(f"the chain refused it: {program_error(number)}")
    return CommandError(str(error))
